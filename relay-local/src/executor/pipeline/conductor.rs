//! One PipelineRun, from the first task to the last.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use jiff::Timestamp;
use kube::api::Api;
use kube::{Client, Error, ResourceExt as _};
use relay_core::Clock;
use relay_model::tekton::{
    CANCELLED_WITH_PIPELINE, CUSTOM_CANCELLED, ChildReference, CustomRun, PIPELINE_CANCELLED,
    PipelineRun, PipelineRunStatus, PipelineTask, TASK_CANCELLED, TIMED_OUT_WITH_PIPELINE, TaskRun,
};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::child::{Child, is_custom_reference};
use super::graph::{Graph, GraphError};
use super::observe::{News, Seen, owner};
use super::report::{self, Ending};
use super::schedule::{Outcome, Schedule, Skip, TaskState, Verdict};
use crate::executor::changes::Identity;
use crate::executor::persist::{self, EndRequest, Failure, Pauses};
use crate::executor::{duration, sleep_until};

/// How often the status of a PipelineRun under way is written at most, and at least if there is
/// something to write. In between it is after each tenth of the time so far: a status is large,
/// and whoever keeps a history keeps each of them.
const PROGRESS_EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How many times as long as a write takes there is no other. The status names every child, so
/// the time that it takes, and that whoever watches takes to read it, grows with the pipeline, and
/// must not grow with it once more.
const QUIET: u32 = 50;
/// How long a PipelineRun without `timeouts` may take, as in Tekton.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// How many children are made at a time.
const CREATIONS: usize = 16;

pub(super) struct Conductor {
    client: Client,
    clock: Arc<dyn Clock>,
    run: PipelineRun,
    identity: Identity,
    schedule: Schedule,
    ending: Option<Ending>,
    started: Timestamp,
    deadline: Option<(Instant, Duration)>,
    /// When custom tasks at work have had their time.
    limits: BTreeSet<(Instant, usize)>,
    /// Custom tasks that were asked to end because of that.
    overdue: BTreeSet<usize>,
    /// Tasks whose child could not be made yet.
    retry: Vec<usize>,
    pauses: Pauses,
    written: PipelineRunStatus,
    changed: bool,
}

impl Conductor {
    /// The conductor of a PipelineRun that is not over; `None` if it cannot be run, which its
    /// status says then.
    pub(super) async fn new(
        client: Client,
        clock: Arc<dyn Clock>,
        run: PipelineRun,
    ) -> Option<Self> {
        let identity = Identity::of(&run);
        let written = run.status.clone().unwrap_or_default();
        let now = clock.now();
        let graph = run.spec.pipeline_spec.as_ref().ok_or(GraphError::NoPipeline);
        let limit = timeout(&run);
        let (graph, limit) = match (graph.and_then(Graph::new), limit) {
            (Ok(graph), Ok(limit)) => (graph, limit),
            (Err(error), _) => {
                let status = report::refusal(error.reason(), &error.to_string(), now);
                write(&client, &identity, &status).await;
                return None;
            }
            (_, Err(error)) => {
                let message = format!("timeouts: {error}");
                let status = report::refusal("PipelineValidationFailed", &message, now);
                write(&client, &identity, &status).await;
                return None;
            }
        };
        let started = written.start_time.as_ref().map_or(now, |time| time.0);
        let deadline = limit.map(|limit| (Instant::now() + left(started, limit, now), limit));
        let is_cancelled = run.spec.status.as_deref() == Some(PIPELINE_CANCELLED);
        Some(Self {
            client,
            clock,
            identity,
            schedule: Schedule::new(graph),
            ending: is_cancelled.then_some(Ending::Cancelled),
            started,
            deadline,
            limits: BTreeSet::new(),
            overdue: BTreeSet::new(),
            retry: Vec::new(),
            pauses: Pauses::new(),
            written,
            changed: true,
            run,
        })
    }

    /// Conducts until the PipelineRun is over or gone.
    pub(super) async fn run(mut self, mut news: UnboundedReceiver<News>) {
        let first_report = Instant::now();
        let mut next_report = first_report;
        // What was there before, all of it, comes before the first decision.
        while let Ok(more) = news.try_recv() {
            if !self.take(more).await {
                return;
            }
        }
        loop {
            if self.ending.is_none() {
                self.start_tasks().await;
            }
            if self.ending.is_some() || self.schedule.is_over() {
                self.finish().await;
                return;
            }
            if self.changed && next_report <= Instant::now() {
                let begun = Instant::now();
                self.report().await;
                next_report = Instant::now() + pause(first_report, begun);
            }
            let retry = (!self.retry.is_empty()).then(|| Instant::now() + self.pauses.next());
            tokio::select! {
                first = news.recv() => {
                    let mut next = first;
                    loop {
                        let Some(more) = next else { return };
                        if !self.take(more).await {
                            return;
                        }
                        next = match news.try_recv() {
                            Ok(more) => Some(more),
                            Err(_) => break,
                        };
                    }
                }
                () = sleep_until(self.deadline.map(|(at, _)| at)) => {
                    self.ending = self.deadline.map(|(_, limit)| Ending::TimedOut(limit));
                    self.schedule.stop(Skip::TimedOut);
                }
                () = sleep_until(self.limits.first().map(|(at, _)| *at)) => self.end_overdue().await,
                () = sleep_until(self.changed.then_some(next_report)) => {}
                () = sleep_until(retry) => {}
            }
        }
    }

