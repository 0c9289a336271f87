//! What the garbage collector and the namespace controller of a cluster do, done at once.
//!
//! A write leaves a list of loose ends; [`settle`] ties them up before the next request is
//! looked at. Each step removes an object, a reference or a finalizer, so it comes to an end,
//! cycles or not.

use crate::kind::CUSTOM_RESOURCE_CLEANUP;
use crate::ownership::differs;
use crate::storage::{Key, Loose, Object, Storage, finalizers, metadata_mut};
use crate::verbs::{Propagation, delete_object, finish_if_free, resource};
use serde_json::Value;
use std::sync::Arc;

/// The finalizer of an object whose dependents go first.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of an object whose dependents stay.
pub(crate) const ORPHAN: &str = "orphan";

/// Follows up everything that the last write left behind.
pub(crate) fn settle(storage: &mut Storage) {
    while let Some(loose) = storage.loose.pop_front() {
        match loose {
            Loose::Changed(key) => {
                if let Some(object) = storage.get(&key).cloned() {
                    changed(storage, &object);
                }
            }
            Loose::Removed(object) => removed(storage, &object),
        }
    }
}

fn changed(storage: &mut Storage, object: &Arc<Object>) {
    if object.owners().next().is_some() && collect(storage, object) {
        return;
    }
    if !object.is_terminating() {
        return;
    }
    match &*object.key.resource {
        "namespaces." => empty_namespace(storage, &object.key.name),
        "customresourcedefinitions.apiextensions.k8s.io" => empty_definition(storage, object),
        _ => {}
    }
    if object.has_finalizer(ORPHAN) {
        release_dependents(storage, object);
        drop_finalizer(storage, &object.key, ORPHAN);
    } else if object.has_finalizer(FOREGROUND) {
        delete_dependents(storage, object);
        finish_foreground(storage, object);
    }
}

fn removed(storage: &mut Storage, object: &Object) {
    for dependent in storage.dependents(object.uid().unwrap_or_default()) {
        if let Some(dependent) = storage.get(&dependent).cloned() {
            collect(storage, &dependent);
        }
    }
    let owners: Vec<String> =
        object.owners().filter_map(|owner| owner.get("uid")?.as_str().map(str::to_owned)).collect();
    for uid in owners {
        if let Some(owner) = storage.by_uid(&uid).cloned()
            && owner.is_terminating()
            && owner.has_finalizer(FOREGROUND)
        {
            finish_foreground(storage, &owner);
        }
    }
    let namespace = Key {
        resource: resource("", "namespaces"),
        namespace: String::new(),
        name: object.key.namespace.clone(),
    };
    if let Some(namespace) = storage.get(&namespace).cloned()
        && namespace.is_terminating()
    {
        empty_namespace(storage, &namespace.key.name);
    }
    let definition = Key {
        resource: resource("apiextensions.k8s.io", "customresourcedefinitions"),
        namespace: String::new(),
        name: object.key.resource.to_string(),
    };
    if let Some(definition) = storage.get(&definition).cloned()
        && definition.is_terminating()
    {
        empty_definition(storage, &definition);
    }
}

/// How an owner looks to its dependent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// There, or of a kind that is not known.
    Solid,
    /// There, and waits for its dependents to go.
    Waiting,
    Absent,
}

/// Deletes an object that has lost its owners. Answers whether it was deleted or marked.
fn collect(storage: &mut Storage, object: &Arc<Object>) -> bool {
    let owners: Vec<(Value, Owner)> =
        object.owners().map(|owner| (owner.clone(), look(storage, object, owner))).collect();
    let any = |wanted| owners.iter().any(|(_, owner)| *owner == wanted);
    if any(Owner::Solid) {
        if owners.iter().any(|(_, owner)| *owner != Owner::Solid) {
            let solid = owners.into_iter().filter(|(_, owner)| *owner == Owner::Solid);
            set_owners(storage, object, solid.map(|(reference, _)| reference).collect());
        }
        return false;
    }
    if object.is_terminating() {
        return false;
    }
    let policy = if object.has_finalizer(ORPHAN) {
        Propagation::Orphan
    } else if object.has_finalizer(FOREGROUND) || (any(Owner::Waiting) && is_owner(storage, object))
    {
        Propagation::Foreground
    } else {
        Propagation::Background
    };
    delete_object(storage, object, Some(policy));
    true
}

fn look(storage: &Storage, dependent: &Object, reference: &Value) -> Owner {
    let text = |key: &str| reference.get(key).and_then(Value::as_str).unwrap_or_default();
    let Some(kind) = storage.registry.by_kind(text("apiVersion"), text("kind")) else {
        return Owner::Solid;
    };
    if kind.namespaced && dependent.key.namespace.is_empty() {
        // An owner in some namespace cannot be looked up from outside of it.
        return Owner::Solid;
    }
    let key = Key {
        resource: resource(&kind.group, &kind.plural),
        namespace: if kind.namespaced { dependent.key.namespace.clone() } else { String::new() },
        name: text("name").to_owned(),
    };
    match storage.get(&key) {
        Some(owner) if owner.uid() == Some(text("uid")) => {
            if owner.is_terminating() && owner.has_finalizer(FOREGROUND) {
                Owner::Waiting
            } else {
                Owner::Solid
            }
        }
        _ => Owner::Absent,
    }
}

