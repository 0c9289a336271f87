//! The pipeline of a run: a task for each step, a gate in front of those that wait; pure
//! (`operator.md` §6.5 and §20, `design.md` decisions 3 and 4).

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{ConfigMap, EmptyDirVolumeSource};
use relay_core::Value;
use relay_model::tekton::{
    EmbeddedMetadata, GATE_API_VERSION, GATE_KIND, PIPELINE_CANCELLED, PipelineRun,
    PipelineRunSpec, PipelineSpec, PipelineTask, PipelineWorkspace, PodTemplate, RESULT_DECISION,
    Task, TaskRef, TaskRunTemplate, TaskSpec, TaskWorkspace, TimeoutFields, WhenExpression,
    WorkspaceBinding,
};
use relay_model::v1beta1::Run;
use relay_model::{annotation, name};

use super::objects::{Limits, Names, metadata};
use super::program::Programs;
use super::snapshot::{PlannedStep, Snapshot};
use super::task::{TOOLS, task_spec};
use crate::context::Settings;
use crate::dependency::{DependencyOf, owned_by};
use crate::tenant::step_account;

/// What a pipeline is made from beside its workflow.
pub(super) struct Given<'a> {
    /// The sealed tokens of the steps, in the order of the snapshot.
    pub(super) tokens: Vec<Option<String>>,
    pub(super) programs: Programs,
    pub(super) limits: Limits,
    pub(super) settings: &'a Settings,
}

/// The pipeline.
pub(super) fn pipeline_run(
    run: &Run,
    snapshot: &Snapshot,
    names: &Names,
    owner: &ConfigMap,
    given: &Given<'_>,
) -> PipelineRun {
    let Given { tokens, limits, settings, .. } = given;
    let mut tasks = Vec::new();
    for (index, planned) in snapshot.steps.iter().enumerate() {
        let Some(step) = snapshot.workflow.spec.steps.get(index) else { continue };
        tasks.extend(gate(run, snapshot, planned));
        if let Some(task) = &planned.task {
            let token = tokens.get(index).cloned().flatten().unwrap_or_default();
            tasks.push(PipelineTask {
                name: task.clone(),
                display_name: Some(planned.name.to_string()),
                task_spec: Some(task_spec(run, planned, step, names, &token, given)),
                task_ref: None,
                run_after: planned.gate.clone().into_iter().collect(),
                workspaces: vec![TaskWorkspace {
                    name: TOOLS.to_owned(),
                    workspace: TOOLS.to_owned(),
                }],
                when: planned.gate.as_deref().map(opened_by).into_iter().collect(),
                on_error: Some("continue".to_owned()),
                // Without one, a TaskRun gets Tekton's 60 minutes.
                timeout: Some(limits.step.map_or_else(|| "0".to_owned(), go_duration)),
            });
        }
    }
    let spec = PipelineRunSpec {
        pipeline_spec: Some(PipelineSpec {
            workspaces: vec![PipelineWorkspace { name: TOOLS.to_owned() }],
            tasks,
        }),
        task_run_template: Some(TaskRunTemplate {
            service_account_name: settings
                .policies
                .as_ref()
                .map(|_| step_account(&snapshot.workflow.spec.tenant_ref.name)),
            pod_template: Some(PodTemplate {
                enable_service_links: Some(false),
                automount_service_account_token: Some(false),
            }),
        }),
        // Each pod has its own.
        workspaces: vec![WorkspaceBinding {
            name: TOOLS.to_owned(),
            empty_dir: Some(EmptyDirVolumeSource::default()),
        }],
        timeouts: Some(TimeoutFields {
            // Tekton's own limit would include the time that approvals wait.
            pipeline: Some(limits.run.map_or_else(|| "0".to_owned(), go_duration)),
            tasks: None,
        }),
        status: run.spec.is_cancelled().then(|| PIPELINE_CANCELLED.to_owned()),
    };
    let mut pipeline_run = PipelineRun::new(&names.pipeline_run, spec);
    pipeline_run.metadata = metadata(run, &names.pipeline_run, &names.namespace);
    pipeline_run.metadata.owner_references = owned_by(owner).map(|owner| vec![owner]);
    pipeline_run
}

