//! The kinds that are served, built-in and defined at run time.

mod builtin;
mod definition;
mod topology;

pub(crate) use definition::{CUSTOM_RESOURCE_CLEANUP, accept as accept_definition};

use crate::names::NameRule;
use crate::schema::Schema;
use crate::status::{Refusal, Result, Subject};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// One kind in one version.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    /// There is a `/status`, and the main endpoint leaves `status` alone.
    pub(crate) status: bool,
    /// `metadata.generation` counts changes of what is neither metadata nor status.
    pub(crate) generation: bool,
    /// A replacement may leave out `resourceVersion`.
    pub(crate) unconditional_update: bool,
    pub(crate) names: NameRule,
    /// Field selectors beyond `metadata.name` and `metadata.namespace`.
    pub(crate) selectable: Vec<String>,
    pub(crate) form: Form,
}

/// Where the knowledge about a kind's fields comes from.
#[derive(Debug)]
pub(crate) enum Form {
    /// A type of `k8s-openapi`.
    BuiltIn(BuiltIn),
    /// A definition; without a schema every field is kept.
    Custom(Arc<Schema>),
}

/// A kind that is a Rust type.
pub(crate) struct BuiltIn {
    /// Reads the object as its type and writes it back: unknown fields are gone.
    decode: fn(Value) -> serde_json::Result<Value>,
    schema: fn() -> Schema,
    cached: OnceLock<Arc<Schema>>,
}

impl std::fmt::Debug for BuiltIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BuiltIn")
    }
}

/// How a field of a built-in type merges.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Topology {
    /// The type is one value wherever it is used.
    AtomicStruct,
    /// The map is one value.
    AtomicMap,
    /// Items are told apart by keys; a strategic merge patch uses the second.
    ListMap(&'static [&'static str], Option<&'static str>),
    /// Items are told apart by value.
    ListSet(Option<&'static str>),
    /// One value, save for a strategic merge patch.
    PatchOnly(Option<&'static str>),
}

/// How a field merges, where that is not the plain way.
pub(crate) fn topology_of(type_name: &str, field: &str) -> Option<Topology> {
    let table = topology::TOPOLOGY;
    let found = table.binary_search_by(|(t, f, _)| (*t, *f).cmp(&(type_name, field)));
    found.ok().and_then(|index| table.get(index)).map(|(_, _, topology)| *topology)
}

impl Kind {
    /// `VERSION` or `GROUP/VERSION`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    pub(crate) fn subject<'a>(&'a self, name: &'a str) -> Subject<'a> {
        Subject { group: &self.group, plural: &self.plural, kind: &self.kind, name }
    }

    pub(crate) fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural
    }

    pub(crate) fn is_custom(&self) -> bool {
        matches!(self.form, Form::Custom(_))
    }

    pub(crate) fn schema(&self) -> Arc<Schema> {
        match &self.form {
            Form::Custom(schema) => Arc::clone(schema),
            Form::BuiltIn(form) => {
                Arc::clone(form.cached.get_or_init(|| Arc::new((form.schema)())))
            }
        }
    }

    /// Brings an object without `apiVersion` and `kind` into the form that is stored: unknown
    /// fields are gone, defaults are there. Answers with the paths that were dropped, if they are
    /// asked for.
    ///
    /// # Errors
    /// 400 where a field has the wrong type.
    pub(crate) fn normalize(&self, object: &mut Value, strict: bool) -> Result<Vec<String>> {
        match &self.form {
            Form::BuiltIn(form) => {
                let schema = self.schema();
                // Reading it as its type drops them as well, and cannot say which.
                let dropped = if strict { schema.prune_object(object) } else { Vec::new() };
                let decoded = (form.decode)(object.take());
                *object = decoded.map_err(|error| self.undecodable(&error))?;
                schema.drop_empty(object);
                Ok(dropped)
            }
            Form::Custom(schema) => {
                builtin::normalize_metadata(object).map_err(|error| self.undecodable(&error))?;
                let dropped = schema.prune_object(object);
                schema.apply_defaults(object);
                Ok(dropped)
            }
        }
    }

    fn undecodable(&self, error: &serde_json::Error) -> Refusal {
        Refusal::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}: {error}",
            self.kind, self.version, self.kind
        ))
    }
}

/// Every kind that is served.
#[derive(Debug)]
pub(crate) struct Registry {
    /// By group and plural; the preferred version first.
    kinds: BTreeMap<(String, String), Vec<Arc<Kind>>>,
}

impl Registry {
    pub(crate) fn new() -> Self {
        let mut registry = Self { kinds: BTreeMap::new() };
        for kind in builtin::kinds() {
            registry.add(vec![Arc::new(kind)]);
        }
        registry
    }

    /// Serves a resource in these versions, and in no others.
    pub(crate) fn add(&mut self, versions: Vec<Arc<Kind>>) {
        if let Some(first) = versions.first() {
            let key = (first.group.clone(), first.plural.clone());
            self.kinds.insert(key, versions);
        }
    }

    pub(crate) fn remove(&mut self, group: &str, plural: &str) {
        self.kinds.remove(&(group.to_owned(), plural.to_owned()));
    }

    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Kind>> {
        let versions = self.kinds.get(&(group.to_owned(), plural.to_owned()))?;
        versions.iter().find(|kind| kind.version == version)
    }

    /// The preferred version of a resource.
    pub(crate) fn preferred(&self, group: &str, plural: &str) -> Option<&Arc<Kind>> {
        self.kinds.get(&(group.to_owned(), plural.to_owned()))?.first()
    }

    /// The resource behind an `apiVersion` and `kind`.
    pub(crate) fn by_kind(&self, api_version: &str, kind: &str) -> Option<&Arc<Kind>> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        self.all().find(|found| found.group == group && found.kind == kind)
    }

    /// Every kind in every version, by group and plural.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.kinds.values().flatten()
    }
}
