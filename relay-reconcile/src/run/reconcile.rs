//! One reconcile of a run, from observing to reporting.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::controller::Action;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::{Api, ResourceExt as _};
use relay_core::Value;
use relay_model::annotation;
use relay_model::tekton::{CustomRun, TaskRun};
use relay_model::v1beta1::{Condition, Run, RunStatus, Tenant, Workflow};
use relay_store::{StepRecord, key};

use super::apply::{self, Made};
use super::children::Children;
use super::gate::{self, Verdict};
use super::objects::{self, Limits, Names};
use super::observe::{PipelineView, World};
use super::plan;
use super::progress;
use super::report;
use super::snapshot::{Snapshot, StoredWorkflow};
use super::token;
use crate::{Context, Error};

/// What one operator keeps about runs between reconciles. All of it can be found again.
#[derive(Debug)]
pub struct Reconciler {
    pub(super) pipeline_runs: Store<PipelineView>,
    pub(super) task_runs: Children<TaskRun>,
    pub(super) gates: Children<CustomRun>,
    /// By UID, while a run goes on.
    running: Mutex<HashMap<String, Running>>,
    /// Failures in a row, by UID.
    failures: Mutex<HashMap<String, u32>>,
}

/// A run that goes on.
#[derive(Clone, Debug)]
struct Running {
    names: Names,
    snapshot: Arc<Snapshot>,
    /// The status that was written last: what a watch shows may be older.
    status: RunStatus,
    /// Before this time only what matters at once is written.
    next_write: Timestamp,
}

/// How many times as long as a write took nothing is written after it, so that a run with very
/// many steps is not slowed down by telling of each.
const WRITE_SHARE: i32 = 20;
/// The longest that news of a step wait to be written.
const MAX_WRITE_PAUSE: SignedDuration = SignedDuration::from_secs(1);

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
        reconciler.forget(&uid);
        return delete(context, &run).await;
    }
    if run.status.as_ref().is_some_and(report::is_final) {
        reconciler.forget(&uid);
        return Ok(Action::await_change());
    }
    let running = match reconciler.running(&uid) {
        Some(running) => running,
        None => match start(context, &run).await? {
            Started::Running(names, snapshot) => Running {
                names,
                snapshot,
                status: run.status.clone().unwrap_or_default(),
                next_write: Timestamp::MIN,
            },
            Started::Waiting(status) => {
                write_if_changed(context, &run, &status).await?;
                // What it waits for is watched; this is for what was missed.
                return Ok(Action::requeue(Duration::from_secs(60)));
            }
            Started::Ended(status) => {
                write_if_changed(context, &run, &status).await?;
                return Ok(Action::await_change());
            }
        },
    };
    if report::is_final(&running.status) {
        // The watch has not shown it yet.
        return Ok(Action::await_change());
    }
    let Some(world) = observe(context, reconciler, &run, &running).await? else {
        let message = "the PipelineRun was deleted before the run had ended";
        let now = context.clock.now();
        let status = report::ended(&run, &running.status, false, "PipelineRunLost", message, now);
        write_if_changed(context, &run, &status).await?;
        return Ok(Action::await_change());
    };
    let progress = progress::all(&world);
    let verdicts = verdicts(context, &world, &progress).await?;
    let todo = plan::plan(&world, &progress, &verdicts);
    apply::apply(context, &world, &running.names, todo).await?;
    let status = report::report(&world, &progress, &verdicts);
    let (running, postponed) = publish(context, &run, running, status).await?;
    lock(&reconciler.running).insert(uid, running);
    // Answers are watched, the end of waiting for one is not.
    let deadlines = verdicts.values().filter_map(|verdict| match verdict {
        Verdict::Wait { until, .. } => *until,
        Verdict::Decided { .. } => None,
    });
    Ok(match deadlines.chain(postponed).min() {
        Some(until) => {
            let left = Duration::try_from(until.duration_since(world.now)).unwrap_or_default();
            Action::requeue(left + Duration::from_millis(1))
        }
        None => Action::await_change(),
    })
}

