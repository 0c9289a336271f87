//! Who owns which field: server-side apply and `metadata.managedFields`.

mod merge;
mod set;
mod walk;

use crate::schema::Schema;
use crate::status::{Refusal, Result};
use crate::storage::metadata_mut;
use crate::time::now;
use serde_json::{Map, Value, json};
use set::{FieldSet, Step};
use std::collections::BTreeMap;

/// Update managers beyond this number are folded into one.
const MAX_UPDATE_MANAGERS: usize = 10;

/// Who makes a change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Actor<'a> {
    pub(crate) manager: &'a str,
    /// The version in which the object was written.
    pub(crate) api_version: &'a str,
    pub(crate) subresource: Option<&'a str>,
    /// The endpoint does not write this field of the root, so nobody owns it through it.
    pub(crate) ignored: Option<&'a str>,
}

/// One entry of `managedFields`.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    id: Id,
    api_version: String,
    time: Option<String>,
    fields: FieldSet,
}

/// What tells one entry from another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Id {
    /// `Apply` before `Update`.
    applied: bool,
    manager: String,
    subresource: String,
    /// Part of the identity of updates only.
    api_version: String,
}

/// The entries of an object.
type Entries = Vec<Entry>;

/// Notes in `new` who owns what after a change that was not an apply.
///
/// Without a `live` object everything in `new` was just made.
pub(crate) fn track(schema: &Schema, live: Option<&Value>, new: &mut Value, actor: Actor<'_>) {
    let nothing = Value::Object(Map::new());
    let requested = take_entries(new);
    let before = live.unwrap_or(&nothing);
    let mut entries = match requested {
        Some(requested) if is_reset(&requested) => Vec::new(),
        Some(requested) if actor.subresource.is_none() && !read(&requested).is_empty() => {
            read(&requested)
        }
        _ => read_entries(before),
    };
    // An object whose entries were wiped stays without until the next apply.
    if live.is_some() && entries.is_empty() {
        write_entries(new, &[]);
        return;
    }
    let id = Id::update(actor);
    let mut difference = walk::compare(schema, before, new);
    let mut taken = std::mem::take(&mut difference.added);
    taken.union(&difference.modified);
    let taken = owned(taken, actor);
    for entry in &mut entries {
        if entry.id != id {
            entry.fields.subtract(&taken);
        }
        entry.fields.subtract(&difference.removed);
    }
    if !taken.is_empty() {
        let mut fields = taken;
        if let Some(entry) = entries.iter().find(|entry| entry.id == id) {
            fields.union(&entry.fields);
        }
        replace(&mut entries, Entry::new(id, actor, fields));
    }
    entries.retain(|entry| !entry.fields.is_empty());
    cap(&mut entries);
    write_entries(new, &entries);
}

/// Lays an applied object over the stored one.
///
/// Fields that only this manager applied last time, and that it leaves out now, go.
///
/// # Errors
/// 409 where another manager owns a field with another value and `force` is not set.
pub(crate) fn apply(
    schema: &Schema,
    live: Option<&Value>,
    applied: &Value,
    actor: Actor<'_>,
    force: bool,
) -> Result<Value> {
    let nothing = Value::Object(Map::new());
    let before = live.unwrap_or(&nothing);
    let mut entries = read_entries(before);
    if live.is_some() && entries.is_empty() {
        let actor = Actor { manager: "before-first-apply", subresource: None, ..actor };
        let fields = owned(walk::compare(schema, &nothing, before).added, actor);
        entries.push(Entry::new(Id::update(actor), actor, fields));
    }
    let id = Id::apply(actor);
    let last = entries.iter().find(|entry| entry.id == id).map(|entry| entry.fields.clone());
    let fields = owned(walk::fields(schema, applied), actor);
    replace(&mut entries, Entry::new(id.clone(), actor, fields));

    let mut merged = merge::merge(schema, before, applied);
    if let Some(last) = last.filter(|last| !last.is_empty()) {
        let mut kept = FieldSet::default();
        for entry in &entries {
            kept.union(&entry.fields);
        }
        merge::prune(schema, &mut merged, &last, &kept);
    }

    let mut difference = walk::compare(schema, before, &merged);
    let mut taken = std::mem::take(&mut difference.added);
    taken.union(&difference.modified);
    let taken = owned(taken, actor);
    let conflicts: Vec<(&Entry, Vec<String>)> = entries
        .iter()
        .filter(|entry| entry.id != id)
        .map(|entry| (entry, entry.fields.intersection(&taken).paths()))
        .filter(|(_, paths)| !paths.is_empty())
        .collect();
    if !conflicts.is_empty() && !force {
        return Err(conflict(&conflicts));
    }
    for entry in &mut entries {
        if entry.id != id {
            entry.fields.subtract(&taken);
            entry.fields.subtract(&difference.removed);
        }
    }
    entries.retain(|entry| !entry.fields.is_empty());
    write_entries(&mut merged, &entries);
    Ok(merged)
}

