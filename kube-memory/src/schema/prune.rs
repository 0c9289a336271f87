//! Dropping fields that a schema does not name.

use super::path::Path;
use super::{Additional, Schema, Shape};
use serde_json::Value;

impl Schema {
    /// Drops unknown fields of a whole object and answers with their paths.
    ///
    /// `metadata` is not looked at: its schema is the server's own.
    pub(crate) fn prune_object(&self, object: &mut Value) -> Vec<String> {
        let mut dropped = Vec::new();
        self.prune_map(object, Path::Root, true, &mut dropped);
        dropped
    }

    fn prune(&self, value: &mut Value, path: Path<'_>, dropped: &mut Vec<String>) {
        match value {
            Value::Object(_) => self.prune_map(value, path, self.embedded, dropped),
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    for (index, item) in items.iter_mut().enumerate() {
                        schema.prune(item, Path::Item(&path, index), dropped);
                    }
                }
            }
            _ => {}
        }
    }

    fn prune_map(
        &self,
        value: &mut Value,
        path: Path<'_>,
        is_api: bool,
        dropped: &mut Vec<String>,
    ) {
        let Some(map) = value.as_object_mut() else {
            return;
        };
        let untyped = self.shape == Shape::Any && self.properties.is_empty();
        let keep_all = self.preserve || (untyped && self.items.is_none());
        map.retain(|key, child| {
            let place = Path::Field(&path, key);
            if is_api && matches!(key.as_str(), "apiVersion" | "kind" | "metadata") {
                return true;
            }
            if let Some(schema) = self.properties.get(key) {
                schema.prune(child, place, dropped);
                return true;
            }
            match &self.additional {
                Additional::Of(schema) => schema.prune(child, place, dropped),
                Additional::Any => {}
                Additional::None if keep_all => {}
                Additional::None => {
                    dropped.push(place.to_string());
                    return false;
                }
            }
            true
        });
    }
}
