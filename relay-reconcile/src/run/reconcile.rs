//! One reconcile of a run, from observing to reporting.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::api::ObjectMeta;
use kube::runtime::controller::Action;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt as _};
use relay_model::annotation;
use relay_model::tekton::{CustomRun, TaskRun};
use relay_model::v1beta1::{Run, RunStatus};
use tokio::sync::OnceCell;

use super::bell::Bells;
use super::children::Children;
use super::controller::run_of;
use super::gate::{self, Verdict};
use super::objects::{self, Names};
use super::observe::{self, PipelineView, TaskView, Watched, World};
use super::report::PIPELINE_RUN_LOST;
use super::snapshot::Snapshot;
use super::start::{Started, start};
use super::status::Written;
use super::{apply, plan, report};
use crate::image::Lookups;
use crate::requeue::Failures;
use crate::{Context, DependencyOf, Error};

/// What one operator keeps about runs between reconciles. All of it can be found again.
#[derive(Debug)]
pub struct Reconciler {
    pub(super) pipeline_runs: Store<PipelineView>,
    /// Whether all PipelineRuns have been seen once. Of those who ask a store itself, only the last
    /// one is told.
    listed: OnceCell<()>,
    pub(super) task_runs: Children<TaskView>,
    pub(super) gates: Children<CustomRun>,
    pub(super) bells: Bells,
    /// By UID, while a run goes on.
    running: Mutex<HashMap<String, Running>>,
    pub(super) failures: Failures,
    pub(super) images: Arc<Lookups>,
}

/// A run that goes on.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) names: Names,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) written: Written,
    /// Before this time only what matters at once is written.
    next_write: Timestamp,
    /// The generation of the run that was worked on last.
    generation: Option<i64>,
}

impl Running {
    /// Whether the run is to be looked at as a whole, and not only the gates that wait.
    fn is_due(&self, run: &Run, watched: &Watched, now: Timestamp) -> bool {
        now >= self.next_write
            // A clock that was set back must not hold back what happened.
            || self.next_write.duration_since(now) > MAX_WRITE_PAUSE
            || run.metadata.generation != self.generation
            || run.spec.is_cancelled()
            || watched.is_done()
    }
}

/// How many times as long as a write took nothing is written after it, so that a run with very
/// many steps is not slowed down by telling of each.
const WRITE_SHARE: i32 = 50;
/// The longest that news of a step wait to be written.
const MAX_WRITE_PAUSE: SignedDuration = SignedDuration::from_secs(1);

/// The reason of `Completed` while something fails again and again.
pub(crate) const RETRYING: &str = "Retrying";
/// After so many failures in a row that is said.
const TRIES: u32 = 3;
/// A run that goes on is looked at after this time in any case: events can be missed.
const RESYNC: Duration = Duration::from_secs(600);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Brings a run one step nearer to its end. Doing it again when nothing has changed writes nothing.
///
/// # Errors
///
/// When a call fails that may succeed later.
pub async fn reconcile(
    run: Arc<Run>,
    context: &Context,
    reconciler: &Reconciler,
) -> Result<Action, Error> {
    let uid = run.uid().ok_or(Error::Incomplete("Run"))?;
    if run.metadata.deletion_timestamp.is_some() {
        // Its failures are counted until it is gone.
        lock(&reconciler.running).remove(&uid);
        return delete(context, &run, reconciler).await;
    }
    if run.status.as_ref().is_some_and(report::is_final) {
        reconciler.forget(&uid);
        // What belongs to it goes with it only where that is waited for.
        if let Some(namespace) = reconciler.taken_up_in(&run) {
            apply::adopt(context, &run, &namespace).await?;
        }
        return Ok(Action::await_change());
    }
    let running = match reconciler.running(&uid) {
        Some(running) => running,
        None => {
            let (started, version) = start(context, &run, reconciler).await?;
            let written = Written::new(&run, version);
            match started {
                Started::Running(names, snapshot) => Running {
                    names,
                    snapshot,
                    written,
                    next_write: Timestamp::MIN,
                    generation: None,
                },
                Started::Waiting(status, time) => {
                    write_if_changed(context, &run, &written, status).await?;
                    return Ok(Action::requeue(time));
                }
                Started::Ended(status) => {
                    write_if_changed(context, &run, &written, status).await?;
                    return Ok(Action::await_change());
                }
            }
        }
    };
    if report::is_final(&running.written.status) && running.written.is_ahead_of(&run) {
        // The watch has not shown it yet.
        return Ok(Action::await_change());
    }
    let running = reconciler.adopted(context, &run, running).await?;
    let Some(watched) = observe::watched(context, reconciler, &running.names).await? else {
        let message = "the PipelineRun was deleted before the run had ended";
        let now = context.clock.now();
        let status =
            report::ended(&run, &running.written.status, false, PIPELINE_RUN_LOST, message, now);
        write_if_changed(context, &run, &running.written, status).await?;
        return Ok(Action::await_change());
    };
    let now = context.clock.now();
    let is_due = running.is_due(&run, &watched, now);
    if !is_due && !watched.has_open_gates() {
        return Ok(requeue_at(Some(running.next_write), now));
    }
    let world = observe::observe(context, &run, &running, watched, is_due).await?;
    let verdicts = verdicts(context, &world).await?;
    let question_ends = verdicts.values().filter_map(|verdict| match verdict {
        Verdict::Wait { until, .. } => *until,
        Verdict::Decided { .. } => None,
    });
    let question_ends = question_ends.min();
    // A question has to be told at once.
    let whole = is_due || question_ends.is_some();
    let todo = plan::plan(&world, &verdicts, whole);
    apply::apply(context, &world, &running.names, todo).await?;
    if !whole {
        return Ok(requeue_at(Some(running.next_write), now));
    }
    let status = report::report(&world, &verdicts);
    let settling = report::settling(&world);
    let (mut running, postponed) = publish(context, &run, running, status, settling).await?;
    running.generation = run.metadata.generation;
    lock(&reconciler.running).insert(uid, running);
    // Answers are watched, the end of waiting for one is not.
    Ok(requeue_at(question_ends.into_iter().chain(postponed).min(), now))
}

