use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{Condition, Container, TenantReference};

/// A container that receives webhooks and emits events.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "relay.sh",
    version = "v1beta1",
    kind = "WebhookTrigger",
    namespaced,
    derive = "PartialEq",
    status = "WebhookTriggerStatus",
    shortname = "wht",
    printcolumn = r#"{"name": "Tenant", "type": "string", "jsonPath": ".spec.tenantRef.name"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name": "URL", "type": "string", "jsonPath": ".status.url"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct WebhookTriggerSpec {
    /// The tenant, in the same namespace.
    pub tenant_ref: TenantReference,
    /// The name in identity and events; the object's own where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it runs.
    #[serde(flatten)]
    pub container: Container,
}

/// What became of a webhook trigger.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WebhookTriggerStatus {
    /// The generation of the trigger that this was computed from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The namespace in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Where it is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// `ServiceReady`, `Ready`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
}

fn conditions(generator: &mut SchemaGenerator) -> Schema {
    super::conditions(generator, &["ServiceReady", "Ready"])
}
