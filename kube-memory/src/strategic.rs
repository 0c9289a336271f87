//! Strategic merge patches: merge patches that know the lists of built-in kinds.

use crate::schema::Schema;
use crate::status::{Refusal, Result};
use serde_json::{Map, Value};

const DIRECTIVE: &str = "$patch";
const DELETE_PREFIX: &str = "$deleteFromPrimitiveList/";
const ORDER_PREFIX: &str = "$setElementOrder/";
const RETAIN_KEYS: &str = "$retainKeys";

/// Lays a patch over an object.
///
/// # Errors
/// 400 where a list item of the patch has no merge key, or a directive is not known.
pub(crate) fn merge(schema: &Schema, object: &mut Value, patch: &Value) -> Result<()> {
    let Some(changes) = patch.as_object() else {
        object.clone_from(patch);
        return Ok(());
    };
    match changes.get(DIRECTIVE).and_then(Value::as_str) {
        None | Some("merge") => {}
        Some("replace") => {
            let mut replacement = changes.clone();
            replacement.remove(DIRECTIVE);
            *object = replacement.into();
            return Ok(());
        }
        Some("delete") => {
            *object = Map::new().into();
            return Ok(());
        }
        Some(other) => return Err(unknown_directive(other)),
    }
    if !object.is_object() {
        *object = Map::new().into();
    }
    let Some(map) = object.as_object_mut() else {
        return Ok(());
    };
    if let Some(kept) = changes.get(RETAIN_KEYS).and_then(Value::as_array) {
        map.retain(|name, _| kept.iter().any(|kept| kept.as_str() == Some(name)));
    }
    for (name, change) in changes {
        if let Some(list) = name.strip_prefix(DELETE_PREFIX) {
            delete_values(map, list, change);
        } else if !name.starts_with('$') {
            merge_field(schema.field(name), map, name, change)?;
        }
    }
    for (name, order) in changes {
        if let Some(list) = name.strip_prefix(ORDER_PREFIX) {
            reorder(schema.field(list), map, list, order);
        }
    }
    Ok(())
}

fn merge_field(
    schema: &Schema,
    map: &mut Map<String, Value>,
    name: &str,
    change: &Value,
) -> Result<()> {
    match (change, &schema.patch_key) {
        (Value::Null, _) => {
            map.remove(name);
        }
        (Value::Object(_), _) => {
            let old = map.entry(name).or_insert_with(|| Map::new().into());
            merge(schema, old, change)?;
        }
        (Value::Array(items), Some(key)) => {
            let old = map.entry(name).or_insert_with(|| Vec::<Value>::new().into());
            if !old.is_array() {
                *old = Vec::<Value>::new().into();
            }
            if let Some(old) = old.as_array_mut() {
                merge_list(schema, key, old, items)?;
            }
        }
        _ => {
            map.insert(name.to_owned(), change.clone());
        }
    }
    Ok(())
}

fn merge_list(schema: &Schema, key: &str, old: &mut Vec<Value>, items: &[Value]) -> Result<()> {
    if key.is_empty() {
        for item in items {
            if !old.contains(item) {
                old.push(item.clone());
            }
        }
        return Ok(());
    }
    let is_replacement = |item: &Value| {
        item.get(DIRECTIVE).and_then(Value::as_str) == Some("replace") && item.get(key).is_none()
    };
    if items.iter().any(is_replacement) {
        *old = items.iter().filter(|item| !is_replacement(item)).cloned().collect();
        return Ok(());
    }
    for item in items {
        let Some(identity) = item.get(key) else {
            return Err(Refusal::bad_request(format!(
                "map: {item} does not contain declared merge key: {key}"
            )));
        };
        let place = old.iter().position(|found| found.get(key) == Some(identity));
        match (item.get(DIRECTIVE).and_then(Value::as_str), place) {
            (Some("delete"), Some(place)) => {
                old.remove(place);
            }
            (Some("delete"), None) => {}
            (_, Some(place)) => {
                if let Some(found) = old.get_mut(place) {
                    merge(schema.item(), found, item)?;
                }
            }
            (_, None) => {
                let mut fresh = Value::Object(Map::new());
                merge(schema.item(), &mut fresh, item)?;
                old.push(fresh);
            }
        }
    }
    Ok(())
}

fn delete_values(map: &mut Map<String, Value>, name: &str, values: &Value) {
    if let (Some(old), Some(values)) =
        (map.get_mut(name).and_then(Value::as_array_mut), values.as_array())
    {
        old.retain(|value| !values.contains(value));
    }
}

/// Brings listed items into the given order; the others keep their places behind them.
fn reorder(schema: &Schema, map: &mut Map<String, Value>, name: &str, order: &Value) {
    let (Some(items), Some(order)) =
        (map.get_mut(name).and_then(Value::as_array_mut), order.as_array())
    else {
        return;
    };
    let key = schema.patch_key.as_deref().unwrap_or_default();
    let rank = |item: &Value| {
        let place = order.iter().position(|wanted| {
            if key.is_empty() { wanted == item } else { wanted.get(key) == item.get(key) }
        });
        place.unwrap_or(usize::MAX)
    };
    items.sort_by_key(rank);
}

fn unknown_directive(directive: &str) -> Refusal {
    Refusal::bad_request(format!("Unknown value of $patch: {directive}"))
}
