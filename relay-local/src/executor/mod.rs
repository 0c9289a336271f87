//! A small Tekton: runs `PipelineRun`s on this machine, each `TaskRun` as a process.
//!
//! In a cluster Tekton carries out the `PipelineRun`s that the operator writes. Where there is no
//! cluster an [`Executor`] does, with the same objects in the same API, by the same rules, as far
//! as those are in use:
//!
//! - the graph by `runAfter` and by results in `when`; `when` with `in` and `notin`; `onError:
//!   continue`; `timeouts` and `timeout`; cancelling by `spec.status`;
//! - custom tasks become `CustomRun`s, whose status somebody else writes;
//! - of a `TaskRun` the container `step` runs, as the process that its entrypoint would start.
//!   Images are labels here. It starts in a directory of its own, which is also the value of
//!   `RELAY_WORKSPACE`: there `ni` writes what it writes to `/workspace` in a container.
//!
//! ```text
//! watches ─▶ pipeline: one conductor per PipelineRun ─▶ TaskRuns, CustomRuns, PipelineRun.status
//!        └─▶ task: one attempt per TaskRun ─▶ entrypoint ─▶ process ─▶ TaskRun.status, output
//! ```
//!
//! All state is in the objects. An executor that starts where another one has ended goes on with
//! the graph; steps that were running then have failed, for their processes are gone.

mod changes;
mod duration;
mod open_files;
mod options;
mod persist;
mod pipeline;
mod programs;
mod task;

pub use open_files::raise_open_file_limit;
pub use options::{ExecutorOptions, News, StepNews};
pub use programs::check_program;
pub use relay_tools::entrypoint::{Adoption, adopt_orphans};

use std::fmt;
use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource};
use relay_model::tekton::{CustomRun, PipelineRun, TaskRun};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use changes::{Change, Changes};
use pipeline::Pipelines;
use task::{Runtime, TaskRuns};

/// On TaskRuns: the `onError` of their pipeline task, as Tekton writes it.
const ON_ERROR_ANNOTATION: &str = "pipeline.tekton.dev/pipeline-task-on-error";
/// The reason of a cancelled TaskRun.
const REASON_CANCELLED: &str = "TaskRunCancelled";

/// Runs the `PipelineRun`s and `TaskRun`s of all namespaces.
pub struct Executor {
    client: Client,
    options: ExecutorOptions,
    runtime: Arc<Runtime>,
}

impl Executor {
    /// An executor for the objects that this client sees.
    pub fn new(client: Client, options: ExecutorOptions) -> Self {
        let runtime = Arc::new(Runtime::new(client.clone(), &options));
        Self { client, options, runtime }
    }

    /// Runs until `shutdown`, then cancels all processes and returns when none is left and their
    /// TaskRuns say so. PipelineRuns, and TaskRuns that have not begun, stay as they are: another
    /// executor may go on with them.
    ///
    /// Dropping the future kills the processes and writes nothing.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut pipelines = Pipelines::new(self.client.clone(), Arc::clone(&self.options.clock));
        let mut tasks = TaskRuns::new(self.runtime, shutdown.clone());
        let mut pipeline_runs = std::pin::pin!(changes::<PipelineRun>(&self.client));
        let mut task_runs = std::pin::pin!(changes::<TaskRun>(&self.client));
        let mut custom_runs = std::pin::pin!(changes::<CustomRun>(&self.client));
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(changes) = task_runs.next() => for change in changes {
                    pipelines.task_run(&change);
                    tasks.task_run(change);
                },
                Some(changes) = custom_runs.next() => for change in changes {
                    pipelines.custom_run(&change);
                },
                Some(changes) = pipeline_runs.next() => for change in changes {
                    pipelines.pipeline_run(change);
                },
                () = pipelines.next_done() => {}
                () = tasks.next_done() => {}
            }
        }
        pipelines.stop().await;
        tasks.stop().await;
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Follows all objects of a kind. Never ends; failures are repeated after a pause.
fn changes<K>(client: &Client) -> impl Stream<Item = Vec<Change<K>>> + use<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
{
    let mut changes = Changes::default();
    watcher(Api::<K>::all(client.clone()), watcher::Config::default()).default_backoff().map(
        move |event| match event {
            Ok(event) => changes.of(event),
            Err(error) => {
                tracing::warn!(kind = %K::kind(&()), %error, "a watch was interrupted");
                Vec::new()
            }
        },
    )
}

/// Ends at this time; never, if there is none.
async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
