use kube::CustomResource;
use relay_core::Value;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::{Container, TenantReference};

/// A graph of steps.
#[derive(Clone, Debug, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "relay.sh",
    version = "v1beta1",
    kind = "Workflow",
    namespaced,
    derive = "PartialEq",
    shortname = "wf",
    printcolumn = r#"{"name": "Tenant", "type": "string", "jsonPath": ".spec.tenantRef.name"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowSpec {
    /// The tenant, in the same namespace.
    pub tenant_ref: TenantReference,
    /// The parameters, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub parameters: Vec<Parameter>,
    /// The steps, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub steps: Vec<Step>,
}

/// A parameter of a workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it is when a run does not say. Without a default it has to be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::any")]
    pub default: Option<Value>,
}

/// A step of a workflow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Its name, unique in the workflow.
    pub name: String,
    /// What it runs.
    #[serde(flatten)]
    pub container: Container,
    /// One condition or a list of them.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::any")]
    pub when: Option<Value>,
    /// The steps that have to succeed before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
}

/// Null counts as nothing given.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Ok(Some(Value::deserialize(deserializer)?).filter(|value| !value.is_null()))
}

impl Step {
    /// The conditions as written: a list item by item, anything else as one.
    #[must_use]
    pub fn conditions(&self) -> &[Value] {
        match &self.when {
            None => &[],
            Some(Value::List(items)) => items,
            Some(single) => std::slice::from_ref(single),
        }
    }

    /// Whether this is an approval: a step that runs nothing.
    #[must_use]
    pub fn is_approval(&self) -> bool {
        self.container.image.is_empty()
    }
}
