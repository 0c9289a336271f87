//! What an executor is given.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use relay_core::{Clock, SystemClock, TokenSealer};
use relay_model::tekton::TaskRunStatus;
use relay_tools::entrypoint::Stream;
use tokio::sync::mpsc;

/// What an [`Executor`](super::Executor) is given.
#[derive(Clone, Debug)]
pub struct ExecutorOptions {
    /// Where each step gets a directory of its own.
    pub work_dir: PathBuf,
    /// A directory with the program `ni`, which comes first in the `PATH` of every step.
    pub tools_dir: PathBuf,
    /// Where the metadata API listens. None: steps run without one.
    pub metadata_api: Option<SocketAddr>,
    /// Opens the sealed tokens of TaskRuns.
    pub sealer: Arc<dyn TokenSealer>,
    /// Where news of steps go, their output above all. A step waits while the channel is full; a
    /// channel that is closed swallows them.
    pub news: mpsc::Sender<StepNews>,
    /// The programs that take the place of images, for steps that name no program. Each gets the
    /// arguments of the step.
    pub images: BTreeMap<String, PathBuf>,
    /// How many steps run at the same time. Default 256. Fewer, if this process may not open enough
    /// files: see [`raise_open_file_limit`](super::raise_open_file_limit).
    pub max_parallel: usize,
    /// How long a cancelled step may take to end before it is killed. Default 10 s.
    pub grace: Duration,
    /// Leaves the directories of steps where they are. Default false.
    pub keep: bool,
    /// Tells the times that are written into status. Limits do not depend on it. Default: the
    /// clock of the machine.
    pub clock: Arc<dyn Clock>,
}

impl ExecutorOptions {
    /// Options with these paths and services, and the defaults for the rest.
    pub fn new(
        work_dir: impl Into<PathBuf>,
        tools_dir: impl Into<PathBuf>,
        sealer: Arc<dyn TokenSealer>,
        news: mpsc::Sender<StepNews>,
    ) -> Self {
        Self {
            work_dir: work_dir.into(),
            tools_dir: tools_dir.into(),
            metadata_api: None,
            sealer,
            news,
            images: BTreeMap::new(),
            max_parallel: 256,
            grace: Duration::from_secs(10),
            keep: false,
            clock: Arc::new(SystemClock),
        }
    }
}

/// What happened to a step, in order: what another step does because of it comes after it.
#[derive(Clone, Debug, PartialEq)]
pub struct StepNews {
    /// The run: the label `controller.relay.sh/run-id`, or else the name of the PipelineRun.
    pub run: Arc<str>,
    /// The step: the annotation `relay.sh/step`, or else the name of the pipeline's task.
    pub step: Arc<str>,
    /// What happened.
    pub news: News,
}

/// What happened to a step.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum News {
    /// It began.
    Started,
    /// It wrote something, exactly as given here: a piece may end within a line or a character.
    Output {
        /// Where it was written; pieces of one stream come in order.
        stream: Stream,
        /// What was written; never empty.
        bytes: Bytes,
    },
    /// It ended, and its TaskRun is about to say so.
    Ended(Box<TaskRunStatus>),
}

/// Shows the length of output only.
impl fmt::Debug for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("Started"),
            Self::Output { stream, bytes } => f
                .debug_struct("Output")
                .field("stream", stream)
                .field("length", &bytes.len())
                .finish(),
            Self::Ended(status) => f.debug_tuple("Ended").field(status).finish(),
        }
    }
}
