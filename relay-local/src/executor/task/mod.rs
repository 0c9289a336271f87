//! `TaskRun`s: processes in place of pods.
//!
//! Every TaskRun that is not over has an attempt, a task of its own. [`TaskRuns`] starts them
//! and passes on what somebody wants of them; [`Runtime`] is what they share.

mod attempt;
mod config_map;
mod credentials;
mod job;
mod mount;
mod report;
mod runtime;
mod stop;

pub(super) use runtime::Runtime;

use std::collections::HashMap;
use std::sync::Arc;

use relay_model::knative_condition::Condition;
use relay_model::tekton::{TASK_CANCELLED, TaskRun};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::changes::Change;
use stop::{Stop, Why};

/// All TaskRuns.
pub(super) struct TaskRuns {
    runtime: Arc<Runtime>,
    /// How to stop the attempt at a TaskRun, by its UID. An attempt that is over stays here until
    /// the watch shows what it wrote last; news from before must not look like a new TaskRun.
    attempts: HashMap<String, Stop>,
    at_work: JoinSet<()>,
    shutdown: CancellationToken,
}

impl TaskRuns {
    pub(super) fn new(runtime: Arc<Runtime>, shutdown: CancellationToken) -> Self {
        Self { runtime, attempts: HashMap::new(), at_work: JoinSet::new(), shutdown }
    }

    pub(super) fn task_run(&mut self, change: Change<TaskRun>) {
        match change {
            Change::Listed => {}
            Change::Gone(identity) => {
                if let Some(stop) = self.attempts.remove(&identity.uid) {
                    stop.request(Why::Deleted);
                }
            }
            Change::Present(identity, run) => {
                let status = run.status.as_ref();
                if status.is_some_and(|status| Condition::is_done(&status.conditions)) {
                    self.attempts.remove(&identity.uid);
                    return;
                }
                let why = if run.metadata.deletion_timestamp.is_some() {
                    Some(Why::Deleted)
                } else if run.spec.status.as_deref() == Some(TASK_CANCELLED) {
                    Some(Why::Cancelled(run.spec.status_message.as_deref().map(Into::into)))
                } else {
                    None
                };
                let stop = match self.attempts.get(&identity.uid) {
                    Some(stop) => stop.clone(),
                    None => self.attempt(identity.uid, run),
                };
                if let Some(why) = why {
                    stop.request(why);
                }
            }
        }
    }

    /// Waits until an attempt is over.
    pub(super) async fn next_done(&mut self) {
        match self.at_work.join_next().await {
            None => std::future::pending().await,
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::error!(%error, "an attempt has ended in disorder"),
        }
    }

    /// Stops all attempts and waits until they are over.
    pub(super) async fn stop(&mut self) {
        for stop in self.attempts.values() {
            stop.request(Why::Shutdown);
        }
        while let Some(ended) = self.at_work.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "an attempt has ended in disorder");
            }
        }
    }

    fn attempt(&mut self, uid: String, run: TaskRun) -> Stop {
        let stop = Stop::default();
        self.attempts.insert(uid, stop.clone());
        let attempt = Arc::clone(&self.runtime).attempt(run, stop.clone(), self.shutdown.clone());
        self.at_work.spawn(attempt);
        stop
    }
}
