//! The `data` of a ConfigMap, kept apart from the rest of it.
//!
//! Many clients keep many small entries in one ConfigMap and change one at a time. Texts are shared
//! between the states of such an object, so that a change costs what it changes.

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The texts of a ConfigMap by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entries {
    texts: BTreeMap<Arc<str>, Arc<str>>,
    /// The sum of the values, in bytes.
    size: usize,
}

impl Entries {
    /// Takes the entries out of an object that has nothing beside them and its metadata.
    pub(crate) fn take(object: &mut Value) -> Option<Self> {
        let map = object.as_object_mut()?;
        let is_text = map.get("data")?.as_object()?.values().all(Value::is_string);
        if !is_text || map.keys().any(|field| field != "data" && field != "metadata") {
            return None;
        }
        let mut entries = Self::default();
        if let Some(Value::Object(data)) = map.remove("data") {
            for (key, value) in data {
                entries.set(&key, value.as_str());
            }
        }
        Some(entries)
    }

    /// The entries after a merge patch of them, where that is all of the patch; `None` where it is
    /// not, or has anything that could be refused.
    pub(crate) fn patched(&self, patch: &Value, allowed: impl Fn(&str) -> bool) -> Option<Self> {
        let patch = patch.as_object().filter(|patch| patch.len() == 1)?.get("data")?.as_object()?;
        let mut next = self.clone();
        for (key, value) in patch {
            let known = self.texts.contains_key(key.as_str());
            match value {
                Value::Null => next.set(key, None),
                Value::String(text) if known || allowed(key) => next.set(key, Some(text)),
                _ => return None,
            }
        }
        (!next.texts.is_empty()).then_some(next)
    }

    /// The sum of the values, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// The entries as an object has them.
    pub(crate) fn to_value(&self) -> Value {
        let texts = self.texts.iter();
        texts.map(|(key, text)| (key.to_string(), (**text).into())).collect::<Map<_, _>>().into()
    }

    /// The entries as JSON.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.reserve(self.size);
        out.push(b'{');
        for (index, (key, text)) in self.texts.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_text(key, out);
            out.push(b':');
            write_text(text, out);
        }
        out.push(b'}');
    }

    fn set(&mut self, key: &str, text: Option<&str>) {
        let before = match text {
            Some(text) => {
                self.size += text.len();
                self.texts.insert(key.into(), text.into())
            }
            None => self.texts.remove(key),
        };
        self.size -= before.map_or(0, |text| text.len());
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    // Writing a text to memory does not fail.
    let _ = serde_json::to_writer(out, text);
}