/// Writes a status that differs from the last one, or says when it is time to.
async fn publish(
    context: &Context,
    run: &Run,
    running: Running,
    status: RunStatus,
) -> Result<(Running, Option<Timestamp>), Error> {
    if status == running.status {
        return Ok((running, None));
    }
    let start = context.clock.now();
    let completed = |status: &RunStatus| {
        let condition = status.condition("Completed");
        condition.map(|condition| (condition.status, condition.reason.clone()))
    };
    // The beginning, the end, and a question do not wait.
    let urgent = completed(&status) != completed(&running.status);
    if !urgent && start < running.next_write {
        let next_write = running.next_write;
        return Ok((running, Some(next_write)));
    }
    apply::write_status(context, run, &status).await?;
    let end = context.clock.now();
    let pause = (end.duration_since(start) * WRITE_SHARE).min(MAX_WRITE_PAUSE);
    let next_write = end.saturating_add(pause).unwrap_or(Timestamp::MAX);
    Ok((Running { status, next_write, ..running }, None))
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
            task_runs: Children::default(),
            gates: Children::default(),
            running: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    /// Waits until everything that exists has been seen once.
    pub(super) async fn ready(&self) {
        self.task_runs.ready().await;
        self.gates.ready().await;
        // Fails only when the watch is gone, and then so is the controller.
        let _ = self.pipeline_runs.wait_until_ready().await;
    }

    fn running(&self, uid: &str) -> Option<Running> {
        lock(&self.running).get(uid).cloned()
    }

    /// Counts a failure: how many there were in a row before it.
    pub(super) fn failed(&self, uid: &str) -> u32 {
        let mut failures = lock(&self.failures);
        let count = failures.entry(uid.to_owned()).or_default();
        *count = count.saturating_add(1);
        *count - 1
    }

    pub(super) fn succeeded(&self, uid: &str) {
        lock(&self.failures).remove(uid);
    }

    fn forget(&self, uid: &str) {
        lock(&self.running).remove(uid);
        lock(&self.failures).remove(uid);
    }
}

async fn write_if_changed(context: &Context, run: &Run, status: &RunStatus) -> Result<(), Error> {
    if run.status.as_ref() == Some(status) {
        return Ok(());
    }
    apply::write_status(context, run, status).await
}

async fn delete(context: &Context, run: &Run) -> Result<Action, Error> {
    if run.finalizers().iter().any(|known| known == annotation::RUN_FINALIZER) {
        if let Ok(names) = names_of(run) {
            apply::delete_objects(context, run, &names).await?;
        }
        apply::release(context, run).await?;
    }
    Ok(Action::await_change())
}

/// The names of the objects of a run that has been taken up.
fn names_of(run: &Run) -> Result<Names, Error> {
    let namespace = run.annotations().get(annotation::TARGET_NAMESPACE);
    let namespace = namespace.cloned().or_else(|| run.namespace());
    let namespace = namespace.ok_or(Error::Incomplete("Run"))?;
    Ok(Names::new(&run.name_any(), &namespace))
}

/// What starting a run came to.
enum Started {
    Running(Names, Arc<Snapshot>),
    Waiting(RunStatus),
    Ended(RunStatus),
}