/// Whether two objects differ in more than the times of their `managedFields` and their
/// `resourceVersion`.
pub(crate) fn differs(old: &Value, new: &Value) -> bool {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        return old != new;
    };
    let same_rest = old.len() == new.len()
        && old.iter().all(|(name, value)| name == "metadata" || new.get(name) == Some(value));
    if !same_rest {
        return true;
    }
    if old.get("metadata") == new.get("metadata") {
        return false;
    }
    let metadata = |object: &Map<String, Value>| {
        let mut metadata = object.get("metadata").cloned().unwrap_or_default();
        if let Some(map) = metadata.as_object_mut() {
            map.remove("resourceVersion");
            let entries = map.get_mut("managedFields").and_then(Value::as_array_mut);
            for entry in entries.into_iter().flatten() {
                if let Some(entry) = entry.as_object_mut() {
                    entry.remove("time");
                }
            }
        }
        metadata
    };
    // The order of entries follows their times, so it does not count either.
    let (mut old, mut new) = (metadata(old), metadata(new));
    let (old_entries, new_entries) = (take_list(&mut old), take_list(&mut new));
    old != new
        || old_entries.len() != new_entries.len()
        || !old_entries.iter().all(|entry| new_entries.contains(entry))
}

fn take_list(metadata: &mut Value) -> Vec<Value> {
    let entries = metadata.as_object_mut().and_then(|map| map.remove("managedFields"));
    match entries {
        Some(Value::Array(entries)) => entries,
        _ => Vec::new(),
    }
}

impl Id {
    fn apply(actor: Actor<'_>) -> Self {
        Self {
            applied: true,
            manager: actor.manager.to_owned(),
            subresource: actor.subresource.unwrap_or_default().to_owned(),
            api_version: String::new(),
        }
    }

    fn update(actor: Actor<'_>) -> Self {
        Self { applied: false, api_version: actor.api_version.to_owned(), ..Self::apply(actor) }
    }
}

impl Entry {
    fn new(id: Id, actor: Actor<'_>, fields: FieldSet) -> Self {
        Self { id, api_version: actor.api_version.to_owned(), time: Some(now()), fields }
    }

    fn read(json: &Value) -> Option<Self> {
        let text = |key: &str| json.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let applied = match json.get("operation")?.as_str()? {
            "Apply" => true,
            "Update" => false,
            _ => return None,
        };
        let api_version = text("apiVersion");
        Some(Self {
            id: Id {
                applied,
                manager: text("manager"),
                subresource: text("subresource"),
                api_version: if applied { String::new() } else { api_version.clone() },
            },
            api_version,
            time: json.get("time").and_then(Value::as_str).map(str::to_owned),
            fields: FieldSet::from_json(json.get("fieldsV1").unwrap_or(&Value::Null)),
        })
    }

    fn to_json(&self) -> Value {
        let operation = if self.id.applied { "Apply" } else { "Update" };
        let mut json = json!({
            "manager": self.id.manager,
            "operation": operation,
            "apiVersion": self.api_version,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.fields.to_json(),
        });
        if let Some(map) = json.as_object_mut() {
            if let Some(time) = &self.time {
                map.insert("time".into(), time.clone().into());
            }
            if !self.id.subresource.is_empty() {
                map.insert("subresource".into(), self.id.subresource.clone().into());
            }
        }
        json
    }

    /// As it is named in conflicts.
    fn shown(&self) -> String {
        let mut shown = format!("{:?}", self.id.manager);
        if !self.id.subresource.is_empty() {
            shown = format!("{shown} with subresource {:?}", self.id.subresource);
        }
        if !self.id.applied {
            shown = format!("{shown} using {}", self.api_version);
        }
        shown
    }
}

