//! What the server itself sets in an object before it is stored.

use crate::kind::Kind;
use crate::storage::metadata_mut;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// Prepares an object that is about to be created.
pub(crate) fn for_create(kind: &Kind, object: &mut Value) {
    if let Some(map) = object.as_object_mut() {
        if kind.status {
            map.remove("status");
        }
        initial_status(kind, map);
    }
    if kind.generation {
        set_generation(object, 1);
    }
    fill_in(kind, object);
}

/// Prepares the next state of an object for the main endpoint.
pub(crate) fn for_update(kind: &Kind, live: &Value, object: &mut Value) {
    if kind.status {
        copy_field(live, object, "status");
    }
    fill_in(kind, object);
}

/// Prepares the next state of an object for `/status`.
pub(crate) fn for_status(kind: &Kind, live: &Value, object: &mut Value) {
    let metadata = object.get_mut("metadata").map(Value::take);
    restore(live, object, "status");
    let Some(map) = object.as_object_mut() else {
        return;
    };
    // Defined kinds take nothing but the status; built-in ones take labels and the like too.
    let Some(mut metadata) = metadata else {
        return;
    };
    if kind.is_custom() {
        let entries = metadata.get_mut("managedFields").map(Value::take);
        if let (Some(entries), Some(live)) = (entries, metadata_mut(object)) {
            live.insert("managedFields".into(), entries);
        }
    } else {
        if kind.is("", "pods")
            && let Some(map) = metadata.as_object_mut()
        {
            match live.pointer("/metadata/ownerReferences") {
                Some(owners) => map.insert("ownerReferences".into(), owners.clone()),
                None => map.remove("ownerReferences"),
            };
        }
        map.insert("metadata".into(), metadata);
    }
}

/// Gives every field but one its stored value again.
fn restore(live: &Value, object: &mut Value, but: &str) {
    let (Some(live), Some(map)) = (live.as_object(), object.as_object_mut()) else {
        return;
    };
    map.retain(|name, _| name == but || live.contains_key(name));
    for (name, value) in live.iter().filter(|(name, _)| *name != but) {
        if map.get(name) != Some(value) {
            map.insert(name.clone(), value.clone());
        }
    }
}

/// Counts a change of what is neither metadata nor, where it is kept apart, status.
pub(crate) fn count_generation(kind: &Kind, live: &Value, object: &mut Value) {
    if !kind.generation {
        return;
    }
    let counts = |name: &str| name != "metadata" && !(kind.status && name == "status");
    let (Some(old), Some(new)) = (live.as_object(), object.as_object()) else {
        return;
    };
    let rest = |map: &Map<String, Value>| map.keys().filter(|name| counts(name)).count();
    let changed = rest(old) != rest(new)
        || old.iter().any(|(name, value)| counts(name) && new.get(name) != Some(value));
    if changed {
        let generation = live.pointer("/metadata/generation").and_then(Value::as_i64);
        set_generation(object, generation.unwrap_or_default() + 1);
    }
}

fn set_generation(object: &mut Value, generation: i64) {
    if let Some(metadata) = metadata_mut(object) {
        metadata.insert("generation".into(), generation.into());
    }
}

fn copy_field(from: &Value, to: &mut Value, field: &str) {
    if let Some(map) = to.as_object_mut() {
        match from.get(field) {
            Some(value) => map.insert(field.into(), value.clone()),
            None => map.remove(field),
        };
    }
}

fn initial_status(kind: &Kind, map: &mut Map<String, Value>) {
    match (kind.group.as_str(), kind.plural.as_str()) {
        ("", "namespaces") => {
            map.insert("spec".into(), json!({ "finalizers": ["kubernetes"] }));
            map.insert("status".into(), json!({ "phase": "Active" }));
        }
        ("", "pods" | "persistentvolumeclaims" | "persistentvolumes") => {
            map.insert("status".into(), json!({ "phase": "Pending" }));
        }
        _ => {}
    }
}

/// Fields that follow from others.
fn fill_in(kind: &Kind, object: &mut Value) {
    match (kind.group.as_str(), kind.plural.as_str()) {
        ("", "namespaces") => {
            let name = object.pointer("/metadata/name").cloned().unwrap_or_default();
            if let Some(metadata) = metadata_mut(object) {
                let labels = metadata.entry("labels").or_insert_with(|| json!({}));
                if let Some(labels) = labels.as_object_mut() {
                    labels.insert("kubernetes.io/metadata.name".into(), name);
                }
            }
        }
        ("", "secrets") => fill_in_secret(object),
        ("networking.k8s.io", "networkpolicies") => fill_in_policy(object),
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
            fill_in_binding(object);
        }
        _ => {}
    }
}

fn fill_in_secret(object: &mut Value) {
    let Some(map) = object.as_object_mut() else {
        return;
    };
    map.entry("type").or_insert_with(|| "Opaque".into());
    if let Some(Value::Object(texts)) = map.remove("stringData") {
        let data = map.entry("data").or_insert_with(|| json!({}));
        if data.is_null() {
            *data = json!({});
        }
        if let Some(data) = data.as_object_mut() {
            for (key, text) in texts {
                let bytes = text.as_str().unwrap_or_default();
                data.insert(key, STANDARD.encode(bytes).into());
            }
        }
    }
}

fn fill_in_policy(object: &mut Value) {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    let listed =
        |key: &str| spec.get(key).and_then(Value::as_array).is_some_and(|rules| !rules.is_empty());
    if !listed("policyTypes") {
        let types =
            if listed("egress") { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
        spec.insert("policyTypes".into(), types);
    }
    for direction in ["ingress", "egress"] {
        let rules = spec.get_mut(direction).and_then(Value::as_array_mut);
        let ports = rules
            .into_iter()
            .flatten()
            .filter_map(|rule| rule.get_mut("ports")?.as_array_mut())
            .flatten();
        for port in ports.filter_map(Value::as_object_mut) {
            port.entry("protocol").or_insert_with(|| "TCP".into());
        }
    }
}

fn fill_in_binding(object: &mut Value) {
    const GROUP: &str = "rbac.authorization.k8s.io";
    if let Some(role) = object.get_mut("roleRef").and_then(Value::as_object_mut) {
        let group = role.entry("apiGroup").or_insert_with(|| GROUP.into());
        if group.as_str() == Some("") {
            *group = GROUP.into();
        }
    }
    let subjects = object.get_mut("subjects").and_then(Value::as_array_mut);
    for subject in subjects.into_iter().flatten().filter_map(Value::as_object_mut) {
        let kind = subject.get("kind").and_then(Value::as_str);
        if matches!(kind, Some("User" | "Group")) {
            subject.entry("apiGroup").or_insert_with(|| GROUP.into());
        }
    }
}
