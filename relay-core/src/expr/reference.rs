//! References: what a tree asks of the world around it (`expressions.md` §5).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::value::{Map, Value};

/// One thing that a tree refers to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reference {
    /// A value from a source of data, such as the event of a trigger.
    Data {
        /// The source; empty for the default one.
        name: Arc<str>,
    },
    /// A secret.
    Secret {
        /// Its name.
        name: Arc<str>,
    },
    /// A connection.
    Connection {
        /// Its type.
        kind: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
    /// An output of a step.
    Output {
        /// The step.
        from: Arc<str>,
        /// The output's name.
        name: Arc<str>,
    },
    /// A parameter of the run.
    Parameter {
        /// Its name.
        name: Arc<str>,
    },
    /// An answer to a question, such as an approval.
    Answer {
        /// Who was asked; reported only.
        ask: Arc<str>,
        /// The name of the answer.
        name: Arc<str>,
    },
    /// A status property of a step: `succeeded`, `failed` or `skipped`.
    Status {
        /// The step.
        action: Arc<str>,
        /// The property.
        property: Arc<str>,
    },
}

/// All members of one kind at once, as `${parameters}` asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Collection {
    /// All parameters.
    Parameters,
    /// All secrets.
    Secrets,
    /// All connections, by type and name.
    Connections,
    /// All outputs, by step and name.
    Outputs,
    /// All named sources of data.
    Data,
}

impl Reference {
    /// The kind's member in the wire form.
    #[must_use]
    pub fn group(&self) -> &'static str {
        match self {
            Self::Data { .. } => "data",
            Self::Secret { .. } => "secrets",
            Self::Connection { .. } => "connections",
            Self::Output { .. } => "outputs",
            Self::Parameter { .. } => "parameters",
            Self::Answer { .. } => "answers",
            Self::Status { .. } => "statuses",
        }
    }

    fn id(&self) -> Value {
        let text = |text: &Arc<str>| Value::Text(text.clone());
        match self {
            Self::Data { name } | Self::Secret { name } | Self::Parameter { name } => {
                Value::map([("name", text(name))])
            }
            Self::Connection { kind, name } => {
                Value::map([("type", text(kind)), ("name", text(name))])
            }
            Self::Output { from, name } => Value::map([("from", text(from)), ("name", text(name))]),
            Self::Answer { ask, name } => Value::map([("askRef", text(ask)), ("name", text(name))]),
            Self::Status { action, property } => {
                Value::map([("action", text(action)), ("property", text(property))])
            }
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data { name } if name.is_empty() => f.write_str("data"),
            Self::Data { name } => write!(f, "data {name:?}"),
            Self::Secret { name } => write!(f, "secret {name:?}"),
            Self::Connection { kind, name } => {
                write!(f, "connection type {kind:?} with name {name:?}")
            }
            Self::Output { from, name } => write!(f, "output {name:?} of step {from:?}"),
            Self::Parameter { name } => write!(f, "parameter {name:?}"),
            Self::Answer { ask, name } => write!(f, "answer {name:?} of ask {ask:?}"),
            Self::Status { action, property } => {
                write!(f, "status property {property:?} of step {action:?}")
            }
        }
    }
}

/// A set of references, sorted by kind and id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References(Vec<Reference>);

impl References {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The references, data first, then secrets, connections, outputs, parameters, answers,
    /// statuses.
    pub fn iter(&self) -> impl Iterator<Item = &Reference> {
        self.0.iter()
    }

    /// The wire form: lists of ids by kind, only those that are not empty.
    #[must_use]
    pub fn to_wire(&self) -> Value {
        let mut groups = BTreeMap::<&str, Vec<Value>>::new();
        for reference in &self.0 {
            groups.entry(reference.group()).or_default().push(reference.id());
        }
        Value::from(groups.into_iter().map(|(k, v)| (k.into(), v.into())).collect::<Map>())
    }

    /// One line for people per reference.
    #[must_use]
    pub fn descriptions(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

impl From<Vec<Reference>> for References {
    fn from(mut references: Vec<Reference>) -> Self {
        references.sort_unstable();
        references.dedup();
        Self(references)
    }
}

impl FromIterator<Reference> for References {
    fn from_iter<T: IntoIterator<Item = Reference>>(references: T) -> Self {
        Self::from(references.into_iter().collect::<Vec<_>>())
    }
}