/// Takes away the fields that nobody owns: those of the server itself.
fn owned(mut fields: FieldSet, actor: Actor<'_>) -> FieldSet {
    for name in ["apiVersion", "kind"] {
        fields.remove_tree(&Step::field(name));
    }
    if let Some(ignored) = actor.ignored {
        fields.remove_tree(&Step::field(ignored));
    }
    let metadata = Step::field("metadata");
    fields.remove(&metadata);
    if let Some(below) = fields.below_mut(&metadata) {
        for name in [
            "name",
            "namespace",
            "creationTimestamp",
            "selfLink",
            "uid",
            "generation",
            "managedFields",
            "resourceVersion",
        ] {
            below.remove_tree(&Step::field(name));
        }
    }
    fields
}

fn conflict(conflicts: &[(&Entry, Vec<String>)]) -> Refusal {
    let pairs: Vec<(String, &String)> = conflicts
        .iter()
        .flat_map(|(entry, paths)| paths.iter().map(|path| (entry.shown(), path)))
        .collect();
    let causes: Vec<Value> = pairs
        .iter()
        .map(|(manager, path)| {
            json!({
                "reason": "FieldManagerConflict",
                "message": format!("conflict with {manager}"),
                "field": path,
            })
        })
        .collect();
    let message = match pairs.as_slice() {
        [(manager, path)] => {
            format!("Apply failed with 1 conflict: conflict with {manager}: {path}")
        }
        pairs => {
            let mut by_manager: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for (manager, path) in pairs {
                by_manager.entry(manager).or_default().push(path);
            }
            let lines: Vec<String> = by_manager
                .into_iter()
                .flat_map(|(manager, paths)| {
                    std::iter::once(format!("conflicts with {manager}:"))
                        .chain(paths.into_iter().map(|path| format!("- {path}")))
                })
                .collect();
            format!("Apply failed with {} conflicts: {}", pairs.len(), lines.join("\n"))
        }
    };
    Refusal::apply_conflict(message, &causes)
}

fn replace(entries: &mut Entries, entry: Entry) {
    match entries.iter_mut().find(|old| old.id == entry.id) {
        Some(old) => *old = entry,
        None => entries.push(entry),
    }
}

/// Folds the oldest update managers into one once there are too many.
fn cap(entries: &mut Entries) {
    entries.sort_by(|a, b| order(a).cmp(&order(b)));
    let updates = entries.iter().filter(|entry| !entry.id.applied).count();
    if updates <= MAX_UPDATE_MANAGERS {
        return;
    }
    let mut surplus = updates + 1 - MAX_UPDATE_MANAGERS;
    let mut folded: Option<Entry> = None;
    entries.retain(|entry| {
        if entry.id.applied || surplus == 0 {
            return true;
        }
        surplus -= 1;
        match &mut folded {
            None => {
                let mut first = entry.clone();
                "ancient-changes".clone_into(&mut first.id.manager);
                folded = Some(first);
            }
            Some(folded) => {
                folded.fields.union(&entry.fields);
                folded.time.clone_from(&entry.time);
            }
        }
        false
    });
    entries.extend(folded);
}

fn order(entry: &Entry) -> (bool, &Option<String>, &str, &str, &str) {
    let id = &entry.id;
    (!id.applied, &entry.time, &id.manager, &entry.api_version, &id.subresource)
}

fn read_entries(object: &Value) -> Entries {
    object.pointer("/metadata/managedFields").map(read).unwrap_or_default()
}

fn read(json: &Value) -> Entries {
    json.as_array().into_iter().flatten().filter_map(Entry::read).collect()
}

fn take_entries(object: &mut Value) -> Option<Value> {
    object.get_mut("metadata")?.as_object_mut()?.remove("managedFields")
}

fn is_reset(entries: &Value) -> bool {
    match entries.as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([only]) => only.as_object().is_some_and(Map::is_empty),
        _ => false,
    }
}

fn write_entries(object: &mut Value, entries: &[Entry]) {
    let Some(metadata) = metadata_mut(object) else {
        return;
    };
    if entries.is_empty() {
        metadata.remove("managedFields");
        return;
    }
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_by(|a, b| order(a).cmp(&order(b)));
    let json = sorted.into_iter().map(Entry::to_json).collect();
    metadata.insert("managedFields".into(), json);
}
