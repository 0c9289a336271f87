//! The few Tekton types in use: `tekton.dev/v1` PipelineRun and TaskRun, `v1beta1` CustomRun
//! (`operator.md` §20). Fields that nothing here reads are left out; Tekton keeps its own.

mod gate;
mod run;
mod task;

pub use gate::{
    APPROVAL, Decision, GATE_API_VERSION, GATE_KIND, GateReason, GateSpec, RESULT_DECISION,
    RESULT_REASON,
};
pub use run::{
    ChildReference, CustomRun, CustomRunSpec, CustomRunStatus, EmbeddedRunSpec, PipelineRun,
    PipelineRunSpec, PipelineRunStatus, RunResult, SkippedTask, TaskRun, TaskRunSpec,
    TaskRunStatus, TaskRunStepState, Terminated, TimeoutFields, WorkspaceBinding,
};
pub use task::{
    EmbeddedMetadata, PipelineSpec, PipelineTask, PipelineWorkspace, PodTemplate, Task, TaskRef,
    TaskRunTemplate, TaskSpec, TaskStep, TaskWorkspace, WhenExpression, WorkspaceDeclaration,
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceValidation, JSONSchemaProps,
};
use kube::CustomResourceExt as _;

/// The label with the name of the PipelineRun, on everything that belongs to it.
pub const PIPELINE_RUN_LABEL: &str = "tekton.dev/pipelineRun";
/// The label with the name of the pipeline task, on its TaskRun or CustomRun.
pub const PIPELINE_TASK_LABEL: &str = "tekton.dev/pipelineTask";
/// What `spec.status` of a PipelineRun says to cancel it.
pub const PIPELINE_CANCELLED: &str = "Cancelled";
/// What `spec.status` of a TaskRun says to cancel it.
pub const TASK_CANCELLED: &str = "TaskRunCancelled";
/// What `spec.statusMessage` of a TaskRun says when its PipelineRun was cancelled.
pub const CANCELLED_WITH_PIPELINE: &str =
    "TaskRun cancelled as the PipelineRun it belongs to was cancelled.";
/// What `spec.statusMessage` of a TaskRun says when its PipelineRun has had its time. The message
/// of the TaskRun's condition repeats it.
pub const TIMED_OUT_WITH_PIPELINE: &str =
    "TaskRun cancelled as the PipelineRun it belongs to has timed out.";
/// What `spec.status` of a CustomRun says to cancel it.
pub const CUSTOM_CANCELLED: &str = "RunCancelled";

/// Definitions for an API server that has no Tekton, with open schemas.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    let mut definitions = vec![PipelineRun::crd(), TaskRun::crd(), CustomRun::crd(), Task::crd()];
    for version in definitions.iter_mut().flat_map(|crd| &mut crd.spec.versions) {
        version.schema = Some(CustomResourceValidation {
            open_api_v3_schema: Some(JSONSchemaProps {
                type_: Some("object".to_owned()),
                x_kubernetes_preserve_unknown_fields: Some(true),
                ..JSONSchemaProps::default()
            }),
        });
    }
    definitions
}
