//! What a reconcile looks at.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, ObjectMeta};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource, ResourceExt as _};
use relay_model::knative_condition::Condition;
use relay_model::tekton::{
    CustomRun, PIPELINE_RUN_LABEL, PIPELINE_TASK_LABEL, PipelineRun, PipelineRunStatus, TaskRun,
    TaskRunStatus,
};
use relay_model::v1beta1::{ConditionStatus, Run, RunStatus, StepStatus};
use relay_store::StepRecord;
use serde::{Deserialize, Serialize};

use super::children::ByTask;
use super::objects::Names;
use super::progress::{self, Progress};
use super::reconcile::{Reconciler, Running};
use super::snapshot::{PlannedStep, Snapshot};
use crate::read::read;
use crate::unread::Unread;
use crate::{Context, Error};

/// What is looked at of a PipelineRun. The graph in it is large and does not change: it is not kept.
#[derive(Clone, Debug, Resource, Serialize, Deserialize)]
#[resource(inherit = PipelineRun)]
pub(super) struct PipelineView {
    #[serde(deserialize_with = "crate::unread::metadata")]
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    pub(super) spec: PipelineViewSpec,
    #[serde(default)]
    pub(super) status: PipelineRunStatus,
}

/// What is looked at of its spec.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct PipelineViewSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<String>,
}

/// What is looked at of a TaskRun: what it was told to do is left out.
#[derive(Clone, Debug, Resource, Deserialize)]
#[resource(inherit = TaskRun)]
pub(super) struct TaskView {
    pub(super) metadata: ObjectMeta,
    pub(super) status: TaskRunStatus,
}

impl PipelineView {
    /// Takes what is looked at from an object as it came.
    pub(super) fn read(object: Unread<PipelineRun>) -> serde_json::Result<Self> {
        let (spec, status) = (object.spec()?, object.status()?.unwrap_or_default());
        Ok(Self { metadata: object.metadata, spec, status })
    }

    /// As much as tells which one it is, and whose.
    pub(super) fn bare(metadata: ObjectMeta) -> Self {
        Self { metadata, spec: PipelineViewSpec::default(), status: PipelineRunStatus::default() }
    }

    /// What a change has to touch for its run to be looked at.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let condition = Condition::of(&self.status.conditions);
        condition.map(|c| (c.status == ConditionStatus::Unknown, &c.reason)).hash(&mut hasher);
        self.spec.status.hash(&mut hasher);
        self.metadata.deletion_timestamp.is_some().hash(&mut hasher);
        hasher.finish()
    }
}

impl TaskView {
    /// Takes what is looked at from an object as it came.
    pub(super) fn read(object: Unread<TaskRun>) -> serde_json::Result<Self> {
        let status = object.status()?.unwrap_or_default();
        Ok(Self { metadata: object.metadata, status })
    }

    /// As much as tells which one it is, and whose.
    pub(super) fn bare(metadata: ObjectMeta) -> Self {
        Self { metadata, status: TaskRunStatus::default() }
    }
}

/// What the watches show of a run that has started.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) pipeline_run: Arc<PipelineView>,
    /// TaskRuns by the name of their pipeline task.
    pub(super) tasks: Arc<ByTask<TaskView>>,
    /// Gates by the name of their pipeline task.
    pub(super) gates: Arc<ByTask<CustomRun>>,
}

impl Watched {
    /// Whether a gate waits for its decision.
    pub(super) fn has_open_gates(&self) -> bool {
        self.gates.values().any(|gate| is_open(gate))
    }

    /// Whether the PipelineRun has ended.
    pub(super) fn is_done(&self) -> bool {
        Condition::is_done(&self.pipeline_run.status.conditions)
    }
}

fn is_open(gate: &CustomRun) -> bool {
    gate.status.as_ref().is_none_or(|status| !Condition::is_done(&status.conditions))
}

