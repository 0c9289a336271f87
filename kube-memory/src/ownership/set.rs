//! Sets of field paths, and how `managedFields` writes them.

use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// A field of a map.
    Field(String),
    /// A list item by its key fields, as JSON.
    Key(String),
    /// A list item by its value, as JSON.
    Value(String),
    /// A list item by its place.
    Index(String),
}

/// A set of paths, shared prefixes first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FieldSet {
    members: BTreeSet<Step>,
    children: BTreeMap<Step, Self>,
}

impl FieldSet {
    /// The set of one path.
    pub(crate) fn insert(&mut self, path: &[Step]) {
        match path {
            [] => {}
            [last] => {
                self.members.insert(last.clone());
            }
            [first, rest @ ..] => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.values().all(Self::is_empty)
    }

    /// Whether the path of this step alone is in the set.
    pub(crate) fn has(&self, step: &Step) -> bool {
        self.members.contains(step)
    }

    /// What the set holds below a step.
    pub(crate) fn below(&self, step: &Step) -> Option<&Self> {
        self.children.get(step).filter(|child| !child.is_empty())
    }

    pub(crate) fn union(&mut self, other: &Self) {
        self.members.extend(other.members.iter().cloned());
        for (step, child) in &other.children {
            self.children.entry(step.clone()).or_default().union(child);
        }
    }

    pub(crate) fn subtract(&mut self, other: &Self) {
        self.members.retain(|step| !other.members.contains(step));
        for (step, child) in &mut self.children {
            if let Some(other) = other.children.get(step) {
                child.subtract(other);
            }
        }
        self.children.retain(|_, child| !child.is_empty());
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let children = self.children.iter().filter_map(|(step, child)| {
            let common = child.intersection(other.children.get(step)?);
            (!common.is_empty()).then(|| (step.clone(), common))
        });
        Self {
            members: self.members.intersection(&other.members).cloned().collect(),
            children: children.collect(),
        }
    }

    /// Takes away a field of the root and all below it.
    pub(crate) fn remove_tree(&mut self, step: &Step) {
        self.members.remove(step);
        self.children.remove(step);
    }

    /// Everything below a field of the root, to be changed.
    pub(crate) fn below_mut(&mut self, step: &Step) -> Option<&mut Self> {
        self.children.get_mut(step)
    }

    /// Takes away one path of the root.
    pub(crate) fn remove(&mut self, step: &Step) {
        self.members.remove(step);
    }

    /// Every path, written as in conflict messages.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect("", &mut paths);
        paths
    }

    fn collect(&self, prefix: &str, paths: &mut Vec<String>) {
        let steps: BTreeSet<&Step> = self.members.iter().chain(self.children.keys()).collect();
        for step in steps {
            let path = format!("{prefix}{step}");
            if self.members.contains(step) {
                paths.push(path.clone());
            }
            if let Some(child) = self.children.get(step) {
                child.collect(&path, paths);
            }
        }
    }

    /// Reads the `FieldsV1` form. What is not understood is left out.
    pub(crate) fn from_json(json: &Value) -> Self {
        let mut set = Self::default();
        for (key, child) in json.as_object().into_iter().flatten() {
            let Some(step) = Step::from_key(key) else {
                continue;
            };
            let below = Self::from_json(child);
            let leaf = child.as_object().is_none_or(Map::is_empty);
            if leaf || child.get(".").is_some() {
                set.members.insert(step.clone());
            }
            if !below.is_empty() {
                set.children.insert(step, below);
            }
        }
        set
    }

    /// The `FieldsV1` form.
    pub(crate) fn to_json(&self) -> Value {
        let mut map = Map::new();
        for (step, child) in &self.children {
            if !child.is_empty() {
                map.insert(step.to_key(), child.to_json());
            }
        }
        for step in &self.members {
            match map.get_mut(&step.to_key()).and_then(Value::as_object_mut) {
                Some(child) => {
                    child.insert(".".into(), Map::new().into());
                }
                None => {
                    map.insert(step.to_key(), Map::new().into());
                }
            }
        }
        map.into()
    }
}

impl Step {
    pub(crate) fn field(name: &str) -> Self {
        Self::Field(name.to_owned())
    }

    fn from_key(key: &str) -> Option<Self> {
        let (tag, rest) = key.split_once(':')?;
        let rest = rest.to_owned();
        match tag {
            "f" => Some(Self::Field(rest)),
            "k" => Some(Self::Key(canonical(&rest))),
            "v" => Some(Self::Value(canonical(&rest))),
            "i" => Some(Self::Index(rest)),
            _ => None,
        }
    }

    fn to_key(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(json) => format!("k:{json}"),
            Self::Value(json) => format!("v:{json}"),
            Self::Index(index) => format!("i:{index}"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Value(json) => write!(f, "[={json}]"),
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Key(json) => {
                let keys: Map<String, Value> = serde_json::from_str(json).unwrap_or_default();
                let keys: Vec<String> =
                    keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                write!(f, "[{}]", keys.join(","))
            }
        }
    }
}

/// The same JSON with its keys in order.
fn canonical(json: &str) -> String {
    serde_json::from_str::<Value>(json).map_or_else(|_| json.to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_v1_round_trips() {
        let fields = json!({
            "f:metadata": { "f:labels": { ".": {}, "f:app": {} }, "f:finalizers": { "v:\"x\"": {} } },
            "f:spec": { "f:ports": { "k:{\"port\":80,\"protocol\":\"TCP\"}": { ".": {}, "f:port": {} } } },
        });
        let set = FieldSet::from_json(&fields);
        assert_eq!(set.to_json(), fields);
        assert_eq!(
            set.paths(),
            [
                ".metadata.finalizers[=\"x\"]",
                ".metadata.labels",
                ".metadata.labels.app",
                ".spec.ports[port=80,protocol=\"TCP\"]",
                ".spec.ports[port=80,protocol=\"TCP\"].port",
            ]
        );
    }
}
