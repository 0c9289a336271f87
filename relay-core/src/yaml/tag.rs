//! Nodes to trees: tags become the JSON forms that evaluation knows.

use std::sync::Arc;

use super::{Content, Node, Problem, ProblemKind, Tag, scalar};
use crate::value::{Map, Value};

/// A reference tag: its kind, and its fields in the order of the sequence form.
struct ReferenceTag {
    kind: &'static str,
    fields: &'static [&'static str],
}

const REFERENCES: &[ReferenceTag] = &[
    ReferenceTag { kind: "Secret", fields: &["name"] },
    ReferenceTag { kind: "Parameter", fields: &["name"] },
    ReferenceTag { kind: "Data", fields: &["query"] },
    ReferenceTag { kind: "Connection", fields: &["type", "name"] },
    ReferenceTag { kind: "Output", fields: &["from", "name"] },
    ReferenceTag { kind: "Answer", fields: &["askRef", "name"] },
];

/// The names of all reference tags.
pub fn reference_tags() -> impl Iterator<Item = &'static str> {
    REFERENCES.iter().map(|reference| reference.kind)
}

impl Node {
    /// The node as a tree. What is wrong is added to `problems`, with null in its place.
    pub fn to_tree(&self, problems: &mut Vec<Problem>) -> Value {
        crate::stack::grow(|| match &self.tag {
            Some(Tag::Local(name)) => self.local(name, problems),
            Some(Tag::Core(name)) if &**name == "binary" => match self.as_scalar() {
                Some(text) => Value::map([
                    ("$encoding", Value::from("base64")),
                    ("data", Value::Text(text.clone())),
                ]),
                None => self.bad_shape("`!!binary` takes base64 text", problems),
            },
            _ => self.untagged(problems),
        })
    }

    fn untagged(&self, problems: &mut Vec<Problem>) -> Value {
        match self.content.as_ref() {
            Content::Scalar { text, plain } => match (&self.tag, plain) {
                (Some(Tag::Core(tag)), _) => scalar::coerce(tag, text).unwrap_or_else(|| {
                    let text = format!("{text:?} is no `!!{tag}`");
                    problems.push(Problem::of(self, ProblemKind::BadScalar, text));
                    Value::Null
                }),
                (_, true) => scalar::resolve(text),
                (_, false) => Value::Text(text.clone()),
            },
            Content::Sequence(items) => {
                Value::list(items.iter().map(|item| item.to_tree(problems)).collect::<Vec<_>>())
            }
            Content::Mapping(entries) => {
                let mut map = Map::new();
                for (key, value) in entries {
                    if let Some(key) = key_text(key, problems) {
                        map.insert(key, value.to_tree(problems));
                    }
                }
                Value::from(map)
            }
        }
    }

    fn local(&self, name: &str, problems: &mut Vec<Problem>) -> Value {
        if let Some(function) = name.strip_prefix("Fn.") {
            return self.function(function, problems);
        }
        match REFERENCES.iter().find(|reference| reference.kind == name) {
            Some(reference) => self.reference(reference, problems),
            None => {
                let text = format!("there is no tag `!{name}`");
                problems.push(Problem::of(self, ProblemKind::UnknownTag, text));
                Value::Null
            }
        }
    }

    fn function(&self, function: &str, problems: &mut Vec<Problem>) -> Value {
        if function.is_empty() {
            return self.bad_shape("`!Fn.` needs the name of a function", problems);
        }
        let arguments = match self.content.as_ref() {
            // A quoted scalar stays a string.
            Content::Scalar { text, plain: false } => Value::list([Value::Text(text.clone())]),
            Content::Scalar { text, plain: true } => Value::list([scalar::resolve(text)]),
            _ => Self { tag: None, ..self.clone() }.to_tree(problems),
        };
        Value::map([(format!("$fn.{function}"), arguments)])
    }

    fn reference(&self, reference: &ReferenceTag, problems: &mut Vec<Problem>) -> Value {
        let kind = reference.kind;
        let fields = reference.fields;
        let mut members = Map::from([("$type".into(), Value::from(kind))]);
        match self.content.as_ref() {
            // A scalar under a reference tag is always a string.
            Content::Scalar { text, .. } => match fields {
                [field] => {
                    members.insert((*field).into(), Value::Text(text.clone()));
                }
                _ => return self.bad_shape(&shapes(kind, fields), problems),
            },
            Content::Sequence(items) if items.len() == fields.len() => {
                for (field, item) in fields.iter().zip(items) {
                    members.insert((*field).into(), field_value(item, problems));
                }
            }
            Content::Mapping(entries) if has_fields(entries, fields) => {
                for (key, value) in entries {
                    if let Some(key) = key.as_scalar() {
                        members.insert(key.clone(), field_value(value, problems));
                    }
                }
            }
            _ => return self.bad_shape(&shapes(kind, fields), problems),
        }
        Value::from(members)
    }

    fn bad_shape(&self, text: &str, problems: &mut Vec<Problem>) -> Value {
        problems.push(Problem::of(self, ProblemKind::BadShape, text));
        Value::Null
    }
}

/// A field of a reference: a scalar is text whatever it looks like.
fn field_value(node: &Node, problems: &mut Vec<Problem>) -> Value {
    match (&node.tag, node.as_scalar()) {
        (None, Some(text)) => Value::Text(text.clone()),
        _ => node.to_tree(problems),
    }
}

fn has_fields(entries: &[(Node, Node)], fields: &[&str]) -> bool {
    entries.len() == fields.len()
        && entries
            .iter()
            .all(|(key, _)| key.as_scalar().is_some_and(|key| fields.contains(&&**key)))
}

fn shapes(kind: &str, fields: &[&str]) -> String {
    let named: Vec<_> = fields.iter().map(|field| format!("{field}: …")).collect();
    let single =
        if fields.len() == 1 { format!("`!{kind} {}`, ", fields.join("")) } else { String::new() };
    format!("write {single}`!{kind} [{}]` or `!{kind} {{{}}}`", fields.join(", "), named.join(", "))
}

fn key_text(key: &Node, problems: &mut Vec<Problem>) -> Option<Arc<str>> {
    if let Some(text) = key.as_scalar() {
        return Some(text.clone());
    }
    problems.push(Problem::of(key, ProblemKind::BadShape, "a key has to be a scalar"));
    None
}
