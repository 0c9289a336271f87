//! Filling in what an object leaves out.

use super::{Additional, Schema};
use serde_json::Value;

impl Schema {
    /// Sets every absent field that has a default, also below defaults.
    ///
    /// A null that a field may not hold counts as absent.
    pub(crate) fn apply_defaults(&self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                for (name, schema) in &self.properties {
                    if let Some(default) = &schema.default
                        && map.get(name).is_none_or(|old| schema.refuses_null(old))
                    {
                        map.insert(name.clone(), default.clone());
                    }
                }
                map.retain(|name, child| {
                    let ((Some(schema), _) | (None, Additional::Of(schema))) =
                        (self.properties.get(name), &self.additional)
                    else {
                        return true;
                    };
                    schema.fill_in(child);
                    !schema.refuses_null(child)
                });
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    items.iter_mut().for_each(|item| schema.fill_in(item));
                }
            }
            _ => {}
        }
    }

    fn fill_in(&self, value: &mut Value) {
        if let Some(default) = &self.default
            && self.refuses_null(value)
        {
            value.clone_from(default);
        }
        self.apply_defaults(value);
    }

    fn refuses_null(&self, value: &Value) -> bool {
        value.is_null() && !self.nullable
    }
}
