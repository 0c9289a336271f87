//! One key of the specification, as the commands for other tools read it.
//!
//! Members are found without regard to case, as `ni` has always found them. Messages name
//! members by their path and never show what is in them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Map, Value};

use super::error::NiError;
use super::go_json;
use crate::client::{MetadataClient, transfer};

/// The map under one key. What a member lacks in the first layer is looked up in the next.
pub(super) struct Part {
    layers: Vec<Layer>,
    complete: bool,
}

struct Layer {
    path: String,
    members: Map<String, Value>,
}

impl Part {
    /// Asks for the specification; `None` if it has nothing under `key`.
    pub(super) async fn fetch(client: &MetadataClient, key: &str) -> Result<Option<Self>, NiError> {
        let answer = match client.spec(None).await {
            Ok(answer) => answer,
            // The API's way of saying that there is no value.
            Err(error) if error.status() == Some(StatusCode::UNPROCESSABLE_ENTITY) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let members = match answer.value {
            Value::Object(members) => members,
            Value::Null => return Ok(None),
            _ => return Err(NiError::Answer { reason: "the specification is not a map" }),
        };
        let Some(value) = member(&members, key) else { return Ok(None) };
        let members = map(key, value)?;
        let layer = Layer { path: key.to_owned(), members };
        Ok(Some(Self { layers: vec![layer], complete: answer.complete }))
    }

    /// The same part with the members of its connection before its own, which are where older
    /// workflows have them.
    pub(super) fn with_connection(mut self) -> Result<Self, NiError> {
        if let Some((path, value)) = self.find("connection") {
            let members = map(&path, value)?;
            self.layers.insert(0, Layer { path, members });
        }
        Ok(self)
    }

    /// A member's text; `None` if it is missing or empty.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, NiError> {
        let Some((path, value)) = self.find(name) else { return Ok(None) };
        match String::from_utf8(self.bytes(&path, value)?) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(misfit(&path, "is not UTF-8")),
        }
    }

    /// A member's text for a file that is read line by line. Line feeds at the end, which
    /// secrets from files have, do not count.
    pub(super) fn line(&self, name: &str) -> Result<Option<String>, NiError> {
        let Some(mut text) = self.text(name)? else { return Ok(None) };
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
        if text.contains(['\r', '\n', '\0']) {
            return Err(misfit(&self.path(name), "has more than one line"));
        }
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// A member with a document: text, base64 of it, or the document itself as a map.
    pub(super) fn document(&self, name: &str) -> Result<Option<Vec<u8>>, NiError> {
        let Some((path, value)) = self.find(name) else { return Ok(None) };
        match value {
            Value::Object(members) if !members.keys().any(|key| key.starts_with('$')) => {
                Ok(Some(go_json::compact(value)))
            }
            _ => Ok(Some(decoded(self.bytes(&path, value)?))),
        }
    }

    /// Whether a member is true.
    pub(super) fn flag(&self, name: &str) -> Result<bool, NiError> {
        match self.find(name) {
            None => Ok(false),
            Some((_, Value::Bool(flag))) => Ok(*flag),
            Some((path, _)) => Err(misfit(&path, "is neither true nor false")),
        }
    }

    /// All members of the part itself, decoded, in the order of their names.
    pub(super) fn documents(&self) -> Result<Vec<(&str, Vec<u8>)>, NiError> {
        let Some(Layer { path, members }) = self.layers.last() else { return Ok(Vec::new()) };
        let named = |(name, value)| {
            let bytes = self.bytes(&format!("{path}.{name}"), value)?;
            Ok((String::as_str(name), decoded(bytes)))
        };
        members.iter().map(named).collect()
    }

    /// The complaint that a member is missing.
    pub(super) fn missing(&self, name: &str) -> NiError {
        misfit(&self.path(name), "is missing")
    }

    fn path(&self, name: &str) -> String {
        let first = self.layers.first().map_or("", |layer| &layer.path);
        self.find(name).map_or_else(|| format!("{first}.{name}"), |(path, _)| path)
    }

    fn find(&self, name: &str) -> Option<(String, &Value)> {
        self.layers.iter().find_map(|layer| {
            let value = member(&layer.members, name)?;
            (value != "").then(|| (format!("{}.{name}", layer.path), value))
        })
    }

    fn bytes(&self, path: &str, value: &Value) -> Result<Vec<u8>, NiError> {
        match value {
            // What could not be resolved stands there as it was written. A file with that in
            // place of a password only fails later, and elsewhere.
            Value::String(text) if !self.complete && text.contains("${") => {
                Err(misfit(path, UNRESOLVED))
            }
            Value::Object(members) if members.contains_key("$type") => {
                Err(misfit(path, UNRESOLVED))
            }
            Value::Number(_) | Value::Bool(_) => Ok(value.to_string().into_bytes()),
            other => transfer::decode(other).ok_or_else(|| misfit(path, "is not text")),
        }
    }
}

/// What base64 holds, or the bytes as they are if they are not base64. Line breaks in it do
/// not count.
pub(super) fn decoded(bytes: Vec<u8>) -> Vec<u8> {
    let joined: Vec<u8> =
        bytes.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    STANDARD.decode(joined).unwrap_or(bytes)
}

const UNRESOLVED: &str = "has no value yet, or none that this step may see";

fn member<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    members
        .get(name)
        .or_else(|| {
            members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        })
        .filter(|value| !value.is_null())
}

fn map(path: &str, value: &Value) -> Result<Map<String, Value>, NiError> {
    match value {
        Value::Object(members) if members.contains_key("$type") => Err(misfit(path, UNRESOLVED)),
        Value::Object(members) => Ok(members.clone()),
        Value::String(text) if text.contains("${") => Err(misfit(path, UNRESOLVED)),
        _ => Err(misfit(path, "is not a map")),
    }
}

fn misfit(path: &str, problem: &'static str) -> NiError {
    NiError::Member { path: path.to_owned(), problem }
}