/// Makes what is not there yet of a run's objects, or takes up a run that another operator began.
async fn start(context: &Context, run: &Run) -> Result<Started, Error> {
    let now = context.clock.now();
    let waiting = |reason: &str, message: &str| {
        Ok(Started::Waiting(report::waiting(run, reason, message, now)))
    };
    let before = run.status.clone().unwrap_or_default();
    let failed = |reason: &str, message: &str| {
        Ok(Started::Ended(report::ended(run, &before, false, reason, message, now)))
    };
    if run.annotations().contains_key(annotation::TARGET_NAMESPACE) {
        let names = names_of(run)?;
        if let Some((owner, snapshot)) = stored_snapshot(context, run, &names).await? {
            return begin(context, run, names, Arc::new(snapshot), owner).await;
        }
    }
    let run_namespace = run.namespace().ok_or(Error::Incomplete("Run"))?;
    let workflow_name = &run.spec.workflow_ref.name;
    let workflows: Api<Workflow> = Api::namespaced(context.client.clone(), &run_namespace);
    let workflow = match workflow_name.as_str() {
        "" => None,
        name => workflows
            .get_opt(name)
            .await
            .map_err(Error::api("read", format!("Workflow {run_namespace}/{name}")))?,
    };
    let Some(workflow) = workflow else {
        let message = format!("there is no workflow {workflow_name:?} in {run_namespace}");
        return waiting("WorkflowNotFound", &message);
    };
    if workflow.spec.steps.is_empty() {
        return Ok(Started::Ended(report::ended(run, &before, true, "", "", now)));
    }
    let tenant_name = &workflow.spec.tenant_ref.name;
    let namespace = match tenant_namespace(context, &run_namespace, tenant_name).await? {
        Ok(namespace) => namespace,
        Err((reason, message)) => return waiting(reason, &message),
    };
    let stored = StoredWorkflow { name: workflow.name_any(), spec: workflow.spec.clone() };
    let snapshot = match Snapshot::new(stored, run) {
        Ok(snapshot) => Arc::new(snapshot),
        Err(error) => return failed("InvalidWorkflow", &error.to_string()),
    };
    let names = Names::new(&run.name_any(), &namespace);
    let immutable = match objects::immutable(run, &snapshot, &names) {
        Ok(immutable) => immutable,
        Err(error) => return failed("InvalidRun", &error.to_string()),
    };
    apply::adopt(context, run, &namespace).await?;
    match apply::create(context, run, &immutable).await? {
        Made::Ours(owner) => {
            // Somebody may have made it before from what the workflow said then.
            let snapshot = match read_snapshot(&owner, run) {
                Some(stored) => Arc::new(stored),
                None => snapshot,
            };
            begin(context, run, names, snapshot, owner).await
        }
        Made::Foreign => {
            let message = format!("{namespace}/{} belongs to something else", names.immutable);
            failed("NameConflict", &message)
        }
        Made::Refused(message) => failed("InvalidRun", &message),
    }
}

/// Makes the rest, once the owner is there.
async fn begin(
    context: &Context,
    run: &Run,
    names: Names,
    snapshot: Arc<Snapshot>,
    owner: Arc<ConfigMap>,
) -> Result<Started, Error> {
    // A run that has a start time has been begun before: what is missing now was deleted.
    if run.status.as_ref().is_some_and(|status| status.start_time.is_some()) {
        return Ok(Started::Running(names, snapshot));
    }
    let now = context.clock.now();
    let Some(namespace_uid) = apply::namespace_uid(context, &names.namespace).await? else {
        let message = format!("there is no namespace {:?}", names.namespace);
        return Ok(Started::Waiting(report::waiting(run, "NamespaceNotFound", &message, now)));
    };
    let before = run.status.clone().unwrap_or_default();
    let failed = |reason: &str, message: &str| {
        Ok(Started::Ended(report::ended(run, &before, false, reason, message, now)))
    };
    let limits = match Limits::of(run, &context.settings) {
        Ok(limits) => limits,
        Err(error) => return failed("InvalidRun", &error.to_string()),
    };
    let mutable = objects::mutable(run, &snapshot, &names, &owner);
    match apply::create(context, run, &mutable).await? {
        Made::Ours(_) => {}
        Made::Foreign => {
            let (namespace, name) = (&names.namespace, &names.mutable);
            let message = format!("{namespace}/{name} belongs to something else");
            return failed("NameConflict", &message);
        }
        Made::Refused(message) => return failed("InvalidRun", &message),
    }
    let tokens = token::sealed(context, run, &snapshot, &names, &namespace_uid, limits.run).await?;
    let settings = &context.settings;
    let pipeline_run =
        objects::pipeline_run(run, &snapshot, &names, &owner, &tokens, limits, settings);
    let before = run.status.clone().unwrap_or_default();
    let failed = |reason: &str, message: &str| {
        Ok(Started::Ended(report::ended(run, &before, false, reason, message, now)))
    };
    match apply::create(context, run, &pipeline_run).await? {
        Made::Ours(_) => Ok(Started::Running(names, snapshot)),
        Made::Foreign => {
            let (namespace, name) = (&names.namespace, &names.pipeline_run);
            failed("NameConflict", &format!("{namespace}/{name} belongs to something else"))
        }
        Made::Refused(message) => failed("PipelineRefused", &message),
    }
}

