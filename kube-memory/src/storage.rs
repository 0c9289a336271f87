//! Objects and the history of their changes.

use crate::entries::Entries;
use crate::kind::{Kind, Registry};
use bytes::Bytes;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use tokio::sync::watch;

/// Bytes of history that one resource keeps before the oldest changes go.
const HISTORY_BYTES: usize = 8 << 20;

/// A resource without its version: plural and group.
pub(crate) type Resource = Arc<str>;

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) resource: Resource,
    /// Empty for objects outside namespaces.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// One state of an object. Never changed, only replaced.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) key: Key,
    /// An object with the `metadata` alone: most of what the server itself asks about.
    pub(crate) head: Value,
    /// The `data` of a ConfigMap that is nothing but that.
    pub(crate) entries: Option<Entries>,
    /// The object as JSON, save for `entries`, and for `apiVersion` and `kind`, which depend on who
    /// asks. As text it takes a fraction of the memory.
    json: Bytes,
    pub(crate) revision: u64,
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Modified,
    Deleted,
}

/// A change in the history.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) change: Change,
    pub(crate) object: Arc<Object>,
    /// The state before, for selectors.
    pub(crate) previous: Option<Arc<Object>>,
}

/// The objects of one resource and what happened to them lately.
#[derive(Debug)]
pub(crate) struct Table {
    objects: BTreeMap<String, BTreeMap<String, Arc<Object>>>,
    history: VecDeque<Event>,
    history_bytes: usize,
    /// Changes up to this revision are no longer in the history.
    pub(crate) compacted: u64,
    signal: watch::Sender<u64>,
}

/// What [`crate::gc`] has to look at after a write.
#[derive(Debug)]
pub(crate) enum Loose {
    Changed(Key),
    Removed(Arc<Object>),
}

/// Everything that the cluster holds.
#[derive(Debug)]
pub(crate) struct Storage {
    pub(crate) registry: Registry,
    pub(crate) revision: u64,
    /// Changes of stored objects so far.
    pub(crate) writes: u64,
    pub(crate) loose: VecDeque<Loose>,
    tables: HashMap<Resource, Table>,
    by_uid: HashMap<String, Key>,
    /// Who names an owner, by the owner's uid.
    dependents: HashMap<String, BTreeSet<Key>>,
    history_limit: usize,
    /// Whether updates are noted in `managedFields`.
    pub(crate) tracks_updates: bool,
    /// Whether objects may be no larger than etcd takes.
    pub(crate) bounds_objects: bool,
}

impl Storage {
    pub(crate) fn new(history_limit: usize) -> Self {
        Self {
            registry: Registry::new(),
            revision: 1,
            writes: 0,
            loose: VecDeque::new(),
            tables: HashMap::new(),
            by_uid: HashMap::new(),
            dependents: HashMap::new(),
            history_limit: history_limit.max(1),
            tracks_updates: true,
            bounds_objects: true,
        }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Object>> {
        let table = self.tables.get(&key.resource)?;
        table.objects.get(&key.namespace)?.get(&key.name)
    }

    pub(crate) fn by_uid(&self, uid: &str) -> Option<&Arc<Object>> {
        self.get(self.by_uid.get(uid)?)
    }

    /// The objects that name this owner.
    pub(crate) fn dependents(&self, uid: &str) -> Vec<Key> {
        self.dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    /// The objects of a resource, of one namespace or of all, in order of namespace and name.
    pub(crate) fn list<'a>(
        &'a self,
        resource: &Resource,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Arc<Object>> + use<'a> {
        self.tables
            .get(resource)
            .into_iter()
            .flat_map(move |table| match namespace {
                Some(namespace) => {
                    let bound = Bound::Included(namespace);
                    table.objects.range::<str, _>((bound, bound))
                }
                None => table.objects.range::<str, _>(..),
            })
            .flat_map(|(_, objects)| objects.values())
    }

    /// Every object in a namespace, whatever its kind.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<Key> {
        let tables = self.tables.values();
        let objects = tables.filter_map(|table| table.objects.get(namespace));
        objects.flat_map(BTreeMap::values).map(|object| object.key.clone()).collect()
    }

    /// Stores a new state of an object under a new revision.
    pub(crate) fn put(&mut self, key: Key, mut value: Value) -> Arc<Object> {
        let entries = Object::entries(&key, &mut value);
        self.put_parts(key, value, entries)
    }

