//! What the API answers.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The answer of `GET /spec` and `GET /environment`. `Debug` does not show the value, since
/// secrets are resolved in it.
#[derive(Clone, PartialEq, Deserialize)]
pub struct Evaluated {
    /// The value as far as it could be evaluated; unresolved parts stand there unevaluated.
    #[serde(default)]
    pub value: Value,
    /// The references that could not be resolved.
    #[serde(default)]
    pub unresolvable: Unresolvable,
    /// Whether everything was resolved.
    pub complete: bool,
}

impl fmt::Debug for Evaluated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evaluated")
            .field("unresolvable", &self.unresolvable)
            .field("complete", &self.complete)
            .finish_non_exhaustive()
    }
}

/// References without a value, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Unresolvable {
    /// Parts of a trigger's event.
    pub data: Vec<Named>,
    /// Secrets.
    pub secrets: Vec<Named>,
    /// Connections.
    pub connections: Vec<Connection>,
    /// Outputs of other steps.
    pub outputs: Vec<Output>,
    /// Parameters of the run.
    pub parameters: Vec<Named>,
    /// Answers to approvals.
    pub answers: Vec<Answer>,
    /// Properties such as `steps.x.succeeded`.
    pub statuses: Vec<StatusProperty>,
}

impl Unresolvable {
    /// One phrase for each reference, in the words of the API, sorted within each kind.
    pub fn descriptions(&self) -> Vec<String> {
        let mut all = Vec::new();
        let mut add = |mut kind: Vec<String>| {
            kind.sort_unstable();
            all.append(&mut kind);
        };
        let named = |kind: &str, names: &[Named]| {
            names.iter().map(|named| format!("{kind} {:?}", named.name)).collect()
        };
        add(named("data", &self.data));
        add(named("secret", &self.secrets));
        add(self
            .connections
            .iter()
            .map(|c| format!("connection type {:?} with name {:?}", c.kind, c.name))
            .collect());
        add(self
            .outputs
            .iter()
            .map(|o| format!("output {:?} of step {:?}", o.name, o.from))
            .collect());
        add(named("parameter", &self.parameters));
        add(self
            .answers
            .iter()
            .map(|a| format!("answer {:?} of ask {:?}", a.name, a.ask))
            .collect());
        add(self
            .statuses
            .iter()
            .map(|s| format!("status property {:?} of step {:?}", s.property, s.action))
            .collect());
        all
    }
}

/// A reference by name alone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Named {
    /// The name.
    pub name: String,
}

/// A reference to a connection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Connection {
    /// Its type, such as `aws`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// A reference to an output.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Output {
    /// The step that should have set it.
    pub from: String,
    /// Its name.
    pub name: String,
}

/// A reference to an answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Answer {
    /// The question.
    #[serde(rename = "askRef")]
    pub ask: String,
    /// The name of the answer.
    pub name: String,
}

/// A reference to the status of a step.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StatusProperty {
    /// The step.
    pub action: String,
    /// The property, such as `succeeded`.
    pub property: String,
}

/// The answer of `GET /conditions`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Conditions {
    /// Whether the question is decided; if not, ask again later.
    pub resolved: bool,
    /// Whether the step may run. Means nothing while not resolved.
    pub success: bool,
    /// Why, or what is still missing.
    #[serde(default)]
    pub message: String,
}

/// The answer of `GET /environment/{name}`, in our form or in the older, capitalised one.
#[derive(Deserialize)]
pub(super) struct Variable {
    #[serde(alias = "Value")]
    pub(super) value: Value,
}

/// A run that was started with `POST /workflows/{name}/run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowRun {
    /// The name of the workflow.
    pub name: String,
    /// The number of the run.
    pub run_number: u64,
    /// Where people find it; empty if unknown.
    #[serde(default)]
    pub app_url: String,
}

#[derive(Deserialize)]
pub(super) struct Started {
    pub(super) workflow_run: WorkflowRun,
}