/// A run that has started, and everything that exists for it. What concerns one step is worked
/// out when it is asked for: most reconciles look at a few steps of many.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) run: Arc<Run>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) watched: Watched,
    /// What the mutable ConfigMap says.
    pub(super) data: BTreeMap<String, String>,
    records: Vec<OnceLock<Box<StepRecord>>>,
    progress: Vec<OnceLock<Box<Progress>>>,
    /// Children that the PipelineRun tells of and that are not there any more.
    pub(super) lost: BTreeSet<String>,
    /// Tasks of steps that reported their end, and that certainly have no TaskRun.
    pub(super) absent: BTreeSet<String>,
    /// What was reported last.
    pub(super) before: Arc<RunStatus>,
    pub(super) now: Timestamp,
}

impl World {
    /// What a step left behind, by its place in the snapshot.
    pub(super) fn record(&self, index: usize) -> Option<&StepRecord> {
        let step = self.snapshot.steps.get(index)?;
        let cell = self.records.get(index)?;
        Some(cell.get_or_init(|| Box::new(StepRecord::read(&self.data, &step.action))))
    }

    /// How far a step has got, by its place in the snapshot.
    pub(super) fn progress(&self, index: usize) -> Option<&Progress> {
        let step = self.snapshot.steps.get(index)?;
        let cell = self.progress.get(index)?;
        Some(cell.get_or_init(|| {
            let reported = self.record(index).and_then(|record| record.status.clone());
            Box::new(progress::of(self, index, step, reported.unwrap_or_default()))
        }))
    }

    /// The steps whose gates have not come to their end, with those gates, in the order of the
    /// snapshot.
    pub(super) fn open_gates(&self) -> Vec<(usize, &PlannedStep, &CustomRun)> {
        let gates = self.watched.gates.iter().filter(|(_, gate)| is_open(gate));
        let mut open: Vec<_> = gates
            .filter_map(|(task, gate)| {
                let index = self.snapshot.step_behind(task)?;
                Some((index, self.snapshot.steps.get(index)?, &**gate))
            })
            .collect();
        open.sort_by_key(|(index, ..)| *index);
        open
    }

    /// What was reported last of a step, by its place in the snapshot.
    pub(super) fn reported(&self, index: usize) -> Option<&StepStatus> {
        let name = self.snapshot.steps.get(index)?.name.as_str();
        // A status names the steps in the order of the snapshot, unless somebody else wrote it.
        let found = self.before.steps.get(index).filter(|step| step.name == name);
        found.or_else(|| self.before.steps.iter().find(|step| step.name == name))
    }
}

/// Looks at what the watches show; `None` when the PipelineRun is gone.
pub(super) async fn watched(
    context: &Context,
    reconciler: &Reconciler,
    names: &Names,
) -> Result<Option<Watched>, Error> {
    let Some(pipeline_run) = pipeline_run(context, reconciler, names).await? else {
        return Ok(None);
    };
    Ok(Some(Watched {
        pipeline_run,
        tasks: reconciler.task_runs.of(names),
        gates: reconciler.gates.of(names),
    }))
}

/// Adds what the mutable ConfigMap says.
///
/// The order matters: what a step wrote before its TaskRun ended has to be seen once the end is,
/// so this is read after it, and from the API server. Only when the run is looked at as a `whole` it
/// is made certain which TaskRuns are not there.
pub(super) async fn observe(
    context: &Context,
    run: &Arc<Run>,
    running: &Running,
    watched: Watched,
    whole: bool,
) -> Result<World, Error> {
    let Running { names, snapshot, .. } = running;
    let lost = lost(context, names, &watched).await?;
    let maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), &names.namespace);
    let what = format!("ConfigMap {}/{}", names.namespace, names.mutable);
    let mutable = read(|| maps.get_opt(&names.mutable)).await.map_err(Error::api("read", what))?;
    let steps = snapshot.steps.len();
    let mut world = World {
        run: Arc::clone(run),
        snapshot: Arc::clone(snapshot),
        watched,
        data: mutable.and_then(|map| map.data).unwrap_or_default(),
        records: vec![OnceLock::new(); steps],
        progress: vec![OnceLock::new(); steps],
        lost,
        absent: BTreeSet::new(),
        before: Arc::clone(&running.written.status),
        now: context.clock.now(),
    };
    if whole {
        world.absent = absent(context, names, &world).await?;
    }
    Ok(world)
}

