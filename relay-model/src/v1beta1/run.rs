use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use relay_core::Value;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::Condition;

/// One execution of a workflow.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "relay.sh",
    version = "v1beta1",
    kind = "Run",
    namespaced,
    derive = "PartialEq",
    derive = "Default",
    status = "RunStatus",
    shortname = "wfr",
    printcolumn = r#"{"name": "Workflow", "type": "string", "jsonPath": ".spec.workflowRef.name"}"#,
    printcolumn = r#"{"name": "Completed", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Completed')].status"}"#,
    printcolumn = r#"{"name": "Succeeded", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Succeeded')].status"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct RunSpec {
    /// The workflow, in the same namespace. It stays what it was when the run was made.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "self == oldSelf", "message": "a run keeps its workflow"},
    ]))]
    pub workflow_ref: WorkflowReference,
    /// Values of parameters; those that the workflow does not declare are passed on too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "super::any_map")]
    pub parameters: BTreeMap<String, Value>,
    /// What is wanted of the run while it goes on: cancelling, and answers to approvals.
    #[serde(default, skip_serializing_if = "RunState::is_empty")]
    pub state: RunState,
}

/// The name of a workflow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowReference {
    /// Its name.
    #[serde(default)]
    #[schemars(transform = super::without_default)]
    pub name: String,
}

/// The wanted state of a run and its steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunState {
    /// Of the run: `cancel: true` has a meaning.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "super::any_map")]
    pub workflow: BTreeMap<String, Value>,
    /// Of steps, by name: `approval` holds an answer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "super::any_maps")]
    pub steps: BTreeMap<String, BTreeMap<String, Value>>,
}

impl RunState {
    fn is_empty(&self) -> bool {
        self.workflow.is_empty() && self.steps.is_empty()
    }
}

impl RunSpec {
    /// Whether the run is to be cancelled; only the boolean `true` says so.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.state.workflow.get("cancel").and_then(Value::as_bool) == Some(true)
    }
}

/// What became of a run (`operator.md` §7).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RunStatus {
    /// The generation of the run that this was computed from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When the operator took the run up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it was completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// `Cancelled`, `Completed`, `Succeeded`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
    /// The steps, in the order of the workflow.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub steps: Vec<StepStatus>,
}

impl RunStatus {
    /// The condition `Completed`, `Succeeded` or `Cancelled`.
    #[must_use]
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        Condition::find(&self.conditions, kind)
    }

    /// Whether the run has ended.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.condition("Completed").is_some_and(Condition::is_true)
    }
}

/// What became of a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// Its name.
    pub name: String,
    /// `Completed`, `Skipped`, `Succeeded`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "step_conditions")]
    pub conditions: Vec<Condition>,
    /// When its conditions were met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When its program ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Kept for readers of the field; never set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_time: Option<Time>,
    /// Its outputs, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub outputs: Vec<OutputStatus>,
    /// What was said about it, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<MessageStatus>,
    /// What to show beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub decorators: Vec<StepDecorator>,
    /// Where its log is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<LogReference>,
}

impl StepStatus {
    /// The condition `Completed`, `Skipped` or `Succeeded`.
    #[must_use]
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        Condition::find(&self.conditions, kind)
    }
}

/// An output of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OutputStatus {
    /// Its name.
    pub name: String,
    /// Whether its value is to be kept out of sight.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
    /// Its value; null when it is sensitive or too large to show.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[schemars(schema_with = "super::any")]
    pub value: Value,
    /// Why the value is not shown, where it is too large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub omitted: Option<String>,
}

/// Something that was said about a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageStatus {
    /// What it is about.
    pub source: MessageSourceStatus,
    /// How bad it is.
    pub severity: Severity,
    /// When it was said.
    pub observation_time: Time,
    /// A short form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 24))]
    pub short: Option<String>,
    /// The text.
    #[schemars(length(max = 1024))]
    pub details: String,
}

/// What a message is about: one of the members is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageSourceStatus {
    /// The evaluation of a condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_evaluation: Option<WhenEvaluation>,
    /// The check of a spec against its schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec_validation: Option<SpecValidation>,
    /// Something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::open_object")]
    pub log: Option<BTreeMap<String, Value>>,
}

/// A condition that was evaluated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WhenEvaluation {
    /// Where in the tree.
    pub path: String,
    /// The tree.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[schemars(schema_with = "super::any")]
    pub expression: Value,
}

/// A spec that was checked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpecValidation {
    /// Where in the tree.
    pub path: String,
    /// The tree.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[schemars(schema_with = "super::any")]
    pub expression: Value,
    /// The schema.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[schemars(schema_with = "super::any")]
    pub schema: Value,
}

/// How bad a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Severity {
    /// For those who look closely.
    Trace,
    /// Good to know.
    Informational,
    /// May be a problem.
    Warning,
    /// Is one.
    Error,
}

/// Something to show beside a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepDecorator {
    /// Its name.
    pub name: String,
    /// A link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<StepDecoratorLink>,
}

/// A link beside a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepDecoratorLink {
    /// What it leads to.
    pub description: String,
    /// Where.
    pub uri: String,
}

fn conditions(generator: &mut SchemaGenerator) -> Schema {
    super::conditions(generator, &["Cancelled", "Completed", "Succeeded"])
}

fn step_conditions(generator: &mut SchemaGenerator) -> Schema {
    super::conditions(generator, &["Completed", "Skipped", "Succeeded"])
}

/// Where a log is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LogReference {
    /// The pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The storage key, once it is uploaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}
