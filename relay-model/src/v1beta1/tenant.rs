use std::collections::BTreeMap;

use kube::CustomResource;
use relay_core::Value;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::Condition;

/// A holder of workflows: a namespace with its policy, and a sink for events.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "relay.sh",
    version = "v1beta1",
    kind = "Tenant",
    namespaced,
    derive = "PartialEq",
    status = "TenantStatus",
    shortname = "tn",
    printcolumn = r#"{"name": "Namespace", "type": "string", "jsonPath": ".status.namespace"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct TenantSpec {
    /// The namespace to make for the tenant's runs. Without a name they go to the tenant's own.
    #[serde(default, skip_serializing_if = "NamespaceTemplate::is_empty")]
    pub namespace_template: NamespaceTemplate,
    /// Kept for objects that have it; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_injection: Option<ToolInjection>,
    /// Where events of triggers go.
    #[serde(default, skip_serializing_if = "EventSink::is_empty")]
    pub trigger_event_sink: EventSink,
    /// Where steps may ask for workflows to be run.
    #[serde(default, skip_serializing_if = "EventSink::is_empty")]
    pub workflow_execution_sink: EventSink,
}

/// The name of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TenantReference {
    /// Its name.
    #[serde(default)]
    #[schemars(transform = super::without_default)]
    pub name: String,
}

/// What a managed namespace is made from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NamespaceTemplate {
    /// Its metadata: `name`, `labels` and `annotations` are used.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "super::open_object")]
    pub metadata: BTreeMap<String, Value>,
}

impl NamespaceTemplate {
    /// The name, where there is one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.metadata.get("name").and_then(Value::as_str).filter(|name| !name.is_empty())
    }

    /// The labels or annotations.
    #[must_use]
    pub fn texts(&self, member: &str) -> BTreeMap<String, String> {
        let members = self.metadata.get(member).and_then(Value::as_map).into_iter().flatten();
        members
            .filter_map(|(key, value)| Some((key.to_string(), value.as_str()?.to_owned())))
            .collect()
    }

    fn is_empty(&self) -> bool {
        self.metadata.is_empty()
    }
}

/// An earlier design's claim for the runtime tools.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolInjection {
    /// The claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::open_object")]
    pub volume_claim_template: Option<Value>,
}

/// A sink for events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventSink {
    /// An HTTP endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<ApiSink>,
}

impl EventSink {
    fn is_empty(&self) -> bool {
        self.api.is_none()
    }
}

/// An HTTP endpoint with a bearer token.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!(has(self.token) && self.token != '' && has(self.tokenFrom) && has(self.tokenFrom.secretKeyRef))",
    "message": "a token is given either in token or by tokenFrom",
}]))]
pub struct ApiSink {
    /// Its URL.
    pub url: String,
    /// The token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Where the token is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_from: Option<TokenSource>,
}

impl std::fmt::Debug for ApiSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiSink")
            .field("url", &self.url)
            .field("token", &self.token.as_ref().map(|_| "[REDACTED]"))
            .field("token_from", &self.token_from)
            .finish()
    }
}

/// Where a token is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenSource {
    /// In a Secret of the tenant's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeySelector>,
}

/// A key of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SecretKeySelector {
    /// The Secret's name.
    #[serde(default)]
    #[schemars(transform = super::without_default)]
    pub name: String,
    /// The key.
    pub key: String,
}

/// What became of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TenantStatus {
    /// The generation of the tenant that this was computed from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The namespace in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// `NamespaceReady`, `EventSinkReady`, `WorkflowExecutionSinkReady`, `Ready`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
}

fn conditions(generator: &mut SchemaGenerator) -> Schema {
    let types = [
        "NamespaceReady",
        "EventSinkReady",
        "WorkflowExecutionSinkReady",
        // Of an earlier design.
        "ToolInjectionReady",
        "Ready",
    ];
    super::conditions(generator, &types)
}
