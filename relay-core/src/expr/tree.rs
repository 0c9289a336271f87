//! Trees: data with active parts, parsed once (`expressions.md` §1).

use std::sync::Arc;

use super::error::{Cause, Error, Frame};
use super::limits::Limits;
use super::parse;
use super::reference::Reference;
use super::syntax::{Expr, Part, Template};
use crate::value::{Map, Value};

/// A parsed tree. Parts without anything active are kept as one value, which evaluation shares.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Data(Value),
    List(Vec<Self>, Value),
    /// Members sorted by key.
    Map(Vec<(Arc<str>, Self)>, Value),
    Template(Template),
    Reference {
        reference: Reference,
        source: Value,
    },
    /// A query of a source of data.
    Lookup {
        source_name: Arc<str>,
        text: Arc<str>,
        query: Result<Expr, Error>,
        source: Value,
    },
    Encoded {
        encoding: Arc<str>,
        data: Box<Self>,
        source: Value,
    },
    Call {
        function: Arc<str>,
        arguments: Box<Self>,
        source: Value,
    },
    /// What does not parse: reported when evaluation reaches it.
    Broken {
        error: Error,
        source: Value,
    },
}

impl Node {
    pub(crate) fn parse(value: &Value, limits: &Limits) -> Self {
        let mut parser = Parser { limits, nodes: limits.nodes, text: limits.text };
        parser.node(value, 0)
    }

    /// The tree as it was written.
    pub(crate) fn source(&self) -> Value {
        match self {
            Self::Data(value) => value.clone(),
            Self::Template(template) => Value::Text(template.source.clone()),
            Self::List(_, source)
            | Self::Map(_, source)
            | Self::Reference { source, .. }
            | Self::Lookup { source, .. }
            | Self::Encoded { source, .. }
            | Self::Call { source, .. }
            | Self::Broken { source, .. } => source.clone(),
        }
    }
}

impl Node {
    /// References that every evaluation of this whole tree asks for, whatever their values are: all
    /// up to the first part that may fail or need only some of what it mentions.
    pub(crate) fn foreseen(&self) -> Vec<Reference> {
        let mut found = Vec::with_capacity(8);
        self.foresee(&mut found);
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Whether what comes after this node is as certain to be asked for.
    fn foresee(&self, found: &mut Vec<Reference>) -> bool {
        match self {
            Self::Data(_) => true,
            Self::Reference { reference, .. } => {
                found.push(reference.clone());
                true
            }
            Self::Template(template) => template.parts.iter().all(|part| match part {
                Part::Text(_) => true,
                Part::Expr(Expr::Path { reference: Some(reference), .. }) => {
                    found.push(reference.clone());
                    true
                }
                Part::Expr(_) => false,
            }),
            Self::List(items, _) => {
                crate::stack::grow(|| items.iter().all(|item| item.foresee(found)))
            }
            Self::Map(members, _) => {
                crate::stack::grow(|| members.iter().all(|(_, member)| member.foresee(found)))
            }
            Self::Lookup { .. }
            | Self::Encoded { .. }
            | Self::Call { .. }
            | Self::Broken { .. } => false,
        }
    }
}

/// The member of this key.
pub(crate) fn member<'t>(members: &'t [(Arc<str>, Node)], key: &str) -> Option<&'t Node> {
    let found = members.binary_search_by(|(known, _)| known.as_ref().cmp(key)).ok()?;
    members.get(found).map(|(_, node)| node)
}

struct Parser<'l> {
    limits: &'l Limits,
    nodes: usize,
    text: usize,
}

