//! What starts workflows beside webhooks: the custom resources of `triggers.relay.sh/v1alpha1`
//! (`workflow-file.md` §7). A group of its own, so that `relay.sh/v1beta1` stays what it is.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{CustomResource, CustomResourceExt as _};
use relay_core::Value;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::v1beta1::{SecretKeySelector, WorkflowReference, any, any_map};

/// The group.
pub const GROUP: &str = "triggers.relay.sh";
/// The group and its version.
pub const API_VERSION: &str = "triggers.relay.sh/v1alpha1";

/// Starts a workflow by the clock.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "triggers.relay.sh",
    version = "v1alpha1",
    kind = "ScheduleTrigger",
    namespaced,
    derive = "PartialEq",
    shortname = "sct",
    printcolumn = r#"{"name": "Workflow", "type": "string", "jsonPath": ".spec.workflowRef.name"}"#,
    printcolumn = r#"{"name": "Schedule", "type": "string", "jsonPath": ".spec.schedule"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleTriggerSpec {
    /// The workflow, in the same namespace.
    pub workflow_ref: WorkflowReference,
    /// The cron line, without a zone.
    pub schedule: String,
    /// The zone whose clock counts, such as `Europe/Berlin`; UTC where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// What the run gets.
    #[serde(default, skip_serializing_if = "Binding::is_empty")]
    pub binding: Binding,
    /// One condition or a list of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any")]
    pub when: Option<Value>,
}

/// Starts a workflow for events that come through the API.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "triggers.relay.sh",
    version = "v1alpha1",
    kind = "PushTrigger",
    namespaced,
    derive = "PartialEq",
    shortname = "pst",
    printcolumn = r#"{"name": "Workflow", "type": "string", "jsonPath": ".spec.workflowRef.name"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct PushTriggerSpec {
    /// The workflow, in the same namespace.
    pub workflow_ref: WorkflowReference,
    /// The Secret with the token that senders show; the receiver makes one where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<SecretKeySelector>,
    /// What the run gets of an event.
    #[serde(default, skip_serializing_if = "Binding::is_empty")]
    pub binding: Binding,
    /// One condition on events or a list of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any")]
    pub when: Option<Value>,
}

/// How an event becomes a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Binding {
    /// The expression for the identity of an event: one that was seen starts no second run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any")]
    pub key: Option<Value>,
    /// Expressions for the parameters of the run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "any_map")]
    pub parameters: BTreeMap<String, Value>,
}

impl Binding {
    /// Whether no data is passed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.key.is_none() && self.parameters.is_empty()
    }
}

/// The definitions of both kinds, for an API server.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    vec![ScheduleTrigger::crd(), PushTrigger::crd()]
}