/// Moves what the tasks of a pipeline do into Tasks of their own, where all of it is too large to be
/// embedded. Gates stay: Tekton has no Tasks for them, and they are small.
pub(super) fn move_out(
    pipeline_run: &mut PipelineRun,
    run: &Run,
    snapshot: &Snapshot,
    max: usize,
) -> Vec<Task> {
    let Some(pipeline) = &mut pipeline_run.spec.pipeline_spec else { return Vec::new() };
    // A graph of text is always JSON.
    if serde_json::to_vec(pipeline).is_ok_and(|json| json.len() <= max) {
        return Vec::new();
    }
    let run_name = run.metadata.name.as_deref().unwrap_or_default();
    let namespace = pipeline_run.metadata.namespace.as_deref().unwrap_or_default();
    let mut moved = Vec::new();
    for task in &mut pipeline.tasks {
        let Some(spec) = task.task_spec.take_if(|spec| spec.kind.is_none()) else { continue };
        // The hash of a step tells apart what is cut off.
        let step = snapshot.steps.iter().find(|step| step.task.as_ref() == Some(&task.name));
        let step = step.map(|step| step.name.as_str()).unwrap_or_default();
        let name = name::suffixed(&format!("{run_name}-{step}"), &format!("-{}", task.name));
        let given = spec.metadata.clone().unwrap_or_default();
        let mut metadata = metadata(run, &name, namespace);
        metadata.labels.get_or_insert_default().extend(given.labels);
        metadata.annotations.get_or_insert_default().extend(given.annotations);
        metadata.owner_references.clone_from(&pipeline_run.metadata.owner_references);
        task.task_ref = Some(TaskRef { name });
        moved.push(Task { metadata, spec: TaskSpec { metadata: None, ..spec } });
    }
    moved
}

/// A duration as Tekton reads it.
fn go_duration(duration: SignedDuration) -> String {
    format!("{}s", duration.as_secs().max(1))
}

fn gate(run: &Run, snapshot: &Snapshot, planned: &PlannedStep) -> Option<PipelineTask> {
    let gate = planned.gate.clone()?;
    let after = planned.after.iter().filter_map(|index| snapshot.steps.get(*index));
    Some(PipelineTask {
        name: gate,
        display_name: Some(format!("gate of {}", planned.name)),
        task_spec: Some(TaskSpec {
            api_version: Some(GATE_API_VERSION.to_owned()),
            kind: Some(GATE_KIND.to_owned()),
            spec: Some(Value::map([("step", Value::from(planned.name.as_str()))])),
            metadata: Some(embedded_metadata(run, planned, [])),
            ..TaskSpec::default()
        }),
        run_after: after
            .filter_map(|step| step.task.clone().or_else(|| step.gate.clone()))
            .collect(),
        ..PipelineTask::default()
    })
}

fn opened_by(gate: &str) -> WhenExpression {
    WhenExpression {
        input: format!("$(tasks.{gate}.results.{RESULT_DECISION})"),
        operator: "in".to_owned(),
        values: vec!["run".to_owned()],
    }
}

pub(super) fn embedded_metadata<const N: usize>(
    run: &Run,
    planned: &PlannedStep,
    more: [(&str, String); N],
) -> EmbeddedMetadata {
    let run_name = run.metadata.name.as_deref().unwrap_or_default();
    let annotations = [
        (annotation::DEPENDENCY_OF, DependencyOf::new(run).to_json()),
        (annotation::STEP, planned.name.to_string()),
    ];
    EmbeddedMetadata {
        labels: [(annotation::RUN_ID.to_owned(), name::label_value(run_name))].into(),
        annotations: annotations
            .into_iter()
            .chain(more)
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    }
}
