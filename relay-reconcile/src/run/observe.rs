//! What a reconcile looks at.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource};
use relay_model::knative_condition::Condition;
use relay_model::tekton::{CustomRun, PipelineRun, PipelineRunStatus, TaskRun};
use relay_model::v1beta1::{ConditionStatus, Run, RunStatus};
use relay_store::StepRecord;
use serde::{Deserialize, Serialize};

use super::objects::Names;
use super::reconcile::{Reconciler, Running};
use super::snapshot::Snapshot;
use crate::{Context, Error};

/// What is looked at of a PipelineRun. The graph in it is large and does not change: it is not kept.
#[derive(Clone, Debug, Resource, Serialize, Deserialize)]
#[resource(inherit = PipelineRun)]
pub(super) struct PipelineView {
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

impl PipelineView {
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

/// A run that has started, and everything that exists for it.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) run: Arc<Run>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) pipeline_run: Arc<PipelineView>,
    /// TaskRuns by the name of their pipeline task.
    pub(super) tasks: BTreeMap<String, Arc<TaskRun>>,
    /// Gates by the name of their pipeline task.
    pub(super) gates: BTreeMap<String, Arc<CustomRun>>,
    /// What the steps left behind, by their place in the snapshot.
    pub(super) records: Vec<StepRecord>,
    /// What is asked of steps that the mutable ConfigMap does not say yet.
    pub(super) stored_state: BTreeMap<String, String>,
    /// Children that the PipelineRun tells of and that are not there any more.
    pub(super) lost: BTreeSet<String>,
    /// What was reported last.
    pub(super) before: RunStatus,
    pub(super) now: Timestamp,
}

/// Looks at everything; `None` when the PipelineRun is gone.
///
/// The order matters: what a step wrote before its TaskRun ended has to be seen once the end is,
/// so the ConfigMap is read last, and from the API server.
pub(super) async fn observe(
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
    if !Condition::is_done(&status.conditions) {
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
