//! What is made for a task: a `TaskRun`, or a `CustomRun` for a custom task.

use std::collections::BTreeMap;

use kube::Resource as _;
use kube::api::ObjectMeta;
use relay_model::tekton::{
    ChildReference, CustomRun, CustomRunSpec, EmbeddedRunSpec, PIPELINE_RUN_LABEL,
    PIPELINE_TASK_LABEL, PipelineRun, PipelineTask, TaskRun, TaskRunSpec, TaskSpec,
};
use sha1::{Digest as _, Sha1};

use crate::executor::ON_ERROR_ANNOTATION;

/// What is made for a task.
#[derive(Clone, Debug)]
pub(super) enum Child {
    Task(Box<TaskRun>),
    Custom(Box<CustomRun>),
}

impl Child {
    /// The child of a task of this PipelineRun.
    pub(super) fn new(run: &PipelineRun, task: &PipelineTask) -> Self {
        let spec = task.task_spec.clone().unwrap_or_default();
        let metadata = metadata(run, task, &spec);
        if !is_custom(&spec) {
            let template = run.spec.task_run_template.clone().unwrap_or_default();
            return Self::Task(Box::new(TaskRun {
                metadata,
                spec: TaskRunSpec {
                    task_spec: Some(TaskSpec { metadata: None, ..spec }),
                    service_account_name: template.service_account_name,
                    pod_template: template.pod_template,
                    timeout: task.timeout.clone(),
                    ..TaskRunSpec::default()
                },
                status: None,
            }));
        }
        Self::Custom(Box::new(CustomRun {
            metadata,
            spec: CustomRunSpec {
                custom_spec: Some(EmbeddedRunSpec {
                    api_version: spec.api_version.unwrap_or_default(),
                    kind: spec.kind.unwrap_or_default(),
                    metadata: spec.metadata,
                    spec: spec.spec,
                }),
                timeout: task.timeout.clone(),
                status: None,
            },
            status: None,
        }))
    }

    pub(super) fn reference(&self) -> ChildReference {
        match self {
            Self::Task(run) => task_reference(&run.metadata),
            Self::Custom(run) => custom_reference(&run.metadata),
        }
    }
}

pub(super) fn task_reference(metadata: &ObjectMeta) -> ChildReference {
    reference(metadata, &TaskRun::api_version(&()), &TaskRun::kind(&()))
}

pub(super) fn custom_reference(metadata: &ObjectMeta) -> ChildReference {
    reference(metadata, &CustomRun::api_version(&()), &CustomRun::kind(&()))
}

/// Whether a reference is to a `CustomRun`.
pub(super) fn is_custom_reference(child: &ChildReference) -> bool {
    child.kind == CustomRun::kind(&())
}

fn reference(metadata: &ObjectMeta, api_version: &str, kind: &str) -> ChildReference {
    let label = metadata.labels.as_ref().and_then(|labels| labels.get(PIPELINE_TASK_LABEL));
    ChildReference {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name: metadata.name.clone().unwrap_or_default(),
        pipeline_task_name: label.cloned().unwrap_or_default(),
    }
}

fn is_custom(spec: &TaskSpec) -> bool {
    match (&spec.api_version, &spec.kind) {
        (Some(version), Some(kind)) => {
            !version.starts_with("tekton.dev/") && !version.is_empty() && !kind.is_empty()
        }
        _ => false,
    }
}

fn metadata(run: &PipelineRun, task: &PipelineTask, spec: &TaskSpec) -> ObjectMeta {
    const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
    let name = run.metadata.name.as_deref().unwrap_or_default();
    let own = spec.metadata.clone().unwrap_or_default();
    let mut labels: BTreeMap<String, String> = run.metadata.labels.clone().unwrap_or_default();
    labels.extend(own.labels);
    labels.insert(PIPELINE_RUN_LABEL.to_owned(), label_value(name));
    labels.insert(PIPELINE_TASK_LABEL.to_owned(), task.name.clone());
    let mut annotations = run.metadata.annotations.clone().unwrap_or_default();
    annotations.remove(LAST_APPLIED);
    annotations.extend(own.annotations);
    if let Some(on_error) = &task.on_error {
        annotations.insert(ON_ERROR_ANNOTATION.to_owned(), on_error.clone());
    }
    ObjectMeta {
        name: Some(child_name(name, &task.name)),
        namespace: run.metadata.namespace.clone(),
        labels: Some(labels),
        annotations: (!annotations.is_empty()).then_some(annotations),
        owner_references: run.controller_owner_ref(&()).map(|mut owner| {
            owner.block_owner_deletion = Some(true);
            vec![owner]
        }),
        ..ObjectMeta::default()
    }
}

