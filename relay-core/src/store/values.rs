use std::sync::Arc;

use super::MemorySecrets;
use crate::value::{Map, Value};
use crate::yaml::{self, Node, Problem, ProblemKind, Tag};

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
        let store = match stream.documents.first() {
            Some(root) => Self::from_document(root, &mut problems),
            None => Self::default(),
        };
        if problems.is_empty() { Ok(store) } else { Err(problems) }
    }

    /// Reads secrets and connections from a document that may hold other sections as well. What is
    /// wrong is added to `problems`.
    #[must_use]
    pub fn from_document(root: &Node, problems: &mut Vec<Problem>) -> Self {
        let mut store = Self::default();
        for (key, value) in section(root, "secrets", problems) {
            if let Some(secret) = secret(value, problems) {
                store = store.with_secret(key, secret);
            }
        }
        for (key, value) in section(root, "connections", problems) {
            let fields = match plain(value, problems) {
                Value::Null => Value::from(Map::new()),
                fields => fields,
            };
            match key.split_once('/') {
                Some((kind, name)) if fields.as_map().is_some() => {
                    store = store.with_connection(kind, name, fields);
                }
                Some(_) => problems.push(shape(value, "a connection is a map of fields")),
                None => problems.push(shape(value, "a connection is named TYPE/NAME")),
            }
        }
        store
    }
}

/// The entries of a section of a document; none where it is missing or null.
fn section<'n>(
    root: &'n Node,
    name: &str,
    problems: &mut Vec<Problem>,
) -> Vec<(&'n str, &'n Node)> {
    let Some(body) = root.get(name).filter(|body| !body.is_null()) else {
        return Vec::new();
    };
    let Some(entries) = body.as_mapping() else {
        problems.push(shape(body, &format!("`{name}` is a map")));
        return Vec::new();
    };
    let named = entries.iter().filter_map(|(key, value)| match key.as_scalar() {
        Some(name) => Some((&**name, value)),
        None => {
            problems.push(shape(key, "a name is text"));
            None
        }
    });
    named.collect()
}

fn shape(node: &Node, text: &str) -> Problem {
    Problem::new(ProblemKind::BadShape, node.location, text)
}

fn secret(node: &Node, problems: &mut Vec<Problem>) -> Option<Value> {
    let Some(text) = node.as_scalar() else {
        problems.push(shape(node, "a secret is text"));
        return None;
    };
    if let Some(Tag::Local(tag)) = &node.tag {
        problems.push(shape(node, &format!("a secret is text, and `!{tag}` means nothing here")));
        return None;
    }
    if node.tag == Some(Tag::Core("binary".into())) {
        return match crate::value::decode("base64", text.as_bytes()) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                problems.push(shape(node, &error.to_string()));
                None
            }
        };
    }
    Some(if node.is_null() { Value::from("") } else { Value::Text(Arc::clone(text)) })
}

/// A value as it stands: tags of the language mean nothing here.
fn plain(node: &Node, problems: &mut Vec<Problem>) -> Value {
    let value = node.to_tree(problems);
    value.clone().decode_transfer().unwrap_or(value)
}
