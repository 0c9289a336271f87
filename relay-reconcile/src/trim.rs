//! Leaving out of what watches keep whatever no reconcile looks at: an operator knows thousands of
//! objects that have ended long ago.

use kube::api::ObjectMeta;
use relay_model::annotation;
use relay_model::tekton::{PIPELINE_RUN_LABEL, PIPELINE_TASK_LABEL};
use relay_model::v1beta1::{Run, RunStatus};

/// What `kubectl apply` keeps of a whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Of the metadata of a custom resource, who set which field.
pub(crate) fn metadata(metadata: &mut ObjectMeta) {
    metadata.managed_fields = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(LAST_APPLIED);
    }
}

/// Of the metadata of an object that a run made or that was made for it, everything but what it
/// belongs to. A token would not be safe here.
pub(crate) fn to_links(metadata: &mut ObjectMeta) {
    metadata.managed_fields = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.retain(|key, _| key == annotation::DEPENDENCY_OF);
    }
    if let Some(labels) = &mut metadata.labels {
        let needed = [annotation::RUN_ID, PIPELINE_RUN_LABEL, PIPELINE_TASK_LABEL];
        labels.retain(|key, _| needed.contains(&key.as_str()));
    }
    metadata.owner_references = None;
    metadata.generate_name = None;
    metadata.self_link = None;
}

/// Of a run that has ended, what it was given and what came of its steps.
pub(crate) fn run(run: &mut Run) {
    metadata(&mut run.metadata);
    if run.status.as_ref().is_some_and(RunStatus::is_completed) {
        run.spec.parameters.clear();
        run.spec.state.steps.clear();
        if let Some(status) = &mut run.status {
            status.steps = Vec::new();
        }
    }
}
