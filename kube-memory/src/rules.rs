//! What an object must keep to beyond its schema.

use crate::kind::{Form, Kind};
use crate::names;
use crate::status::FieldError;
use crate::storage::finalizers;
use serde_json::Value;

/// The largest sum of values in a `ConfigMap` or a `Secret`, in bytes.
pub(crate) const MAX_DATA: usize = 1 << 20;

/// The largest object that is stored, in bytes of JSON: etcd's limit for a request.
const MAX_OBJECT: usize = 3 << 19;

/// The largest sum of annotations, in bytes.
const MAX_ANNOTATIONS: usize = 256 << 10;

const IMMUTABLE: &str = "field is immutable when `immutable` is set";

/// Whether an object is too large for what it would be stored in.
pub(crate) fn is_too_large(object: &Value) -> bool {
    // Strings are counted without what is escaped in them.
    fn size(value: &Value) -> usize {
        match value {
            Value::String(text) => text.len() + 2,
            Value::Array(list) => list.iter().map(|value| size(value) + 1).sum::<usize>() + 2,
            Value::Object(map) => {
                map.iter().map(|(key, value)| key.len() + size(value) + 4).sum::<usize>() + 2
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => 5,
        }
    }
    size(object) > MAX_OBJECT
}

/// The broken rules of an object; `live` is what it replaces.
pub(crate) fn broken(kind: &Kind, live: Option<&Value>, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    metadata(kind, live, object, &mut errors);
    match (kind.group.as_str(), kind.plural.as_str()) {
        ("", "configmaps") => {
            if let Some(live) = live {
                immutable(live, object, &["data", "binaryData"], &mut errors);
            }
            config_map(live, object, &mut errors);
        }
        ("", "secrets") => {
            if let Some(live) = live {
                if live.get("type") != object.get("type") {
                    errors.push(unchangeable("type", object.get("type")));
                }
                immutable(live, object, &["data"], &mut errors);
            }
            secret(live, object, &mut errors);
        }
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
            if let Some(live) = live
                && live.get("roleRef") != object.get("roleRef")
            {
                let value = object.get("roleRef").unwrap_or(&Value::Null);
                errors.push(FieldError::invalid("roleRef", value, "cannot change roleRef"));
            }
        }
        _ => {}
    }
    if let Form::Custom(schema) = &kind.form {
        errors.extend(schema.validate(object));
    }
    errors
}

fn metadata(kind: &Kind, live: Option<&Value>, object: &Value, errors: &mut Vec<FieldError>) {
    let metadata = object.get("metadata").unwrap_or(&Value::Null);
    let name = metadata.get("name").and_then(Value::as_str).unwrap_or_default();
    if live.is_none() {
        for sentence in kind.names.check(name) {
            errors.push(FieldError::invalid("metadata.name", &name.into(), &sentence));
        }
    }
    for (key, value) in entries(metadata.get("labels")) {
        for sentence in names::label_key(key) {
            errors.push(FieldError::invalid("metadata.labels", &key.as_str().into(), &sentence));
        }
        for sentence in names::label_value(value.as_str().unwrap_or_default()) {
            errors.push(FieldError::invalid("metadata.labels", value, &sentence));
        }
    }
    let mut size = 0;
    for (key, value) in entries(metadata.get("annotations")) {
        size += key.len() + value.as_str().map_or(0, str::len);
        for sentence in names::label_key(&key.to_lowercase()) {
            let key = key.as_str().into();
            errors.push(FieldError::invalid("metadata.annotations", &key, &sentence));
        }
    }
    if size > MAX_ANNOTATIONS {
        errors.push(FieldError::too_long("metadata.annotations", 256 << 10));
    }
    for (index, finalizer) in finalizers(object).enumerate() {
        let mut broken = names::label_key(finalizer);
        let standard = matches!(finalizer, "orphan" | "foregroundDeletion" | "kubernetes");
        if broken.is_empty() && !kind.is_custom() && !standard && !finalizer.contains('/') {
            let sentence = "name is neither a standard finalizer name nor is it fully qualified";
            broken.push(sentence.to_owned());
        }
        for sentence in broken {
            let path = format!("metadata.finalizers[{index}]");
            errors.push(FieldError::invalid(path, &finalizer.into(), &sentence));
        }
    }
    owners(metadata, errors);
    if let Some(live) = live {
        frozen_finalizers(live, object, errors);
    }
}

