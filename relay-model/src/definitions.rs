//! All custom resources, as an API server is told of them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use crate::workflow_file::PrintError;
use crate::{triggers, v1beta1};

/// The definitions of `relay.sh` and `triggers.relay.sh`.
#[must_use]
pub fn all() -> Vec<CustomResourceDefinition> {
    [v1beta1::definitions(), triggers::definitions()].concat()
}

/// A YAML document for each definition.
///
/// # Errors
///
/// When a definition has no form in YAML.
pub fn to_yaml(definitions: &[CustomResourceDefinition]) -> Result<String, PrintError> {
    let documents: Result<Vec<_>, _> = definitions.iter().map(serde_saphyr::to_string).collect();
    Ok(documents?.join("---\n"))
}