async fn stored_snapshot(
    context: &Context,
    run: &Run,
    names: &Names,
) -> Result<Option<(Arc<ConfigMap>, Snapshot)>, Error> {
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &names.namespace);
    let what = format!("ConfigMap {}/{}", names.namespace, names.immutable);
    let found = api.get_opt(&names.immutable).await.map_err(Error::api("read", what))?;
    let ours = found.filter(|map| {
        crate::DependencyOf::of(&map.metadata) == Some(crate::DependencyOf::new(run))
    });
    Ok(ours.and_then(|map| {
        let snapshot = read_snapshot(&map, run)?;
        Some((Arc::new(map), snapshot))
    }))
}

/// The workflow and the parameters as they were when the run started.
fn read_snapshot(map: &ConfigMap, run: &Run) -> Option<Snapshot> {
    let data = map.data.as_ref()?;
    let stored: StoredWorkflow = serde_json::from_str(data.get(key::WORKFLOW)?).ok()?;
    let mut snapshot = Snapshot::new(stored, run).ok()?;
    snapshot.parameters = data
        .iter()
        .filter_map(|(entry, text)| {
            let value = Value::from_json(text).ok()?.decode_transfer().ok()?;
            Some((key::parameter_name(entry)?.into(), value))
        })
        .collect();
    Some(snapshot)
}

/// The namespace of a tenant's runs, or why there is none yet.
async fn tenant_namespace(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<Result<String, (&'static str, String)>, Error> {
    let tenants: Api<Tenant> = Api::namespaced(context.client.clone(), namespace);
    let found = match name {
        "" => None,
        name => tenants
            .get_opt(name)
            .await
            .map_err(Error::api("read", format!("Tenant {namespace}/{name}")))?,
    };
    let Some(tenant) = found else {
        let message = format!("there is no tenant {name:?} in {namespace}");
        return Ok(Err(("TenantNotFound", message)));
    };
    let generation = tenant.metadata.generation;
    let status = tenant.status.unwrap_or_default();
    let current = status.observed_generation == generation;
    let condition = Condition::find(&status.conditions, "NamespaceReady");
    match (condition.filter(|condition| condition.is_true() && current), status.namespace) {
        (Some(_), Some(namespace)) => Ok(Ok(namespace)),
        _ => {
            let why = condition.and_then(|condition| condition.message.clone());
            let why = why.unwrap_or_else(|| "its namespace is not ready yet".to_owned());
            Ok(Err(("TenantNotReady", format!("tenant {name:?}: {why}"))))
        }
    }
}

/// Looks at everything; `None` when the PipelineRun is gone.
///
/// The order matters: what a step wrote before its TaskRun ended has to be seen once the end is,
/// so the ConfigMap is read last, and from the API server.
async fn observe(
    context: &Context,
    reconciler: &Reconciler,
    run: &Arc<Run>,
    running: &Running,
) -> Result<Option<World>, Error> {
    let Running { names, snapshot, .. } = running;
    let Some(pipeline_run) = pipeline_run(context, reconciler, names).await? else {
        return Ok(None);
    };
    let tasks = reconciler.task_runs.of(&names.namespace, &names.pipeline_run);
    let gates = reconciler.gates.of(&names.namespace, &names.pipeline_run);
    let lost = lost(context, names, &pipeline_run, &tasks, &gates).await?;
    let maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), &names.namespace);
    let what = format!("ConfigMap {}/{}", names.namespace, names.mutable);
    let mutable = maps.get_opt(&names.mutable).await.map_err(Error::api("read", what))?;
    let data = mutable.and_then(|map| map.data).unwrap_or_default();
    let records = snapshot.steps.iter().map(|step| StepRecord::read(&data, &step.action)).collect();
    Ok(Some(World {
        run: Arc::clone(run),
        snapshot: Arc::clone(snapshot),
        pipeline_run,
        tasks,
        gates,
        records,
        stored_state: data,
        lost,
        before: running.status.clone(),
        now: context.clock.now(),
    }))
}