/// The tasks of steps that reported their end before a TaskRun was seen, without those of which news
/// are on the way.
async fn absent(
    context: &Context,
    names: &Names,
    world: &World,
) -> Result<BTreeSet<String>, Error> {
    let mut unseen = BTreeSet::new();
    if world.watched.is_done() {
        return Ok(unseen);
    }
    for (index, step) in world.snapshot.steps.iter().enumerate() {
        let Some(task) = step.task.as_ref() else { continue };
        let reported = || world.record(index)?.status.as_ref();
        let has_ended =
            || reported().is_some_and(|status| progress::reported_end(status).is_some());
        if !world.watched.tasks.contains_key(task.as_str()) && has_ended() {
            unseen.insert(task.clone());
        }
    }
    if unseen.is_empty() {
        return Ok(unseen);
    }
    let api: Api<TaskRun> = Api::namespaced(context.client.clone(), &names.namespace);
    let params =
        ListParams::default().labels(&format!("{PIPELINE_RUN_LABEL}={}", names.pipeline_run));
    let what = format!("TaskRuns of {}/{}", names.namespace, names.pipeline_run);
    let found = read(|| api.list_metadata(&params)).await.map_err(Error::api("list", what))?;
    for there in found.items.iter().filter(|found| names.are_of(&found.metadata)) {
        if let Some(task) = there.labels().get(PIPELINE_TASK_LABEL) {
            unseen.remove(task);
        }
    }
    Ok(unseen)
}

/// The children that a PipelineRun which has ended tells of, and that are not there. That is only
/// said after asking: news of them may be on the way.
async fn lost(
    context: &Context,
    names: &Names,
    watched: &Watched,
) -> Result<BTreeSet<String>, Error> {
    let mut lost = BTreeSet::new();
    if !watched.is_done() {
        return Ok(lost);
    }
    for child in &watched.pipeline_run.status.child_references {
        let task = &child.pipeline_task_name;
        if watched.tasks.contains_key(task.as_str()) || watched.gates.contains_key(task.as_str()) {
            continue;
        }
        let namespace = &names.namespace;
        let what = format!("{} {namespace}/{}", child.kind, child.name);
        let client = context.client.clone();
        let found = if child.kind == "TaskRun" {
            let api: Api<TaskRun> = Api::namespaced(client, namespace);
            read(|| api.get_metadata_opt(&child.name)).await.map(|found| found.map(|k| k.metadata))
        } else {
            let api: Api<CustomRun> = Api::namespaced(client, namespace);
            read(|| api.get_metadata_opt(&child.name)).await.map(|found| found.map(|k| k.metadata))
        };
        let found = found.map_err(Error::api("read", what))?;
        if !found.is_some_and(|metadata| names.are_of(&metadata)) {
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
    // One that an earlier run of this name left may still be shown.
    let seen = reconciler.pipeline_runs.get(&reference);
    if let Some(seen) = seen.filter(|seen| names.are_of(&seen.metadata)) {
        return Ok(Some(seen));
    }
    let api: Api<PipelineView> = Api::namespaced(context.client.clone(), &names.namespace);
    let what = format!("PipelineRun {}/{}", names.namespace, names.pipeline_run);
    let found =
        read(|| api.get_opt(&names.pipeline_run)).await.map_err(Error::api("read", what))?;
    Ok(found.filter(|found| names.are_of(&found.metadata)).map(Arc::new))
}