impl Parser<'_> {
    fn node(&mut self, value: &Value, depth: usize) -> Node {
        self.active(value, depth).unwrap_or_else(|| Node::Data(value.clone()))
    }

    /// The node of a value that has something active in it; `None` for data.
    fn active(&mut self, value: &Value, depth: usize) -> Option<Node> {
        if let Err(error) = self.count(value, depth) {
            return Some(Node::Broken { error, source: value.clone() });
        }
        match value {
            Value::Text(text) if text.contains("${") => self.template(value, text),
            Value::List(items) => crate::stack::grow(|| self.list(value, items, depth)),
            Value::Map(map) => crate::stack::grow(|| self.map(value, map, depth)),
            _ => None,
        }
    }

    fn count(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        self.limits.check_nesting(depth)?;
        let limit = |what, limit| Error::from(Cause::Limit { what, limit });
        self.nodes = self.nodes.checked_sub(1).ok_or_else(|| limit("values", self.limits.nodes))?;
        let text = value.as_bytes().map_or(0, <[u8]>::len);
        self.text =
            self.text.checked_sub(text).ok_or_else(|| limit("bytes of text", self.limits.text))?;
        Ok(())
    }

    fn template(&self, value: &Value, text: &Arc<str>) -> Option<Node> {
        match parse::template(text, self.limits) {
            Ok(template) if template.parts.iter().any(|part| matches!(part, Part::Expr(_))) => {
                Some(Node::Template(template))
            }
            Ok(_) => None,
            Err(error) => {
                Some(Node::Broken { error: error.within(Frame::Template), source: value.clone() })
            }
        }
    }

    fn list(&mut self, value: &Value, items: &[Value], depth: usize) -> Option<Node> {
        let mut nodes: Option<Vec<Node>> = None;
        for (index, item) in items.iter().enumerate() {
            match (self.active(item, depth + 1), &mut nodes) {
                (None, None) => {}
                (None, Some(nodes)) => nodes.push(Node::Data(item.clone())),
                (Some(node), Some(nodes)) => nodes.push(node),
                (Some(node), None) => {
                    let mut before = Vec::with_capacity(items.len());
                    before.extend(items.iter().take(index).cloned().map(Node::Data));
                    before.push(node);
                    nodes = Some(before);
                }
            }
        }
        nodes.map(|nodes| Node::List(nodes, value.clone()))
    }

    fn map(&mut self, value: &Value, map: &Map, depth: usize) -> Option<Node> {
        if let Some(kind) = map.get("$type") {
            // Kinds that are not known are data, with all that is in them.
            return kind.as_str().and_then(|kind| self.reference(kind, value));
        }
        if let Some(encoding) = map.get("$encoding") {
            let Value::Text(encoding) = encoding else { return None };
            let data = map.get("data").unwrap_or(&Value::Null);
            let data = Box::new(self.node(data, depth + 1));
            return Some(Node::Encoded { encoding: encoding.clone(), data, source: value.clone() });
        }
        if let (1, Some((key, arguments))) = (map.len(), map.first_key_value())
            && let Some(function) = key.strip_prefix("$fn.")
        {
            let arguments = Box::new(self.node(arguments, depth + 1));
            return Some(Node::Call {
                function: function.into(),
                arguments,
                source: value.clone(),
            });
        }
        let mut nodes: Option<Vec<(Arc<str>, Node)>> = None;
        for (index, (key, member)) in map.iter().enumerate() {
            match (self.active(member, depth + 1), &mut nodes) {
                (None, None) => {}
                (None, Some(nodes)) => nodes.push((key.clone(), Node::Data(member.clone()))),
                (Some(node), Some(nodes)) => nodes.push((key.clone(), node)),
                (Some(node), None) => {
                    let mut before = Vec::with_capacity(map.len());
                    let data = map.iter().take(index);
                    before.extend(data.map(|(key, data)| (key.clone(), Node::Data(data.clone()))));
                    before.push((key.clone(), node));
                    nodes = Some(before);
                }
            }
        }
        nodes.map(|nodes| Node::Map(nodes, value.clone()))
    }

    fn reference(&self, kind: &str, source: &Value) -> Option<Node> {
        let (kind, reference) = match kind {
            "Secret" => {
                let name = text_field("Secret", source, "name");
                ("Secret", name.map(|name| Reference::Secret { name }))
            }
            "Parameter" => {
                let name = text_field("Parameter", source, "name");
                ("Parameter", name.map(|name| Reference::Parameter { name }))
            }
            "Connection" => {
                let both = two_fields("Connection", source, "type", "name");
                ("Connection", both.map(|(kind, name)| Reference::Connection { kind, name }))
            }
            "Output" => {
                // The old name of the field.
                let old = !matches!(source.get("from"), Some(Value::Text(_)))
                    && matches!(source.get("taskName"), Some(Value::Text(_)));
                let from = if old { "taskName" } else { "from" };
                let both = two_fields("Output", source, from, "name");
                ("Output", both.map(|(from, name)| Reference::Output { from, name }))
            }
            "Answer" => {
                let both = two_fields("Answer", source, "askRef", "name");
                ("Answer", both.map(|(ask, name)| Reference::Answer { ask, name }))
            }
            "Data" => return Some(self.lookup(source)),
            _ => return None,
        };
        Some(match reference {
            Ok(reference) => Node::Reference { reference, source: source.clone() },
            Err(error) => broken(kind, error, source),
        })
    }

    fn lookup(&self, source: &Value) -> Node {
        match text_field("Data", source, "query") {
            Ok(text) => Node::Lookup {
                source_name: source.get("name").and_then(Value::as_str).unwrap_or_default().into(),
                query: parse::query(&text, self.limits),
                text,
                source: source.clone(),
            },
            Err(error) => broken("Data", error, source),
        }
    }
}

fn broken(kind: &'static str, error: Error, source: &Value) -> Node {
    Node::Broken { error: error.within(Frame::Type(kind)), source: source.clone() }
}

fn text_field(kind: &'static str, source: &Value, field: &'static str) -> Result<Arc<str>, Error> {
    match source.get(field) {
        Some(Value::Text(text)) => Ok(text.clone()),
        _ => Err(Cause::FieldNotFound { kind, field }.into()),
    }
}

fn two_fields(
    kind: &'static str,
    source: &Value,
    first: &'static str,
    second: &'static str,
) -> Result<(Arc<str>, Arc<str>), Error> {
    Ok((text_field(kind, source, first)?, text_field(kind, source, second)?))
}

/// An object of encoded bytes.
pub(crate) fn encoded(encoding: &Arc<str>, data: Value) -> Value {
    Value::map([("$encoding", Value::Text(encoding.clone())), ("data", data)])
}

/// A call in its JSON form.
pub(crate) fn call(function: &str, arguments: Value) -> Value {
    Value::map([(format!("$fn.{function}"), arguments)])
}
