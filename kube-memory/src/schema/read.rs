//! Reading a schema from its JSON.

use super::{Additional, ListType, Rules, Schema, Shape};
use crate::kind::{Topology, topology_of};
use regex::Regex;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Reads schemas that may point into a set of definitions.
struct Reader<'a> {
    definitions: Option<&'a Map<String, Value>>,
    /// The definitions being read: a type that holds itself ends in "anything".
    open: Vec<&'a str>,
}

impl Schema {
    /// Reads the `openAPIV3Schema` of a definition.
    pub(crate) fn of_custom(schema: &Value) -> Self {
        let mut reader = Reader { definitions: None, open: Vec::new() };
        let mut root = reader.read(schema);
        // The server knows these fields better than any definition.
        root.properties.remove("apiVersion");
        root.properties.remove("kind");
        root.shape = Shape::Object;
        root
    }

    /// Reads the schema of a built-in type from generated definitions.
    pub(crate) fn of_type(name: &str, definitions: &Map<String, Value>) -> Self {
        let mut reader = Reader { definitions: Some(definitions), open: Vec::new() };
        match definitions.get_key_value(name) {
            Some((name, schema)) => reader.definition(name, schema),
            None => Self::default(),
        }
    }
}

impl<'a> Reader<'a> {
    fn definition(&mut self, name: &'a str, schema: &'a Value) -> Schema {
        if self.open.contains(&name) {
            return Schema::default();
        }
        self.open.push(name);
        let mut read = self.read(schema);
        self.open.pop();
        if let Some(Topology::AtomicStruct) = topology_of(name, "") {
            read.atomic = true;
        }
        for (field, property) in &mut read.properties {
            let Some(topology) = topology_of(name, field) else {
                continue;
            };
            let property = Arc::make_mut(property);
            match topology {
                Topology::AtomicStruct | Topology::AtomicMap => property.atomic = true,
                Topology::ListMap(keys, patch) => {
                    property.list = ListType::Map(keys.iter().map(|&k| k.to_owned()).collect());
                    property.patch_key = patch.map(str::to_owned);
                }
                Topology::ListSet(patch) => {
                    property.list = ListType::Set;
                    property.patch_key = patch.map(str::to_owned);
                }
                Topology::PatchOnly(patch) => property.patch_key = patch.map(str::to_owned),
            }
        }
        // The one default that takes part in the keys of a list.
        if let Some(protocol) = read.properties.get_mut("protocol") {
            Arc::make_mut(protocol).default = Some("TCP".into());
        }
        read
    }

    fn read(&mut self, json: &'a Value) -> Schema {
        let Some(map) = json.as_object() else {
            return Schema::default();
        };
        if let (Some(Value::String(target)), Some(definitions)) =
            (map.get("$ref"), self.definitions)
        {
            let name = target.trim_start_matches("#/$defs/");
            return match definitions.get_key_value(name) {
                Some((name, schema)) => self.definition(name, schema),
                None => Schema::default(),
            };
        }
        let flag = |key: &str| map.get(key).and_then(Value::as_bool).unwrap_or_default();
        let int_or_string = flag("x-kubernetes-int-or-string");
        let properties = map.get("properties").and_then(Value::as_object);
        Schema {
            shape: match map.get("type").and_then(Value::as_str) {
                _ if int_or_string => Shape::IntOrString,
                Some("object") => Shape::Object,
                Some("array") => Shape::Array,
                Some("string") => Shape::String,
                Some("integer") => Shape::Integer,
                Some("number") => Shape::Number,
                Some("boolean") => Shape::Boolean,
                _ => Shape::Any,
            },
            nullable: flag("nullable"),
            preserve: flag("x-kubernetes-preserve-unknown-fields"),
            embedded: flag("x-kubernetes-embedded-resource"),
            properties: properties
                .into_iter()
                .flatten()
                .map(|(name, schema)| (name.clone(), Arc::new(self.read(schema))))
                .collect(),
            additional: match map.get("additionalProperties") {
                Some(Value::Bool(true)) => Additional::Any,
                Some(schema @ Value::Object(_)) => Additional::Of(Arc::new(self.read(schema))),
                _ => Additional::None,
            },
            items: map.get("items").map(|items| Arc::new(self.read(items))),
            required: texts(map.get("required")),
            default: map.get("default").filter(|value| !value.is_null()).cloned(),
            list: match map.get("x-kubernetes-list-type").and_then(Value::as_str) {
                Some("set") => ListType::Set,
                Some("map") => ListType::Map(texts(map.get("x-kubernetes-list-map-keys"))),
                _ => ListType::Atomic,
            },
            atomic: map.get("x-kubernetes-map-type").and_then(Value::as_str) == Some("atomic"),
            patch_key: None,
            rules: self.rules(map),
        }
    }

    fn rules(&mut self, map: &'a Map<String, Value>) -> Rules {
        let flag = |key: &str| map.get(key).and_then(Value::as_bool).unwrap_or_default();
        let float = |key: &str| map.get(key).and_then(Value::as_f64);
        let count = |key: &str| map.get(key).and_then(Value::as_u64);
        let list = |key: &str| map.get(key).and_then(Value::as_array).into_iter().flatten();
        Rules {
            allowed: list("enum").cloned().collect(),
            pattern: map
                .get("pattern")
                .and_then(Value::as_str)
                .and_then(|pattern| Regex::new(pattern).ok()),
            format: map.get("format").and_then(Value::as_str).map(str::to_owned),
            minimum: float("minimum").map(|bound| (bound, flag("exclusiveMinimum"))),
            maximum: float("maximum").map(|bound| (bound, flag("exclusiveMaximum"))),
            multiple_of: float("multipleOf"),
            min_length: count("minLength"),
            max_length: count("maxLength"),
            min_items: count("minItems"),
            max_items: count("maxItems"),
            min_properties: count("minProperties"),
            max_properties: count("maxProperties"),
            unique: flag("uniqueItems"),
            all_of: list("allOf").map(|schema| self.read(schema)).collect(),
            any_of: list("anyOf").map(|schema| self.read(schema)).collect(),
            one_of: list("oneOf").map(|schema| self.read(schema)).collect(),
            not: map.get("not").map(|schema| Box::new(self.read(schema))),
        }
    }
}

/// The texts of a list; none where there is no list.
pub(crate) fn texts(value: Option<&Value>) -> Vec<String> {
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}