/// To be looked at again at a time, if not earlier.
fn requeue_at(time: Option<Timestamp>, now: Timestamp) -> Action {
    let Some(time) = time else { return Action::requeue(RESYNC) };
    let left = Duration::try_from(time.duration_since(now)).unwrap_or_default();
    Action::requeue((left + Duration::from_millis(1)).min(RESYNC))
}

/// Writes a status that differs from the last one, or says when it is time to. `settling` is when a
/// step reported an end of which its TaskRun is about to tell as well.
async fn publish(
    context: &Context,
    run: &Run,
    running: Running,
    status: RunStatus,
    settling: Option<Timestamp>,
) -> Result<(Running, Option<Timestamp>), Error> {
    let status = running.written.cut(status);
    if !running.written.differs(run, &status) {
        return Ok((running, None));
    }
    let start = context.clock.now();
    let completed = |status: &RunStatus| {
        let condition = status.condition("Completed");
        condition.map(|condition| (condition.status, condition.reason.clone()))
    };
    // The beginning, the end, and a question do not wait.
    let urgent = completed(&status) != completed(&running.written.status);
    let settled = settling.and_then(|time| time.checked_add(MAX_WRITE_PAUSE).ok());
    let later = [Some(running.next_write), settled].into_iter().flatten().max();
    // Clocks of others, and one that was set back, are not waited for.
    let later = later.filter(|time| *time > start && time.duration_since(start) <= MAX_WRITE_PAUSE);
    if let Some(later) = later.filter(|_| !urgent) {
        return Ok((running, Some(later)));
    }
    let written = running.written.write(context, run, status).await?;
    let end = context.clock.now();
    let pause = (end.duration_since(start) * WRITE_SHARE).min(MAX_WRITE_PAUSE);
    let next_write = end.saturating_add(pause).unwrap_or(Timestamp::MAX);
    Ok((Running { written, next_write, ..running }, None))
}

impl Default for Reconciler {
    fn default() -> Self {
        Self::new(reflector::store().0)
    }
}

impl Reconciler {
    /// With a store of PipelineRuns that somebody feeds.
    pub(super) fn new(pipeline_runs: Store<PipelineView>) -> Self {
        Self {
            pipeline_runs,
            listed: OnceCell::new(),
            task_runs: Children::default(),
            gates: Children::default(),
            bells: Bells::default(),
            running: Mutex::default(),
            failures: Failures::default(),
            images: Arc::default(),
        }
    }

    /// Takes in what a watch said of TaskRuns, and gives back those that their runs have to look
    /// at.
    pub(super) fn task(&self, event: Event<TaskView>) -> Vec<TaskView> {
        self.touched(self.task_runs.apply(&event), event)
    }

    /// The same of gates.
    pub(super) fn gate(&self, event: Event<CustomRun>) -> Vec<CustomRun> {
        self.touched(self.gates.apply(&event), event)
    }

    fn touched<K: Resource + Clone>(&self, vanished: Vec<Arc<K>>, event: Event<K>) -> Vec<K> {
        let mut touched: Vec<K> = vanished.into_iter().map(Arc::unwrap_or_clone).collect();
        if let Event::Apply(object) | Event::InitApply(object) | Event::Delete(object) = event {
            touched.push(object);
        }
        // Whoever works on their runs right now need not come back for them.
        for run in touched.iter().filter_map(run_of) {
            self.bells.ring(&run);
        }
        touched
    }

