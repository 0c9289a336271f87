//! What a reconcile looks at.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use relay_model::tekton::{CustomRun, PipelineRun, TaskRun};
use relay_model::v1beta1::Run;
use relay_store::StepRecord;

use super::snapshot::Snapshot;

/// A run that has started, and everything that exists for it.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) run: Arc<Run>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) pipeline_run: Option<Arc<PipelineRun>>,
    /// TaskRuns by the name of their pipeline task.
    pub(super) tasks: BTreeMap<String, Arc<TaskRun>>,
    /// Gates by the name of their pipeline task.
    pub(super) gates: BTreeMap<String, Arc<CustomRun>>,
    /// What the steps left behind, by their place in the snapshot.
    pub(super) records: Vec<StepRecord>,
    /// What is asked of steps that the mutable ConfigMap does not say yet.
    pub(super) stored_state: BTreeMap<String, String>,
    pub(super) now: Timestamp,
}