/// The children that a PipelineRun which has ended tells of, and that are not there. That is only
/// said after asking: news of them may be on the way.
async fn lost(
    context: &Context,
    names: &Names,
    pipeline_run: &PipelineView,
    tasks: &BTreeMap<String, Arc<TaskRun>>,
    gates: &BTreeMap<String, Arc<CustomRun>>,
) -> Result<BTreeSet<String>, Error> {
    let mut lost = BTreeSet::new();
    let status = &pipeline_run.status;
    if !relay_model::knative_condition::Condition::is_done(&status.conditions) {
        return Ok(lost);
    }
    for child in &status.child_references {
        let task = &child.pipeline_task_name;
        if tasks.contains_key(task) || gates.contains_key(task) {
            continue;
        }
        let namespace = &names.namespace;
        let what = format!("{} {namespace}/{}", child.kind, child.name);
        let client = context.client.clone();
        let found = if child.kind == "TaskRun" {
            let api: Api<TaskRun> = Api::namespaced(client, namespace);
            api.get_metadata_opt(&child.name).await.map(|found| found.is_some())
        } else {
            let api: Api<CustomRun> = Api::namespaced(client, namespace);
            api.get_metadata_opt(&child.name).await.map(|found| found.is_some())
        };
        if !found.map_err(Error::api("read", what))? {
            lost.insert(task.clone());
        }
    }
    Ok(lost)
}

/// The PipelineRun as it was seen last. That there is none is only said after asking.
async fn pipeline_run(
    context: &Context,
    reconciler: &Reconciler,
    names: &Names,
) -> Result<Option<Arc<PipelineView>>, Error> {
    let reference = ObjectRef::new(&names.pipeline_run).within(&names.namespace);
    if let Some(seen) = reconciler.pipeline_runs.get(&reference) {
        return Ok(Some(seen));
    }
    let api: Api<PipelineView> = Api::namespaced(context.client.clone(), &names.namespace);
    let what = format!("PipelineRun {}/{}", names.namespace, names.pipeline_run);
    let found = api.get_opt(&names.pipeline_run).await.map_err(Error::api("read", what))?;
    Ok(found.map(Arc::new))
}

/// The verdicts on the gates that wait, by pipeline task.
async fn verdicts(
    context: &Context,
    world: &World,
    progress: &[progress::Progress],
) -> Result<BTreeMap<String, Verdict>, Error> {
    // What is no duration was refused when the run began; what became none since is not heard.
    let waits = objects::duration(&world.run, annotation::APPROVAL_TIMEOUT).ok().flatten();
    let waits = waits.unwrap_or(context.settings.approval_timeout);
    let mut verdicts = BTreeMap::new();
    for step in &world.snapshot.steps {
        let Some((task, gate)) =
            step.gate.as_ref().and_then(|task| Some((task, world.gates.get(task)?)))
        else {
            continue;
        };
        let status = gate.status.as_ref().map(|status| status.conditions.as_slice());
        let done = status.is_some_and(relay_model::knative_condition::Condition::is_done);
        if done || gate.spec.status.is_some() {
            continue;
        }
        let evaluated = gate::evaluate(context, world, progress, step).await?;
        let verdict = gate::decide(world, progress, step, gate, &evaluated, waits);
        verdicts.insert(task.clone(), verdict);
    }
    Ok(verdicts)
}
