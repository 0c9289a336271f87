use std::sync::Arc;

use super::MemorySecrets;
use crate::value::Value;
use crate::yaml::{self, Content, Node, Problem, ProblemKind, Tag};

impl MemorySecrets {
    /// Reads secrets and connections from a values file: a map of `secrets` by name, and of
    /// `connections` by `TYPE/NAME` (`metadata-api.md` §7.3). A secret is the text of its scalar,
    /// whatever it looks like; `!!binary` gives bytes.
    ///
    /// ```
    /// use relay_core::MemorySecrets;
    ///
    /// let values = "{secrets: {token: 007}, connections: {http/api: {user: robot}}}";
    /// assert!(MemorySecrets::from_yaml(values).is_ok());
    /// assert!(MemorySecrets::from_yaml("connections: {api: {user: robot}}").is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the text, with places and without values.
    pub fn from_yaml(text: &str) -> Result<Self, Vec<Problem>> {
        let stream = yaml::read(text);
        let mut problems = stream.problems;
        let mut store = Self::default();
        for (section, key, value) in stream.documents.first().into_iter().flat_map(entries) {
            match section {
                "secrets" => {
                    if let Some(secret) = secret(value, &mut problems) {
                        store = store.with_secret(key, secret);
                    }
                }
                "connections" => {
                    let fields = plain(value, &mut problems);
                    match key.split_once('/') {
                        Some((kind, name)) if fields.as_map().is_some() => {
                            store = store.with_connection(kind, name, fields);
                        }
                        Some(_) => problems.push(shape(value, "a connection is a map of fields")),
                        None => problems.push(shape(value, "a connection is named TYPE/NAME")),
                    }
                }
                _ => {}
            }
        }
        if problems.is_empty() { Ok(store) } else { Err(problems) }
    }
}

/// The entries of the sections of a document.
fn entries(root: &Node) -> Vec<(&str, &str, &Node)> {
    let sections = root.as_mapping().unwrap_or_default().iter();
    sections
        .filter_map(|(section, body)| Some((&**section.as_scalar()?, body.as_mapping()?)))
        .flat_map(|(section, body)| {
            let entries = body.iter();
            entries.filter_map(move |(key, value)| Some((section, &**key.as_scalar()?, value)))
        })
        .collect()
}

fn shape(node: &Node, text: &str) -> Problem {
    Problem::new(ProblemKind::BadShape, node.location, text)
}

fn secret(node: &Node, problems: &mut Vec<Problem>) -> Option<Value> {
    let Some(text) = node.as_scalar() else {
        problems.push(shape(node, "a secret is text"));
        return None;
    };
    if node.tag == Some(Tag::Core("binary".into())) {
        return match crate::value::decode("base64", text.as_bytes()) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                problems.push(shape(node, &error.to_string()));
                None
            }
        };
    }
    let plain = matches!(node.content.as_ref(), Content::Scalar { plain: true, .. });
    let nothing = plain && yaml::plain_scalar(text).is_null();
    Some(if nothing { Value::from("") } else { Value::Text(Arc::clone(text)) })
}

/// A value as it stands: tags of the language mean nothing here.
fn plain(node: &Node, problems: &mut Vec<Problem>) -> Value {
    let value = node.to_tree(problems);
    value.clone().decode_transfer().unwrap_or(value)
}