const LONGEST_LABEL: usize = 63;
const DIGITS: usize = 16;

/// `RUN-TASK`, which is shortened and made unique by a hash where no label could hold it.
fn child_name(run: &str, task: &str) -> String {
    shortened(format!("{run}-{task}"))
}

fn label_value(text: &str) -> String {
    shortened(text.to_owned())
}

fn shortened(full: String) -> String {
    if full.len() <= LONGEST_LABEL {
        return full;
    }
    let hash = hex::encode(Sha1::digest(full.as_bytes()));
    let head: String = full.chars().take(LONGEST_LABEL - DIGITS - 1).collect();
    let tail: String = hash.chars().take(DIGITS).collect();
    format!("{}-{tail}", head.trim_end_matches(['-', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pipeline_run() -> PipelineRun {
        serde_json::from_value(json!({
            "apiVersion": "tekton.dev/v1",
            "kind": "PipelineRun",
            "metadata": {
                "name": "r", "namespace": "n", "uid": "u",
                "labels": {"own": "label"},
                "annotations": {"own": "annotation"},
            },
            "spec": {"taskRunTemplate": {"serviceAccountName": "account"}},
        }))
        .unwrap()
    }

    fn task(value: serde_json::Value) -> PipelineTask {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_task_becomes_a_task_run() {
        let task = task(json!({
            "name": "t", "timeout": "5m", "onError": "continue",
            "taskSpec": {
                "metadata": {"labels": {"l": "1"}, "annotations": {"a": "2"}},
                "steps": [{"name": "step", "image": "alpine"}],
            },
        }));
        let Child::Task(child) = Child::new(&pipeline_run(), &task) else { panic!("custom") };
        let expected = json!({
            "apiVersion": "tekton.dev/v1",
            "kind": "TaskRun",
            "metadata": {
                "name": "r-t", "namespace": "n",
                "labels": {
                    "own": "label", "l": "1",
                    "tekton.dev/pipelineRun": "r", "tekton.dev/pipelineTask": "t",
                },
                "annotations": {
                    "own": "annotation", "a": "2",
                    "pipeline.tekton.dev/pipeline-task-on-error": "continue",
                },
                "ownerReferences": [{
                    "apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "name": "r", "uid": "u",
                    "controller": true, "blockOwnerDeletion": true,
                }],
            },
            "spec": {
                "taskSpec": {"steps": [{"name": "step", "image": "alpine"}]},
                "serviceAccountName": "account",
                "timeout": "5m",
            },
        });
        assert_eq!(serde_json::to_value(&child).unwrap(), expected);
    }

    #[test]
    fn a_custom_task_becomes_a_custom_run() {
        let task = task(json!({
            "name": "g",
            "taskSpec": {
                "apiVersion": "relay.sh/v1beta1", "kind": "Gate",
                "spec": {"step": "build"},
                "metadata": {"annotations": {"a": "2"}},
            },
        }));
        let child = Child::new(&pipeline_run(), &task);
        assert!(is_custom_reference(&child.reference()));
        let Child::Custom(child) = child else { panic!("no custom task") };
        let value = serde_json::to_value(&child).unwrap();
        assert_eq!(
            value["spec"],
            json!({"customSpec": {
                "apiVersion": "relay.sh/v1beta1", "kind": "Gate", "spec": {"step": "build"},
                "metadata": {"annotations": {"a": "2"}},
            }})
        );
        assert_eq!(value["metadata"]["name"], "r-g");
    }

    #[test]
    fn long_names_are_shortened_and_stay_apart() {
        let (one, other) = (child_name(&"r".repeat(70), "a"), child_name(&"r".repeat(70), "b"));
        assert_ne!(one, other);
        for name in [&one, &other] {
            assert_eq!(name.len(), 63);
        }
        assert_eq!(child_name("r", "t"), "r-t");
        assert!(!child_name(&"-".repeat(70), "t").contains("--"));
    }
}
