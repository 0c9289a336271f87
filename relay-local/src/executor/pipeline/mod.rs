//! `PipelineRun`s: which task is next.
//!
//! Every PipelineRun that is not over has a [`Conductor`], a task of its own
//! that is told what the watches see. [`Pipelines`] is the one who tells.

mod child;
mod conductor;
mod graph;
mod observe;
mod report;
mod schedule;

use std::collections::HashMap;
use std::sync::Arc;

use kube::Client;
use relay_core::Clock;
use relay_model::knative_condition::Condition;
use relay_model::tekton::{CustomRun, PIPELINE_CANCELLED, PipelineRun, TaskRun};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::changes::{Change, Identity};
use conductor::Conductor;
use observe::{News, Seen, owner};

/// All PipelineRuns.
pub(super) struct Pipelines {
    client: Client,
    clock: Arc<dyn Clock>,
    /// Where news of a PipelineRun go, by its UID. A conductor that is done stays here until a
    /// watch shows what it wrote last; news from before must not look like a new PipelineRun.
    conductors: HashMap<String, UnboundedSender<News>>,
    at_work: JoinSet<()>,
    start: Start,
}

/// Until all that is there has been listed, nothing is decided: a task whose child is not known
/// yet would look as if it had not started.
enum Start {
    Listing {
        runs: Vec<PipelineRun>,
        /// By the UID of the PipelineRun.
        children: HashMap<String, Vec<Seen>>,
        /// The kinds whose list is not complete yet.
        kinds: Vec<&'static str>,
    },
    Done,
}

const PIPELINE_RUN: &str = "PipelineRun";
const TASK_RUN: &str = "TaskRun";
const CUSTOM_RUN: &str = "CustomRun";

impl Pipelines {
    pub(super) fn new(client: Client, clock: Arc<dyn Clock>) -> Self {
        Self {
            client,
            clock,
            conductors: HashMap::new(),
            at_work: JoinSet::new(),
            start: Start::Listing {
                runs: Vec::new(),
                children: HashMap::new(),
                kinds: vec![PIPELINE_RUN, TASK_RUN, CUSTOM_RUN],
            },
        }
    }

    pub(super) fn pipeline_run(&mut self, change: Change<PipelineRun>) {
        match change {
            Change::Listed => self.listed(PIPELINE_RUN),
            Change::Gone(identity) => {
                if let Start::Listing { runs, .. } = &mut self.start {
                    runs.retain(|run| run.metadata.uid.as_ref() != Some(&identity.uid));
                }
                self.tell(&identity.uid, News::Gone);
                self.conductors.remove(&identity.uid);
            }
            Change::Present(identity, run) => self.present(&identity.uid, run),
        }
    }

    pub(super) fn task_run(&mut self, change: &Change<TaskRun>) {
        match change {
            Change::Listed => self.listed(TASK_RUN),
            Change::Gone(identity) => self.child_gone(identity, TASK_RUN),
            Change::Present(identity, run) => self.child(identity, || Seen::task_run(run)),
        }
    }

    pub(super) fn custom_run(&mut self, change: &Change<CustomRun>) {
        match change {
            Change::Listed => self.listed(CUSTOM_RUN),
            Change::Gone(identity) => self.child_gone(identity, CUSTOM_RUN),
            Change::Present(identity, run) => self.child(identity, || Seen::custom_run(run)),
        }
    }

    /// Waits until a conductor is done.
    pub(super) async fn next_done(&mut self) {
        match self.at_work.join_next().await {
            None => std::future::pending().await,
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::error!(%error, "a conductor has ended in disorder"),
        }
    }

    /// Stops all conductors where they are. Their PipelineRuns stay as they are.
    pub(super) async fn stop(&mut self) {
        self.at_work.shutdown().await;
        self.conductors.clear();
    }

    fn present(&mut self, uid: &str, run: PipelineRun) {
        let status = run.status.as_ref();
        if status.is_some_and(|status| Condition::is_done(&status.conditions)) {
            self.conductors.remove(uid);
        } else if run.metadata.deletion_timestamp.is_some() {
            self.tell(uid, News::Gone);
        } else if self.conductors.contains_key(uid) {
            if run.spec.status.as_deref() == Some(PIPELINE_CANCELLED) {
                self.tell(uid, News::Cancelled);
            }
        } else {
            match &mut self.start {
                Start::Listing { runs, .. } => runs.push(run),
                Start::Done => self.conduct(run, Vec::new()),
            }
        }
    }

    fn listed(&mut self, kind: &str) {
        let Start::Listing { runs, children, kinds } = &mut self.start else { return };
        kinds.retain(|missing| *missing != kind);
        if !kinds.is_empty() {
            return;
        }
        let (runs, mut children) = (std::mem::take(runs), std::mem::take(children));
        self.start = Start::Done;
        for run in runs {
            let uid = run.metadata.uid.clone().unwrap_or_default();
            self.conduct(run, children.remove(&uid).unwrap_or_default());
        }
    }

    fn conduct(&mut self, run: PipelineRun, children: Vec<Seen>) {
        let uid = run.metadata.uid.clone().unwrap_or_default();
        let (sender, news) = unbounded_channel();
        for child in children {
            drop(sender.send(News::Child(child)));
        }
        self.conductors.insert(uid, sender);
        let (client, clock) = (self.client.clone(), Arc::clone(&self.clock));
        self.at_work.spawn(async move {
            if let Some(conductor) = Conductor::new(client, clock, run).await {
                conductor.run(news).await;
            }
        });
    }

    fn child(&mut self, identity: &Identity, seen: impl FnOnce() -> Seen) {
        let Some(owner) = owner(identity) else { return };
        match &mut self.start {
            Start::Listing { children, .. } => {
                children.entry(owner.to_owned()).or_default().push(seen());
            }
            Start::Done => {
                if let Some(conductor) = self.conductors.get(owner) {
                    drop(conductor.send(News::Child(seen())));
                }
            }
        }
    }

    fn child_gone(&mut self, identity: &Identity, kind: &'static str) {
        let Some(owner) = owner(identity) else { return };
        if let Start::Listing { children, .. } = &mut self.start
            && let Some(seen) = children.get_mut(owner)
        {
            seen.retain(|seen| seen.child.kind != kind || seen.child.name != identity.name);
        }
        self.tell(owner, News::ChildGone { kind, name: identity.name.clone() });
    }

    fn tell(&self, uid: &str, news: News) {
        if let Some(conductor) = self.conductors.get(uid) {
            // Fails if the conductor is done, and then it does not matter.
            drop(conductor.send(news));
        }
    }
}