/// Deletes what depends on an object that waits for just that.
fn delete_dependents(storage: &mut Storage, owner: &Object) {
    for key in storage.dependents(owner.uid().unwrap_or_default()) {
        let Some(dependent) = storage.get(&key).cloned() else {
            continue;
        };
        if dependent.is_terminating() && dependent.has_finalizer(FOREGROUND) {
            // In a ring of waiting objects nobody may block another.
            unblock(storage, &dependent);
        } else {
            collect(storage, &dependent);
        }
    }
}

fn is_owner(storage: &Storage, object: &Object) -> bool {
    !storage.dependents(object.uid().unwrap_or_default()).is_empty()
}

/// Lets a waiting object go once no dependent blocks it any more.
fn finish_foreground(storage: &mut Storage, owner: &Object) {
    let uid = owner.uid().unwrap_or_default();
    let blocked = storage.dependents(uid).iter().filter_map(|key| storage.get(key)).any(|object| {
        object.owners().any(|reference| {
            reference.get("uid").and_then(Value::as_str) == Some(uid)
                && reference.get("blockOwnerDeletion") == Some(&Value::Bool(true))
        })
    });
    if !blocked {
        drop_finalizer(storage, &owner.key, FOREGROUND);
    }
}

fn unblock(storage: &mut Storage, dependent: &Arc<Object>) {
    let references = dependent.owners().cloned().map(|mut reference| {
        if let Some(map) = reference.as_object_mut() {
            map.insert("blockOwnerDeletion".into(), false.into());
        }
        reference
    });
    let references = references.collect();
    set_owners(storage, dependent, references);
}

/// Takes an owner's reference off everything that depends on it.
fn release_dependents(storage: &mut Storage, owner: &Object) {
    let uid = owner.uid().unwrap_or_default();
    for key in storage.dependents(uid) {
        if let Some(dependent) = storage.get(&key).cloned() {
            let others = dependent
                .owners()
                .filter(|reference| reference.get("uid").and_then(Value::as_str) != Some(uid))
                .cloned()
                .collect();
            set_owners(storage, &dependent, others);
        }
    }
}

fn set_owners(storage: &mut Storage, object: &Arc<Object>, owners: Vec<Value>) {
    let mut value = object.value();
    if let Some(metadata) = metadata_mut(&mut value) {
        if owners.is_empty() {
            metadata.remove("ownerReferences");
        } else {
            metadata.insert("ownerReferences".into(), owners.into());
        }
    }
    if differs(&object.value(), &value) {
        storage.put(object.key.clone(), value);
    }
}

fn drop_finalizer(storage: &mut Storage, key: &Key, finalizer: &str) {
    let Some(object) = storage.get(key).cloned() else {
        return;
    };
    if !object.has_finalizer(finalizer) {
        return;
    }
    let left: Vec<Value> =
        finalizers(&object.head).filter(|found| *found != finalizer).map(Value::from).collect();
    let mut value = object.value();
    if let Some(metadata) = metadata_mut(&mut value) {
        if left.is_empty() {
            metadata.remove("finalizers");
        } else {
            metadata.insert("finalizers".into(), left.into());
        }
    }
    let stored = storage.put(key.clone(), value);
    finish_if_free(storage, &stored);
}

/// Deletes what is in a namespace, and the namespace once it is empty.
fn empty_namespace(storage: &mut Storage, name: &str) {
    let content = storage.in_namespace(name);
    for key in &content {
        if let Some(object) = storage.get(key).cloned()
            && !object.is_terminating()
        {
            delete_object(storage, &object, Some(Propagation::Background));
        }
    }
    if !storage.in_namespace(name).is_empty() {
        return;
    }
    let key = Key {
        resource: resource("", "namespaces"),
        namespace: String::new(),
        name: name.to_owned(),
    };
    let Some(namespace) = storage.get(&key).cloned() else {
        return;
    };
    let kubernetes = Value::from("kubernetes");
    let mut value = namespace.value();
    if let Some(list) = value.pointer_mut("/spec/finalizers").and_then(Value::as_array_mut) {
        list.retain(|finalizer| *finalizer != kubernetes);
        if list.is_empty()
            && let Some(map) = value.as_object_mut()
        {
            map.insert("spec".into(), Value::Object(serde_json::Map::new()));
        }
    }
    let free = finalizers(&value).next().is_none() && value.pointer("/spec/finalizers").is_none();
    if free {
        storage.remove(&key);
    } else if differs(&namespace.value(), &value) {
        storage.put(key, value);
    }
}

/// Deletes the objects of a definition, and stops serving it once there are none.
fn empty_definition(storage: &mut Storage, definition: &Arc<Object>) {
    let value = definition.value();
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (group, plural) = (text("/spec/group"), text("/spec/names/plural"));
    let table = resource(group, plural);
    let objects: Vec<Arc<Object>> = storage.list(&table, None).cloned().collect();
    for object in objects {
        if !object.is_terminating() {
            delete_object(storage, &object, Some(Propagation::Background));
        }
    }
    if storage.list(&table, None).next().is_none() {
        storage.registry.remove(group, plural);
        drop_finalizer(storage, &definition.key, CUSTOM_RESOURCE_CLEANUP);
    }
}
