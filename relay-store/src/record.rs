//! What a step left behind in the mutable ConfigMap, and how it is written there
//! (`operator.md` §10.2). The spellings are those of the wire, capitals included.

use std::collections::BTreeMap;
use std::fmt::Display;

use jiff::Timestamp;
use relay_core::{
    Action, ConditionOutcome, Decorator, Message, MessageSource, Output, ProcessState, StepStatus,
    StoreError, Value, WhenCondition,
};
use serde::{Deserialize, Serialize};

use crate::key;

/// Everything that is known about one step.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct StepRecord {
    /// What it reported of itself.
    pub status: Option<StepStatus>,
    /// Its outputs, by name.
    pub outputs: BTreeMap<String, Output>,
    /// Its state, by name: answers to approvals.
    pub state: BTreeMap<String, Value>,
    /// What was said about it, oldest first.
    pub messages: Vec<Message>,
    /// What to show beside it, by name.
    pub decorators: BTreeMap<String, Decorator>,
}

impl StepRecord {
    /// Reads the entries of an action. What is damaged is left out: one bad entry must not hide
    /// the others.
    #[must_use]
    pub fn read(data: &BTreeMap<String, String>, action: &Action) -> Self {
        let prefix = key::prefix(action);
        let mut record = Self::default();
        let mut sensitive = BTreeMap::new();
        let mut messages = Vec::new();
        for (key, text) in data.range(prefix.clone()..) {
            let Some(rest) = key.strip_prefix(&prefix) else { break };
            if rest == "status" {
                record.status = read_status(text).ok();
            } else if let Some(name) = rest.strip_prefix("metadata.output.") {
                if let Some(flag) = read_sensitive(text) {
                    sensitive.insert(key::unescape(name), flag);
                }
            } else if let Some(name) = rest.strip_prefix("output.") {
                if let Some(value) = read_value(text) {
                    let output = Output { value, sensitive: None };
                    record.outputs.insert(key::unescape(name), output);
                }
            } else if let Some(name) = rest.strip_prefix("state.") {
                if let Some(value) = read_value(text) {
                    record.state.insert(key::unescape(name), value);
                }
            } else if let Some(name) = rest.strip_prefix("decorator.") {
                if let Some(decorator) = read_decorator(text) {
                    record.decorators.insert(key::unescape(name), decorator);
                }
            } else if let Some(id) = rest.strip_prefix("message.")
                && let Some(message) = read_message(text)
            {
                messages.push((message.time, id.to_owned(), message));
            }
        }
        for (name, output) in &mut record.outputs {
            output.sensitive = sensitive.get(name).copied();
        }
        messages.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        record.messages = messages.into_iter().map(|(_, _, message)| message).collect();
        record
    }
}

/// A stored value: transfer JSON, decoded.
pub(crate) fn read_value(text: &str) -> Option<Value> {
    Value::from_json(text).ok()?.decode_transfer().ok()
}

#[derive(Deserialize, Serialize)]
struct OutputMetadata {
    #[serde(rename = "Sensitive", alias = "sensitive", default)]
    sensitive: bool,
}

/// Whether an output is sensitive, as its metadata say.
pub(crate) fn read_sensitive(text: &str) -> Option<bool> {
    serde_json::from_str::<OutputMetadata>(text).ok().map(|metadata| metadata.sensitive)
}

pub(crate) fn write_output_metadata(sensitive: bool) -> String {
    json(&OutputMetadata { sensitive })
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct StatusEntry {
    #[serde(default)]
    name: String,
    process_state: Option<ProcessEntry>,
    when_condition: Option<WhenEntry>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ProcessEntry {
    exit_code: i64,
    timestamp: Timestamp,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct WhenEntry {
    timestamp: Timestamp,
    when_condition_status: ConditionOutcome,
}

/// The status of a step as it is stored.
#[must_use]
pub fn write_status(step: &str, status: &StepStatus) -> String {
    json(&StatusEntry {
        name: step.to_owned(),
        process_state: status.process.map(|process| ProcessEntry {
            exit_code: process.exit_code,
            timestamp: process.timestamp,
        }),
        when_condition: status.when.map(|when| WhenEntry {
            timestamp: when.timestamp,
            when_condition_status: when.outcome,
        }),
    })
}

pub(crate) fn read_status(text: &str) -> Result<StepStatus, serde_json::Error> {
    let entry: StatusEntry = serde_json::from_str(text)?;
    Ok(StepStatus {
        process: entry.process_state.map(|process| ProcessState {
            exit_code: process.exit_code,
            timestamp: process.timestamp,
        }),
        when: entry.when_condition.map(|when| WhenCondition {
            outcome: when.when_condition_status,
            timestamp: when.timestamp,
        }),
    })
}

#[derive(Deserialize, Serialize)]
struct MessageEntry {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Details")]
    details: String,
    #[serde(rename = "Time")]
    time: Timestamp,
    #[serde(rename = "ConditionEvaluationResult")]
    condition: Option<ExpressionEntry>,
    #[serde(rename = "SchemaValidationResult")]
    schema: Option<ExpressionEntry>,
}

#[derive(Deserialize, Serialize)]
struct ExpressionEntry {
    #[serde(rename = "Expression", default)]
    expression: Value,
}

/// A message as it is stored.
#[must_use]
pub fn write_message(id: &str, message: &Message) -> String {
    let (condition, schema) = match &message.source {
        MessageSource::WhenEvaluation { expression } => (Some(expression), None),
        MessageSource::SpecValidation { expression } => (None, Some(expression)),
        MessageSource::Log => (None, None),
    };
    let entry = |expression: &Value| ExpressionEntry { expression: expression.clone() };
    json(&MessageEntry {
        id: id.to_owned(),
        details: message.details.clone(),
        time: message.time,
        condition: condition.map(entry),
        schema: schema.map(entry),
    })
}

fn read_message(text: &str) -> Option<Message> {
    let entry: MessageEntry = serde_json::from_str(text).ok()?;
    let source = match (entry.condition, entry.schema) {
        (Some(condition), _) => MessageSource::WhenEvaluation { expression: condition.expression },
        (_, Some(schema)) => MessageSource::SpecValidation { expression: schema.expression },
        _ => MessageSource::Log,
    };
    Some(Message::new(source, entry.time, &entry.details))
}

#[derive(Deserialize, Serialize)]
struct DecoratorEntry {
    name: String,
    link: Option<LinkEntry>,
}

#[derive(Deserialize, Serialize)]
struct LinkEntry {
    description: String,
    uri: String,
}

pub(crate) fn write_decorator(name: &str, decorator: &Decorator) -> String {
    let Decorator::Link { description, uri } = decorator;
    let link = LinkEntry { description: description.clone(), uri: uri.clone() };
    json(&DecoratorEntry { name: name.to_owned(), link: Some(link) })
}

fn read_decorator(text: &str) -> Option<Decorator> {
    let link = serde_json::from_str::<DecoratorEntry>(text).ok()?.link?;
    Some(Decorator::Link { description: link.description, uri: link.uri })
}

/// Structs of text, numbers and values are always JSON.
fn json(entry: &impl Serialize) -> String {
    serde_json::to_string(entry).unwrap_or_default()
}

/// An entry that cannot be read, and where it is.
pub(crate) fn damaged(key: &str, problem: impl Display) -> StoreError {
    StoreError::Damaged { doing: format!("read the entry {key:?}"), problem: problem.to_string() }
}
