//! What a reconcile looks at.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use jiff::Timestamp;
use kube::Resource;
use kube::api::ObjectMeta;
use relay_model::knative_condition::Condition;
use relay_model::tekton::{CustomRun, PipelineRun, PipelineRunStatus, TaskRun};
use relay_model::v1beta1::{ConditionStatus, Run, RunStatus};
use relay_store::StepRecord;
use serde::{Deserialize, Serialize};

use super::snapshot::Snapshot;

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
