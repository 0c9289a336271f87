//! What an executor is given.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use relay_core::{Clock, SystemClock, TokenSealer};
use relay_tools::client::ClientError;
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
    /// Where the output of steps goes. A step waits while the channel is full; a channel that is
    /// closed swallows its output.
    pub output: mpsc::Sender<StepOutput>,
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
        output: mpsc::Sender<StepOutput>,
    ) -> Self {
        Self {
            work_dir: work_dir.into(),
            tools_dir: tools_dir.into(),
            metadata_api: None,
            sealer,
            output,
            images: BTreeMap::new(),
            max_parallel: 256,
            grace: Duration::from_secs(10),
            keep: false,
            clock: Arc::new(SystemClock),
        }
    }
}

/// A piece of a step's output, exactly as it was written: it may end within a line or a
/// character. Pieces of one stream come in order. `Debug` shows the length only.
#[derive(Clone, PartialEq, Eq)]
pub struct StepOutput {
    /// The run: the label `controller.relay.sh/run-id`, or else the name of the PipelineRun.
    pub run: Arc<str>,
    /// The step: the annotation `relay.sh/step`, or else the name of the pipeline's task.
    pub step: Arc<str>,
    /// Where it was written.
    pub stream: Stream,
    /// What was written; never empty.
    pub bytes: Bytes,
}

impl fmt::Debug for StepOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepOutput")
            .field("run", &self.run)
            .field("step", &self.step)
            .field("stream", &self.stream)
            .field("length", &self.bytes.len())
            .finish()
    }
}

/// An executor that cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// No client for the metadata API can be made.
    #[error("no client for the metadata API")]
    Client(#[source] ClientError),
}
