//! Laying an applied object over the stored one.

use super::set::{FieldSet, Step};
use super::walk::{Parts, identity, parts};
use crate::schema::Schema;
use serde_json::{Map, Value};

/// The stored value with everything that the applied one names.
pub(crate) fn merge(schema: &Schema, live: &Value, applied: &Value) -> Value {
    match (parts(schema, live), parts(schema, applied)) {
        (Parts::Map(live), Parts::Map(applied)) => {
            let mut merged = live.clone();
            for (name, child) in applied {
                let value = match live.get(name) {
                    Some(old) => merge(schema.field(name), old, child),
                    None => child.clone(),
                };
                merged.insert(name.clone(), value);
            }
            merged.into()
        }
        (Parts::List(live), Parts::List(applied)) => merge_lists(schema, live, applied).into(),
        _ => applied.clone(),
    }
}

/// Applied items keep their order; stored ones keep their place before the next shared item.
fn merge_lists(schema: &Schema, live: &[Value], applied: &[Value]) -> Vec<Value> {
    let with_identity = |items: &[Value]| -> Vec<(Step, Value)> {
        items.iter().map(|item| (identity(schema, item), item.clone())).collect()
    };
    let (live, applied) = (with_identity(live), with_identity(applied));
    let mut waiting = live.iter().peekable();
    let mut merged = Vec::new();
    let only_live = |step: &Step| !applied.iter().any(|(other, _)| other == step);
    for (step, item) in &applied {
        let shared = live.iter().find(|(other, _)| other == step);
        // Stored items up to the shared one come first.
        while let Some((other, value)) = waiting.peek() {
            if only_live(other) {
                merged.push(value.clone());
            } else if other == step || shared.is_none() {
                break;
            }
            waiting.next();
        }
        merged.push(match shared {
            Some((_, old)) => merge(schema.item(), old, item),
            None => item.clone(),
        });
    }
    let rest = waiting.filter(|(step, _)| only_live(step)).map(|(_, value)| value.clone());
    merged.extend(rest);
    merged
}

/// Takes away what the manager applied last time and nobody names now.
pub(crate) fn prune(schema: &Schema, value: &mut Value, last: &FieldSet, kept: &FieldSet) {
    match value {
        Value::Object(map) if !schema.atomic => prune_map(schema, map, last, kept),
        Value::Array(items)
            if matches!(parts(schema, &Value::Array(Vec::new())), Parts::List(_)) =>
        {
            items.retain_mut(|item| {
                let step = identity(schema, item);
                keep(schema.item(), item, &step, false, last, kept)
            });
        }
        _ => {}
    }
}

fn prune_map(schema: &Schema, map: &mut Map<String, Value>, last: &FieldSet, kept: &FieldSet) {
    map.retain(|name, child| {
        let named = schema.properties.contains_key(name);
        keep(schema.field(name), child, &Step::field(name), named, last, kept)
    });
}

/// Whether a part stays, after its own parts were pruned.
fn keep(
    schema: &Schema,
    value: &mut Value,
    step: &Step,
    named: bool,
    last: &FieldSet,
    kept: &FieldSet,
) -> bool {
    let empty = FieldSet::default();
    let (last_below, kept_below) = (last.below(step), kept.below(step));
    // Who owns a part of a named field owns the field.
    let was_applied = last.has(step) || (named && last_below.is_some());
    let is_kept = kept.has(step) || kept_below.is_some();
    if was_applied && !is_kept {
        return false;
    }
    if let Some(last_below) = last_below {
        prune(schema, value, last_below, kept_below.unwrap_or(&empty));
    }
    true
}
