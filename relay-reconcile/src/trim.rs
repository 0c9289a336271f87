//! Leaving out of what watches keep whatever no reconcile looks at: an operator knows thousands of
//! objects that have ended long ago.

use kube::api::ObjectMeta;
use relay_model::annotation;
use relay_model::tekton::{PIPELINE_RUN_LABEL, PIPELINE_TASK_LABEL};

/// Of the metadata of an object that exists for a run, everything but what it belongs to.
pub(crate) fn to_links(metadata: &mut ObjectMeta) {
    if let Some(annotations) = &mut metadata.annotations {
        annotations.retain(|key, _| key == annotation::DEPENDENCY_OF);
    }
    if let Some(labels) = &mut metadata.labels {
        let needed = [annotation::RUN_ID, PIPELINE_RUN_LABEL, PIPELINE_TASK_LABEL];
        labels.retain(|key, _| needed.contains(&key.as_str()));
    }
    metadata.owner_references = None;
}