    /// Takes note. Answers false if there is nothing left to conduct.
    async fn take(&mut self, news: News) -> bool {
        match news {
            News::Gone => return false,
            News::Cancelled => self.ending = Some(Ending::Cancelled),
            News::Child(seen) => self.take_child(seen),
            News::ChildGone { kind, name } => return self.take_loss(kind, &name).await,
        }
        true
    }

    fn take_child(&mut self, seen: Seen) {
        let Some(index) = self.schedule.graph().position(&seen.task) else { return };
        let Some(mut outcome) = seen.ended else {
            self.limit(index, &seen);
            self.changed |= self.schedule.started(index, seen.child);
            return;
        };
        // Whoever ran out of time has failed, though it was we who told it to stop.
        if outcome.verdict == Verdict::Cancelled && self.overdue.contains(&index) {
            outcome.verdict = Verdict::Failed;
        }
        self.limits.retain(|(_, task)| *task != index);
        self.changed |= self.schedule.ended(index, seen.child, outcome);
    }

    /// A child that somebody deleted is not made again: its step may have run. Answers false if
    /// it went with the whole PipelineRun.
    async fn take_loss(&mut self, kind: &str, name: &str) -> bool {
        let lost = self.schedule.states().position(|(_, state)| {
            matches!(state, TaskState::Running(child) if child.kind == kind && child.name == name)
        });
        let Some(index) = lost else { return true };
        let Some(TaskState::Running(child)) = self.schedule.state(index).cloned() else {
            return true;
        };
        let live = self.api::<PipelineRun>().get_metadata(&self.identity.name).await;
        let is_gone = match live {
            Ok(live) => live.metadata.uid.as_deref() != Some(self.identity.uid.as_str()),
            Err(error) => Failure::of(&error) == Failure::Gone,
        };
        let outcome = Outcome { verdict: Verdict::Cancelled, results: Vec::new() };
        self.changed |= self.schedule.ended(index, child, outcome);
        !is_gone
    }

    /// Remembers when a custom task will have had its time. Those of TaskRuns are somebody
    /// else's to watch.
    fn limit(&mut self, index: usize, seen: &Seen) {
        let timeout = self.schedule.graph().node(index).and_then(|node| node.timeout);
        let (Some(timeout), Some(started)) = (timeout, seen.started) else { return };
        if is_custom_reference(&seen.child) && !self.limits.iter().any(|(_, task)| *task == index) {
            let at = Instant::now() + left(started, timeout, self.clock.now());
            self.limits.insert((at, index));
        }
    }

    async fn end_overdue(&mut self) {
        let now = Instant::now();
        while let Some((_, index)) = self.limits.first().copied().filter(|(at, _)| *at <= now) {
            self.limits.pop_first();
            if self.overdue.insert(index)
                && let Some(TaskState::Running(child)) = self.schedule.state(index)
            {
                self.ask_to_end(child).await;
            }
        }
    }

    async fn start_tasks(&mut self) {
        let mut chosen = self.schedule.choose();
        chosen.append(&mut self.retry);
        chosen.retain(|index| self.schedule.state(*index) == Some(&TaskState::Chosen));
        let made: Vec<_> =
            futures::stream::iter(chosen.into_iter().map(|index| self.create(index)))
                .buffer_unordered(CREATIONS)
                .collect()
                .await;
        for (index, made) in made {
            match made {
                Ok(child) => {
                    self.pauses = Pauses::new();
                    self.changed |= self.schedule.started(index, child);
                }
                Err(error) if Failure::of(&error) == Failure::Transient => {
                    tracing::debug!(run = self.identity.name, %error, "a task is not started yet");
                    self.retry.push(index);
                }
                Err(error) => {
                    let message = format!("a task could not be started: {error}");
                    let reason = "CreateRunFailed".to_owned();
                    self.ending = Some(Ending::Refused { reason, message });
                }
            }
        }
    }

    fn task(&self, index: usize) -> Option<&PipelineTask> {
        self.run.spec.pipeline_spec.as_ref()?.tasks.get(index)
    }