    /// Stores a new state of a ConfigMap that differs in its entries.
    pub(crate) fn put_entries(&mut self, live: &Object, entries: Entries) -> Arc<Object> {
        self.put_parts(live.key.clone(), live.head.clone(), Some(entries))
    }

    fn put_parts(&mut self, key: Key, mut fields: Value, entries: Option<Entries>) -> Arc<Object> {
        self.revision += 1;
        self.writes += 1;
        set_revision(&mut fields, self.revision);
        let object = Arc::new(Object::of_parts(key.clone(), fields, entries, self.revision));
        let table = self.table(&key.resource);
        let namespace = table.objects.entry(key.namespace.clone()).or_default();
        let previous = namespace.insert(key.name.clone(), Arc::clone(&object));
        if let Some(previous) = &previous {
            self.forget_owners(previous);
        }
        if let Some(uid) = object.uid() {
            self.by_uid.insert(uid.to_owned(), key.clone());
        }
        for owner in object.owner_uids() {
            self.dependents.entry(owner.to_owned()).or_default().insert(key.clone());
        }
        let change = if previous.is_some() { Change::Modified } else { Change::Added };
        self.record(&key.resource, Event { change, object: Arc::clone(&object), previous });
        self.loose.push_back(Loose::Changed(key));
        object
    }

    /// Removes an object for good.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Arc<Object>> {
        let table = self.tables.get_mut(&key.resource)?;
        let namespace = table.objects.get_mut(&key.namespace)?;
        let previous = namespace.remove(&key.name)?;
        if namespace.is_empty() {
            table.objects.remove(&key.namespace);
        }
        self.revision += 1;
        self.writes += 1;
        self.forget_owners(&previous);
        if let Some(uid) = previous.uid() {
            self.by_uid.remove(uid);
        }
        let mut fields = previous.rest();
        let entries = previous.entries.clone();
        set_revision(&mut fields, self.revision);
        let object = Arc::new(Object::of_parts(key.clone(), fields, entries, self.revision));
        self.record(
            &key.resource,
            Event {
                change: Change::Deleted,
                object: Arc::clone(&object),
                previous: Some(previous),
            },
        );
        self.loose.push_back(Loose::Removed(Arc::clone(&object)));
        Some(object)
    }

    /// The table of a resource, made on first use.
    pub(crate) fn table(&mut self, resource: &Resource) -> &mut Table {
        self.tables.entry(Arc::clone(resource)).or_insert_with(|| Table {
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            history_bytes: 0,
            compacted: 0,
            signal: watch::Sender::new(0),
        })
    }

    fn record(&mut self, resource: &Resource, event: Event) {
        let limit = self.history_limit;
        let revision = event.object.revision;
        let table = self.table(resource);
        table.history_bytes += event.object.size();
        table.history.push_back(event);
        while table.history.len() > limit
            || (table.history_bytes > HISTORY_BYTES && table.history.len() > 1)
        {
            if let Some(gone) = table.history.pop_front() {
                table.history_bytes -= gone.object.size();
                table.compacted = gone.object.revision;
            }
        }
        table.signal.send_replace(revision);
    }

    fn forget_owners(&mut self, object: &Object) {
        for owner in object.owner_uids() {
            if let Some(dependents) = self.dependents.get_mut(owner) {
                dependents.remove(&object.key);
                if dependents.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
    }
}

impl Table {
    /// Up to `limit` changes after a revision, oldest first.
    pub(crate) fn since(&self, revision: u64, limit: usize) -> Vec<Event> {
        let start = self.history.partition_point(|event| event.object.revision <= revision);
        self.history.iter().skip(start).take(limit).cloned().collect()
    }

    /// Wakes whenever the resource changes.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.signal.subscribe()
    }

    /// Forgets the history, as compaction does in a long-lived cluster.
    pub(crate) fn compact(&mut self, revision: u64) {
        self.history.clear();
        self.history_bytes = 0;
        self.compacted = revision;
        self.signal.send_replace(revision);
    }
}

impl Storage {
    pub(crate) fn compact(&mut self) {
        let revision = self.revision;
        for table in self.tables.values_mut() {
            table.compact(revision);
        }
    }
}

impl Object {
    pub(crate) fn new(key: Key, mut value: Value, revision: u64) -> Self {
        let entries = Self::entries(&key, &mut value);
        Self::of_parts(key, value, entries, revision)
    }

