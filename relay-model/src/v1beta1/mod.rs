//! The custom resources of `relay.sh/v1beta1` (`operator.md` §3).

mod condition;
mod container;
mod request;
mod run;
mod tenant;
mod webhook_trigger;
mod workflow;

pub use condition::{Condition, ConditionStatus};
pub use container::Container;
pub use request::{Answer, RequestError, cancel_patch};
pub use run::{
    LogReference, MessageSourceStatus, MessageStatus, OutputStatus, Run, RunSpec, RunState,
    RunStatus, Severity, SpecValidation, StepDecorator, StepDecoratorLink, StepStatus,
    WhenEvaluation, WorkflowReference,
};
pub use tenant::{
    ApiSink, EventSink, NamespaceTemplate, SecretKeySelector, Tenant, TenantReference, TenantSpec,
    TenantStatus, TokenSource, ToolInjection,
};
pub use webhook_trigger::{WebhookTrigger, WebhookTriggerSpec, WebhookTriggerStatus};
pub use workflow::{Parameter, Step, Workflow, WorkflowSpec};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use schemars::{Schema, SchemaGenerator, json_schema};

/// The definitions of all four kinds, for an API server.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    vec![Run::crd(), Tenant::crd(), WebhookTrigger::crd(), Workflow::crd()]
}

/// Any JSON: what expressions and values are to an API server, which drops a null that it is not told
/// to keep.
pub(crate) fn any(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"nullable": true, "x-kubernetes-preserve-unknown-fields": true})
}

/// An object of any JSON.
pub(crate) fn any_map(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "additionalProperties": any(generator)})
}

/// Objects of any JSON, by name.
fn any_maps(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "additionalProperties": any_map(generator)})
}

/// An object of which nothing is known.
fn open_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// Conditions of these types.
fn conditions(generator: &mut SchemaGenerator, types: &[&str]) -> Schema {
    let mut condition = generator.subschema_for::<Condition>();
    if let Some(kind) =
        condition.pointer_mut("/properties/type").and_then(|kind| kind.as_object_mut())
    {
        kind.insert("enum".to_owned(), types.into());
    }
    json_schema!({
        "type": "array",
        "items": condition,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    })
}

/// The same without a default: what is left out stays out.
fn without_default(schema: &mut Schema) {
    schema.remove("default");
}