fn owners(metadata: &Value, errors: &mut Vec<FieldError>) {
    let owners = metadata.get("ownerReferences").and_then(Value::as_array);
    let mut controllers = 0;
    for owner in owners.into_iter().flatten() {
        for (field, detail) in [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ] {
            let value = owner.get(field).cloned().unwrap_or_else(|| "".into());
            if value.as_str().is_none_or(str::is_empty) {
                let path = format!("metadata.ownerReferences.{field}");
                errors.push(FieldError::invalid(path, &value, detail));
            }
        }
        if owner.get("controller") == Some(&Value::Bool(true)) {
            controllers += 1;
        }
    }
    if controllers > 1 {
        errors.push(FieldError::invalid(
            "metadata.ownerReferences",
            metadata.get("ownerReferences").unwrap_or(&Value::Null),
            "Only one reference can have Controller set to true",
        ));
    }
}

/// No finalizer joins an object that is going away.
fn frozen_finalizers(live: &Value, object: &Value, errors: &mut Vec<FieldError>) {
    if live.pointer("/metadata/deletionTimestamp").is_none() {
        return;
    }
    let added: Vec<&str> = finalizers(object)
        .filter(|finalizer| !finalizers(live).any(|old| old == *finalizer))
        .collect();
    if !added.is_empty() {
        let list: Vec<String> = added.iter().map(|text| format!("{text:?}")).collect();
        let detail = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers \
             []string{{{}}}",
            list.join(", ")
        );
        errors.push(FieldError::forbidden("metadata.finalizers", &detail));
    }
}

fn config_map(live: Option<&Value>, object: &Value, errors: &mut Vec<FieldError>) {
    let (data, binary) = (object.get("data"), object.get("binaryData"));
    let mut size = 0;
    for (key, value) in entries(data) {
        bad_key(live, "data", key, errors);
        if binary.is_some_and(|binary| binary.get(key).is_some()) {
            let path = format!("data[{key}]");
            errors.push(FieldError::invalid(
                path,
                &key.as_str().into(),
                "duplicate of key present in binaryData",
            ));
        }
        size += value.as_str().map_or(0, str::len);
    }
    for (key, value) in entries(binary) {
        bad_key(live, "binaryData", key, errors);
        size += decoded_length(value);
    }
    if size > MAX_DATA {
        errors.push(FieldError::too_long("[]", 1 << 20));
    }
}

fn secret(live: Option<&Value>, object: &Value, errors: &mut Vec<FieldError>) {
    let mut size = 0;
    for (key, value) in entries(object.get("data")) {
        bad_key(live, "data", key, errors);
        size += decoded_length(value);
    }
    if size > MAX_DATA {
        errors.push(FieldError::too_long("data", 1 << 20));
    }
}

fn bad_key(live: Option<&Value>, field: &str, key: &str, errors: &mut Vec<FieldError>) {
    // What is stored was looked at when it came.
    if live.and_then(|live| live.get(field)?.get(key)).is_some() {
        return;
    }
    for sentence in names::data_key(key) {
        let path = format!("{field}[{key}]");
        errors.push(FieldError::invalid(path, &key.into(), &sentence));
    }
}

fn immutable(live: &Value, object: &Value, fields: &[&str], errors: &mut Vec<FieldError>) {
    if live.get("immutable") != Some(&Value::Bool(true)) {
        return;
    }
    if object.get("immutable") != Some(&Value::Bool(true)) {
        errors.push(FieldError::forbidden("immutable", IMMUTABLE));
    }
    for field in fields {
        if live.get(field) != object.get(field) {
            errors.push(FieldError::forbidden(*field, IMMUTABLE));
        }
    }
}

fn unchangeable(path: &str, value: Option<&Value>) -> FieldError {
    FieldError::invalid(path, value.unwrap_or(&Value::Null), "field is immutable")
}

fn entries(map: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    map.and_then(Value::as_object).into_iter().flatten()
}

fn decoded_length(base64: &Value) -> usize {
    let text = base64.as_str().unwrap_or_default();
    let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
    (text.len() / 4 * 3).saturating_sub(padding)
}