    fn of_parts(key: Key, fields: Value, entries: Option<Entries>, revision: u64) -> Self {
        let json = Bytes::from(fields.to_string());
        Self { key, head: head(fields), entries, json, revision }
    }

    /// Takes what is kept apart out of an object.
    fn entries(key: &Key, value: &mut Value) -> Option<Entries> {
        if &*key.resource == "configmaps." { Entries::take(value) } else { None }
    }

    /// The object without its version and kind.
    pub(crate) fn value(&self) -> Value {
        let mut value = self.rest();
        if let (Some(entries), Some(map)) = (&self.entries, value.as_object_mut()) {
            map.insert("data".into(), entries.to_value());
        }
        value
    }

    /// The object without what is kept apart.
    fn rest(&self) -> Value {
        // What was written here can be read.
        serde_json::from_slice(&self.json).unwrap_or_else(|_| self.head.clone())
    }

    pub(crate) fn uid(&self) -> Option<&str> {
        self.head.pointer("/metadata/uid")?.as_str()
    }

    pub(crate) fn metadata(&self) -> &Value {
        self.head.get("metadata").unwrap_or(&Value::Null)
    }

    pub(crate) fn is_terminating(&self) -> bool {
        self.metadata().get("deletionTimestamp").is_some()
    }

    pub(crate) fn has_finalizer(&self, finalizer: &str) -> bool {
        finalizers(&self.head).any(|found| found == finalizer)
    }

    pub(crate) fn owners(&self) -> impl Iterator<Item = &Value> {
        let owners = self.metadata().get("ownerReferences").and_then(Value::as_array);
        owners.into_iter().flatten()
    }

    fn owner_uids(&self) -> impl Iterator<Item = &str> {
        self.owners().filter_map(|owner| owner.get("uid")?.as_str())
    }

    /// The object as JSON in the version of `kind`.
    pub(crate) fn write(&self, kind: &Kind, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"apiVersion\":\"");
        out.extend_from_slice(kind.api_version().as_bytes());
        out.extend_from_slice(b"\",\"kind\":\"");
        out.extend_from_slice(kind.kind.as_bytes());
        out.extend_from_slice(b"\",");
        self.write_tail(out);
    }

    /// The object as JSON without its version and kind, as in lists of built-in kinds.
    pub(crate) fn write_bare(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        self.write_tail(out);
    }

    fn write_tail(&self, out: &mut Vec<u8>) {
        if let Some(entries) = &self.entries {
            out.extend_from_slice(b"\"data\":");
            entries.write(out);
            out.push(b',');
        }
        // A stored object has metadata, so something follows the brace.
        out.extend_from_slice(self.json.get(1..).unwrap_or_default());
    }

    /// The metadata of the object, for clients that want no more.
    pub(crate) fn write_metadata(&self, out: &mut Vec<u8>) {
        let head =
            b"{\"apiVersion\":\"meta.k8s.io/v1\",\"kind\":\"PartialObjectMetadata\",\"metadata\":";
        out.extend_from_slice(head);
        out.extend_from_slice(self.metadata().to_string().as_bytes());
        out.push(b'}');
    }

    /// About the length of the object as JSON, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.json.len() + self.entries.as_ref().map_or(0, Entries::size)
    }

    /// The object with the version and kind of `kind`.
    pub(crate) fn typed(&self, kind: &Kind) -> Value {
        let mut value = self.value();
        if let Some(map) = value.as_object_mut() {
            map.insert("apiVersion".into(), kind.api_version().into());
            map.insert("kind".into(), kind.kind.clone().into());
        }
        value
    }
}

/// The finalizers of an object.
pub(crate) fn finalizers(value: &Value) -> impl Iterator<Item = &str> {
    value
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// The metadata of an object, made where it is absent.
pub(crate) fn metadata_mut(value: &mut Value) -> Option<&mut Map<String, Value>> {
    let metadata = value.as_object_mut()?.entry("metadata").or_insert_with(|| Map::new().into());
    if !metadata.is_object() {
        *metadata = Map::new().into();
    }
    metadata.as_object_mut()
}

/// The metadata of an object, and nothing else of it.
fn head(mut object: Value) -> Value {
    if let Some(map) = object.as_object_mut() {
        map.retain(|field, _| field == "metadata");
    }
    object
}

fn set_revision(value: &mut Value, revision: u64) {
    if let Some(metadata) = metadata_mut(value) {
        metadata.insert("resourceVersion".into(), revision.to_string().into());
    }
}
