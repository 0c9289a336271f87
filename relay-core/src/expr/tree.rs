//! Trees: data with active parts, parsed once (`expressions.md` §1).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::{Cause, Error};
use super::parse;
use super::reference::Reference;
use super::syntax::Template;
use crate::value::{MAX_DEPTH, Map, Value};

/// A parsed tree. Parts without anything active are kept as one value, which evaluation shares.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Data(Value),
    List(Vec<Self>),
    Map(BTreeMap<Arc<str>, Self>),
    Template(Template),
    Reference {
        reference: Reference,
        source: Value,
    },
    Event {
        name: Option<Arc<str>>,
        source: Value,
    },
    Encoded {
        encoding: Arc<str>,
        data: Box<Self>,
    },
    Call {
        function: Arc<str>,
        arguments: Box<Self>,
    },
    /// What does not parse: reported when evaluation reaches it.
    Broken {
        error: Error,
        source: Value,
    },
}

impl Node {
    pub(crate) fn parse(value: &Value) -> Self {
        Self::parse_at(value, 0)
    }

    fn parse_at(value: &Value, depth: usize) -> Self {
        if depth > MAX_DEPTH {
            let error = Cause::Limit { what: "levels of nesting", limit: MAX_DEPTH }.into();
            return Self::Broken { error, source: Value::Null };
        }
        crate::stack::grow(|| match value {
            Value::Text(text) if text.contains("${") => match parse::template(text) {
                Ok(template) => Self::Template(template),
                Err(error) => Self::Broken {
                    error: error.within(super::error::Frame::Template),
                    source: value.clone(),
                },
            },
            Value::List(items) => {
                let nodes: Vec<_> =
                    items.iter().map(|item| Self::parse_at(item, depth + 1)).collect();
                if nodes.iter().all(Self::is_data) {
                    Self::Data(value.clone())
                } else {
                    Self::List(nodes)
                }
            }
            Value::Map(map) => Self::parse_map(value, map, depth),
            _ => Self::Data(value.clone()),
        })
    }

    fn parse_map(value: &Value, map: &Map, depth: usize) -> Self {
        if let Some(kind) = map.get("$type") {
            return kind
                .as_str()
                .and_then(|kind| Self::parse_reference(kind, value))
                .unwrap_or_else(|| Self::Data(value.clone()));
        }
        if let Some(encoding) = map.get("$encoding") {
            return match encoding {
                Value::Text(encoding) => {
                    let data = map.get("data").unwrap_or(&Value::Null);
                    let data = Box::new(Self::parse_at(data, depth + 1));
                    Self::Encoded { encoding: encoding.clone(), data }
                }
                _ => Self::Data(value.clone()),
            };
        }
        if let (1, Some((key, arguments))) = (map.len(), map.first_key_value())
            && let Some(function) = key.strip_prefix("$fn.")
        {
            let arguments = Box::new(Self::parse_at(arguments, depth + 1));
            return Self::Call { function: function.into(), arguments };
        }
        let members: BTreeMap<_, _> = map
            .iter()
            .map(|(key, value)| (key.clone(), Self::parse_at(value, depth + 1)))
            .collect();
        if members.values().all(Self::is_data) {
            Self::Data(value.clone())
        } else {
            Self::Map(members)
        }
    }

    fn parse_reference(kind: &str, source: &Value) -> Option<Self> {
        let field = |kind: &'static str, field: &'static str| match source.get(field) {
            Some(Value::Text(text)) => Ok(text.clone()),
            _ => Err(Error::from(Cause::FieldNotFound { kind, field })),
        };
        let reference = match kind {
            "Secret" => field("Secret", "name").map(|name| Reference::Secret { name }),
            "Parameter" => field("Parameter", "name").map(|name| Reference::Parameter { name }),
            "Connection" => field("Connection", "type").and_then(|kind| {
                Ok(Reference::Connection { kind, name: field("Connection", "name")? })
            }),
            "Output" => field("Output", "from")
                .or_else(|error| field("Output", "taskName").map_err(|_| error))
                .and_then(|from| Ok(Reference::Output { from, name: field("Output", "name")? })),
            "Answer" => field("Answer", "askRef")
                .and_then(|ask| Ok(Reference::Answer { ask, name: field("Answer", "name")? })),
            "Data" => {
                return Some(match field("Data", "query") {
                    Ok(_) => {
                        let name = source.get("name").and_then(Value::as_str).map(Into::into);
                        Self::Event { name, source: source.clone() }
                    }
                    Err(error) => Self::Broken { error, source: source.clone() },
                });
            }
            _ => return None,
        };
        Some(match reference {
            Ok(reference) => Self::Reference { reference, source: source.clone() },
            Err(error) => Self::Broken { error, source: source.clone() },
        })
    }

    pub(crate) fn is_data(&self) -> bool {
        matches!(self, Self::Data(_))
    }

    /// The tree as it was written.
    pub(crate) fn source(&self) -> Value {
        match self {
            Self::Data(value) => value.clone(),
            Self::List(items) => Value::list(items.iter().map(Self::source)),
            Self::Map(map) => Value::map(map.iter().map(|(k, v)| (k.clone(), v.source()))),
            Self::Template(template) => Value::Text(template.source.clone()),
            Self::Reference { source, .. }
            | Self::Event { source, .. }
            | Self::Broken { source, .. } => source.clone(),
            Self::Encoded { encoding, data } => encoded(encoding, data.source()),
            Self::Call { function, arguments } => call(function, arguments.source()),
        }
    }
}

/// An object of encoded bytes.
pub(crate) fn encoded(encoding: &Arc<str>, data: Value) -> Value {
    Value::map([("$encoding", Value::Text(encoding.clone())), ("data", data)])
}

/// A call in its JSON form.
pub(crate) fn call(function: &str, arguments: Value) -> Value {
    Value::map([(format!("$fn.{function}"), arguments)])
}