    /// Says in the status of a run why nothing goes on, once it was tried a few times in vain. That
    /// this cannot be said either is left at that: it is tried again with the run.
    pub(super) async fn tell(&self, run: &Run, context: &Context, error: &Error) {
        let uid = run.uid().unwrap_or_default();
        if self.failures.count(&uid) < TRIES || run.metadata.deletion_timestamp.is_some() {
            return;
        }
        let (now, message) = (context.clock.now(), error.chain());
        let Some(running) = self.running(&uid) else {
            let status = report::waiting(run, RETRYING, &message, now);
            drop(write_if_changed(context, run, &Written::new(run, None), status).await);
            return;
        };
        let status = report::retrying(&running.written.status, RETRYING, &message, now);
        if status != *running.written.status
            && let Ok(written) = running.written.write(context, run, status).await
        {
            lock(&self.running).insert(uid, Running { written, ..running });
        }
    }

    /// Waits until everything that exists has been seen once.
    pub(super) async fn ready(&self) {
        self.task_runs.ready().await;
        self.gates.ready().await;
        let listed = || async {
            // Fails only when the watch is gone, and then so is the controller.
            let _ = self.pipeline_runs.wait_until_ready().await;
        };
        self.listed.get_or_init(listed).await;
    }

    /// What the objects of a run that has been taken up are called.
    pub(super) fn names_of(&self, run: &Run) -> Result<Names, Error> {
        let namespace = self.taken_up_in(run).or_else(|| run.namespace());
        Ok(Names::new(run, &namespace.ok_or(Error::Incomplete("Run"))?))
    }

    /// The namespace of a run's objects, if it was taken up. Where somebody removed the note that
    /// says so, its PipelineRun tells.
    fn taken_up_in(&self, run: &Run) -> Option<String> {
        let seen = || {
            let own = DependencyOf::new(run);
            let ours =
                |seen: &PipelineView| DependencyOf::of(&seen.metadata).as_ref() == Some(&own);
            self.pipeline_runs.find(ours)?.namespace()
        };
        run.annotations().get(annotation::TARGET_NAMESPACE).cloned().or_else(seen)
    }

    /// Sets finalizer and note again that somebody has removed from a run that goes on.
    async fn adopted(
        &self,
        context: &Context,
        run: &Run,
        running: Running,
    ) -> Result<Running, Error> {
        let namespace = &running.names.namespace;
        if running.written.is_ahead_of(run) || apply::is_adopted(run, namespace) {
            return Ok(running);
        }
        let version = apply::adopt(context, run, namespace).await?;
        let running = Running { written: running.written.at(version), ..running };
        let uid = run.uid().unwrap_or_default();
        if let Some(known) = lock(&self.running).get_mut(&uid) {
            *known = running.clone();
        }
        Ok(running)
    }

    /// What an earlier run of the same name left and what has not gone yet.
    pub(super) fn left_over(&self, names: &Names) -> Option<String> {
        let of = |kind, metadata: &ObjectMeta| {
            format!("{kind} {}/{}", names.namespace, metadata.name.as_deref().unwrap_or_default())
        };
        let task = self.task_runs.left_over(names);
        let task = task.map(|task| of(TaskRun::kind(&()), &task.metadata));
        let gate = || self.gates.left_over(names);
        task.or_else(|| gate().map(|gate| of(CustomRun::kind(&()), &gate.metadata)))
    }

    fn running(&self, uid: &str) -> Option<Running> {
        lock(&self.running).get(uid).cloned()
    }

    /// Forgets runs that are not there any more.
    pub(super) fn keep(&self, is_there: impl Fn(&str) -> bool) {
        lock(&self.running).retain(|uid, _| is_there(uid));
        self.failures.keep(is_there);
    }

    pub(super) fn forget(&self, uid: &str) {
        lock(&self.running).remove(uid);
        self.failures.forget(uid);
    }
}

async fn write_if_changed(
    context: &Context,
    run: &Run,
    written: &Written,
    status: RunStatus,
) -> Result<(), Error> {
    if written.differs(run, &status) {
        written.write(context, run, status).await?;
    }
    Ok(())
}

async fn delete(context: &Context, run: &Run, reconciler: &Reconciler) -> Result<Action, Error> {
    if run.finalizers().iter().any(|known| known == annotation::RUN_FINALIZER) {
        if let Ok(names) = reconciler.names_of(run) {
            apply::delete_objects(context, run, &names).await?;
        }
        apply::release(context, run).await?;
    }
    Ok(Action::await_change())
}

/// The verdicts on the gates that wait, by pipeline task.
async fn verdicts(context: &Context, world: &World) -> Result<BTreeMap<String, Verdict>, Error> {
    // What is no duration was refused when the run began; what became none since is not heard.
    let waits = objects::duration(&world.run, annotation::APPROVAL_TIMEOUT).ok().flatten();
    let waits = waits.unwrap_or(context.settings.approval_timeout);
    let mut verdicts = BTreeMap::new();
    for (_, step, gate) in world.open_gates() {
        let Some(task) = step.gate.as_ref().filter(|_| gate.spec.status.is_none()) else {
            continue;
        };
        let evaluated = gate::evaluate(context, world, step).await?;
        let verdict = gate::decide(world, step, gate, &evaluated, waits);
        verdicts.insert(task.clone(), verdict);
    }
    Ok(verdicts)
}