    async fn create(&self, index: usize) -> (usize, Result<ChildReference, Error>) {
        let Some(task) = self.task(index) else {
            return (index, Ok(ChildReference::default()));
        };
        let child = Child::new(&self.run, task);
        let reference = child.reference();
        let (client, namespace) = (&self.client, self.identity.namespace.as_str());
        let made = match &child {
            Child::Task(run) => persist::create(client, namespace, run.as_ref()).await,
            Child::Custom(run) => persist::create(client, namespace, run.as_ref()).await,
        };
        let made = match made {
            Err(Error::Api(status)) if status.reason == "AlreadyExists" => {
                self.adopt(&child, *status).await
            }
            other => other,
        };
        (index, made.map(|()| reference))
    }

    /// A child that is there already is as good as a new one, if it is ours.
    async fn adopt(&self, child: &Child, refusal: kube::core::Status) -> Result<(), Error> {
        let found = match child {
            Child::Task(run) => {
                Identity::of(&self.api::<TaskRun>().get_metadata(&run.name_any()).await?)
            }
            Child::Custom(run) => {
                Identity::of(&self.api::<CustomRun>().get_metadata(&run.name_any()).await?)
            }
        };
        if owner(&found) == Some(self.identity.uid.as_str()) {
            return Ok(());
        }
        // Left behind by an earlier PipelineRun of this name, it may be on its way out.
        let refusal = refusal.with_code(503);
        Err(Error::Api(Box::new(refusal)))
    }

    async fn finish(&mut self) {
        if self.ending.is_some() {
            // A child whose creation has failed may be there all the same.
            let doubtful: Vec<ChildReference> = std::mem::take(&mut self.retry)
                .into_iter()
                .filter_map(|index| Some(Child::new(&self.run, self.task(index)?).reference()))
                .collect();
            let running = self.schedule.states().filter_map(|(_, state)| match state {
                TaskState::Running(child) => Some(child),
                _ => None,
            });
            join_all(running.chain(&doubtful).map(|child| self.ask_to_end(child))).await;
        }
        self.report().await;
    }

    async fn ask_to_end(&self, child: &ChildReference) {
        let (client, namespace) = (&self.client, self.identity.namespace.as_str());
        if is_custom_reference(child) {
            let request = EndRequest { status: CUSTOM_CANCELLED, status_message: None };
            persist::ask_to_end::<CustomRun>(client, namespace, &child.name, request).await;
        } else {
            let status_message = match &self.ending {
                Some(Ending::Cancelled) => Some(CANCELLED_WITH_PIPELINE),
                Some(Ending::TimedOut(_)) => Some(TIMED_OUT_WITH_PIPELINE),
                Some(Ending::Refused { .. }) | None => None,
            };
            let request = EndRequest { status: TASK_CANCELLED, status_message };
            persist::ask_to_end::<TaskRun>(client, namespace, &child.name, request).await;
        }
    }

    async fn report(&mut self) {
        self.changed = false;
        let status = report::status(
            &self.identity.name,
            &self.schedule,
            self.ending.as_ref(),
            &self.written,
            self.started,
            self.clock.now(),
        );
        if status != self.written {
            write(&self.client, &self.identity, &status).await;
            self.written = status;
        }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.identity.namespace)
    }
}

async fn write(client: &Client, identity: &Identity, status: &PipelineRunStatus) {
    let Identity { namespace, name, uid, .. } = identity;
    persist::status::<PipelineRun>(client, namespace, (name, uid), status).await;
}

/// How long a PipelineRun may take: the shorter of its two limits.
fn timeout(run: &PipelineRun) -> Result<Option<Duration>, duration::DurationError> {
    let Some(timeouts) = &run.spec.timeouts else { return Ok(Some(DEFAULT_TIMEOUT)) };
    let pipeline = match &timeouts.pipeline {
        None => Some(DEFAULT_TIMEOUT),
        Some(text) => duration::limit(Some(text))?,
    };
    let tasks = duration::limit(timeouts.tasks.as_deref())?;
    Ok(pipeline.into_iter().chain(tasks).min())
}

/// How long there is no further report, if the last one was begun at `last`.
fn pause(first: Instant, last: Instant) -> Duration {
    let (shortest, longest) = PROGRESS_EVERY;
    let tenth = (last - first) / 10;
    tenth.clamp(shortest, longest).max(last.elapsed() * QUIET)
}

/// What is left of a limit that counts from `started`.
fn left(started: Timestamp, limit: Duration, now: Timestamp) -> Duration {
    let elapsed = Duration::try_from(now.duration_since(started)).unwrap_or_default();
    limit.saturating_sub(elapsed)
}
