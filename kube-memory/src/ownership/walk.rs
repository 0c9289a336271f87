//! Which fields an object has, and which differ between two.

use super::set::{FieldSet, Step};
use crate::schema::{ListType, Schema};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What differs between an old and a new object.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    pub(crate) added: FieldSet,
    pub(crate) modified: FieldSet,
    pub(crate) removed: FieldSet,
}

/// How a value is taken apart under a schema.
pub(crate) enum Parts<'a> {
    /// Not at all.
    Leaf,
    Map(&'a Map<String, Value>),
    /// By the identity of its items.
    List(&'a [Value]),
}

/// Takes a value apart.
pub(crate) fn parts<'a>(schema: &Schema, value: &'a Value) -> Parts<'a> {
    match value {
        Value::Object(map) if !schema.atomic => Parts::Map(map),
        Value::Array(items) if *schema.list_type() != ListType::Atomic => Parts::List(items),
        _ => Parts::Leaf,
    }
}

/// What tells a list item from the others.
pub(crate) fn identity(schema: &Schema, item: &Value) -> Step {
    match schema.list_type() {
        ListType::Map(keys) => {
            let values: Map<String, Value> = keys
                .iter()
                .map(|key| {
                    let default = || schema.item().field(key).default.clone();
                    let value = item.get(key).cloned().or_else(default);
                    (key.clone(), value.unwrap_or_default())
                })
                .collect();
            Step::Key(Value::Object(values).to_string())
        }
        ListType::Set | ListType::Atomic => Step::Value(item.to_string()),
    }
}

/// Every field that an applied object names.
pub(crate) fn fields(schema: &Schema, object: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    collect(schema, object, &mut Vec::new(), &mut set);
    set
}

fn collect(schema: &Schema, value: &Value, path: &mut Vec<Step>, set: &mut FieldSet) {
    match parts(schema, value) {
        Parts::Leaf => set.insert(path),
        Parts::Map(map) => {
            for (name, child) in map {
                path.push(Step::field(name));
                collect(schema.field(name), child, path, set);
                let empty = child.is_null() || child.as_object().is_some_and(Map::is_empty);
                if empty || !schema.properties.contains_key(name) {
                    set.insert(path);
                }
                path.pop();
            }
        }
        Parts::List(items) => {
            for item in items {
                path.push(identity(schema, item));
                collect(schema.item(), item, path, set);
                set.insert(path);
                path.pop();
            }
        }
    }
}

/// The difference between two objects of one kind.
pub(crate) fn compare(schema: &Schema, old: &Value, new: &Value) -> Difference {
    let mut difference = Difference::default();
    both(schema, Some(old), Some(new), &mut Vec::new(), &mut difference);
    difference
}

fn both(
    schema: &Schema,
    old: Option<&Value>,
    new: Option<&Value>,
    path: &mut Vec<Step>,
    difference: &mut Difference,
) {
    if old == new {
        return;
    }
    let (old_parts, new_parts) =
        (old.map(|value| parts(schema, value)), new.map(|value| parts(schema, value)));
    match (old_parts, new_parts) {
        (None, None) => {}
        (None | Some(Parts::Map(_)), Some(Parts::Map(_))) | (Some(Parts::Map(_)), None) => {
            let (old_map, new_map) = (
                old.and_then(Value::as_object).filter(|map| !map.is_empty()),
                new.and_then(Value::as_object).filter(|map| !map.is_empty()),
            );
            mark(old, new, false, path, difference);
            let old_names = old_map.into_iter().flat_map(Map::keys);
            let added = |name: &&String| old_map.is_none_or(|map| !map.contains_key(*name));
            let new_names = new_map.into_iter().flat_map(Map::keys).filter(added);
            for name in old_names.chain(new_names) {
                path.push(Step::field(name));
                both(
                    schema.field(name),
                    old_map.and_then(|map| map.get(name)),
                    new_map.and_then(|map| map.get(name)),
                    path,
                    difference,
                );
                path.pop();
            }
        }
        (None | Some(Parts::List(_)), Some(Parts::List(_))) | (Some(Parts::List(_)), None) => {
            mark(old, new, false, path, difference);
            let mut items: BTreeMap<Step, (Option<&Value>, Option<&Value>)> = BTreeMap::new();
            for item in old.and_then(Value::as_array).into_iter().flatten() {
                items.entry(identity(schema, item)).or_default().0 = Some(item);
            }
            for item in new.and_then(Value::as_array).into_iter().flatten() {
                items.entry(identity(schema, item)).or_default().1 = Some(item);
            }
            for (step, (old, new)) in items {
                path.push(step);
                both(schema.item(), old, new, path, difference);
                path.pop();
            }
        }
        // A leaf on one side at least.
        _ => mark(old, new, true, path, difference),
    }
}

fn mark(
    old: Option<&Value>,
    new: Option<&Value>,
    leaf: bool,
    path: &[Step],
    difference: &mut Difference,
) {
    match (old, new) {
        (None, Some(_)) => difference.added.insert(path),
        (Some(_), None) => difference.removed.insert(path),
        (Some(old), Some(new)) if leaf && old != new => difference.modified.insert(path),
        _ => {}
    }
}
