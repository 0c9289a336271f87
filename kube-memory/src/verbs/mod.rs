//! The operations on stored objects.
//!
//! Each runs from beginning to end under the cluster's lock and touches nothing outside it.

mod create;
mod delete;
mod patch;
mod read;
mod update;

pub(crate) use delete::{Propagation, delete_object, finish_if_free};

use crate::gc;
use crate::kind::Kind;
use crate::request::{Query, Target, Verb};
use crate::status::{Refusal, Result};
use crate::storage::{Key, Object, Resource, Storage};
use serde_json::Value;
use std::sync::Arc;

/// A request on a resource, and what it needs to be carried out.
pub(crate) struct Call<'a> {
    pub(crate) storage: &'a mut Storage,
    pub(crate) kind: Arc<Kind>,
    pub(crate) target: &'a Target,
    pub(crate) query: &'a Query,
    /// The field manager, from the query or the user agent.
    pub(crate) manager: &'a str,
    pub(crate) content_type: &'a str,
}

/// What a request comes back with.
#[derive(Debug)]
pub(crate) enum Reply {
    /// One object, in the version of a kind.
    Object { status: u16, kind: Arc<Kind>, object: Arc<Object> },
    /// A page of objects.
    List {
        kind: Arc<Kind>,
        objects: Vec<Arc<Object>>,
        revision: u64,
        resume: Option<String>,
        remaining: Option<usize>,
    },
    /// Anything else.
    Json(u16, Value),
}

/// The name under which all versions of a resource are stored.
pub(crate) fn resource(group: &str, plural: &str) -> Resource {
    format!("{plural}.{group}").into()
}

impl Call<'_> {
    /// Carries the request out.
    pub(crate) fn run(&mut self, verb: Verb, body: &[u8]) -> Result<Reply> {
        self.check_path(verb)?;
        let reply = match verb {
            Verb::Get => self.get(),
            Verb::List | Verb::Watch => self.list(),
            Verb::Create => self.create(body),
            Verb::Update => self.update(body),
            Verb::Patch => self.patch(body),
            Verb::Delete => self.delete(body),
            Verb::DeleteCollection => self.delete_collection(body),
        };
        gc::settle(self.storage);
        reply
    }

    /// Whether the kind has what the path asks for.
    pub(crate) fn check_path(&self, verb: Verb) -> Result<()> {
        let target = self.target;
        let fits = match target.subresource.as_deref() {
            None => true,
            Some("status") => {
                self.kind.status && matches!(verb, Verb::Get | Verb::Update | Verb::Patch)
            }
            Some("finalize") => self.kind.is("", "namespaces") && verb == Verb::Update,
            Some(_) => false,
        };
        if !fits || (target.namespace.is_some() && !self.kind.namespaced) {
            return Err(Refusal::unknown_resource());
        }
        let whole_cluster = self.kind.namespaced && target.namespace.is_none();
        if whole_cluster && !matches!(verb, Verb::List | Verb::Watch) {
            return Err(Refusal::method_not_allowed());
        }
        Ok(())
    }

    fn resource(&self) -> Resource {
        resource(&self.kind.group, &self.kind.plural)
    }

    fn key(&self, name: &str) -> Key {
        Key {
            resource: self.resource(),
            namespace: self.target.namespace.clone().unwrap_or_default(),
            name: name.to_owned(),
        }
    }

    fn name(&self) -> &str {
        self.target.name.as_deref().unwrap_or_default()
    }

    /// The object of the request.
    fn live(&self) -> Result<Arc<Object>> {
        let name = self.name();
        let found = self.storage.get(&self.key(name)).cloned();
        found.ok_or_else(|| Refusal::not_found(self.kind.subject(name)))
    }

    fn object(&self, status: u16, object: Arc<Object>) -> Reply {
        Reply::Object { status, kind: Arc::clone(&self.kind), object }
    }

    /// Reads the body as an object of the kind, without `apiVersion` and `kind`.
    fn parse(&self, body: &[u8]) -> Result<Value> {
        let mut object: Value = serde_json::from_slice(body).map_err(|error| {
            Refusal::bad_request(format!("the object provided is unrecognized: {error}"))
        })?;
        self.strip_type(&mut object)?;
        Ok(object)
    }

    /// Takes `apiVersion` and `kind` off, which must be those of the path.
    fn strip_type(&self, object: &mut Value) -> Result<()> {
        let Some(map) = object.as_object_mut() else {
            return Err(Refusal::bad_request("the object provided is unrecognized"));
        };
        let (version, kind) = (map.remove("apiVersion"), map.remove("kind"));
        let expected = self.kind.api_version();
        if let Some(found) = version.as_ref().and_then(Value::as_str)
            && found != expected
        {
            return Err(Refusal::bad_request(format!(
                "the API version in the data ({found}) does not match the expected API version \
                 ({expected})"
            )));
        }
        if let Some(found) = kind.as_ref().and_then(Value::as_str)
            && found != self.kind.kind
        {
            return Err(Refusal::bad_request(format!(
                "{found} in version \"{}\" cannot be handled as a {}: converting \
                 ({expected}.{found}) to ({expected}.{}): unknown conversion",
                self.kind.version, self.kind.kind, self.kind.kind
            )));
        }
        Ok(())
    }

    /// Refuses fields that were dropped, where the caller asked for that.
    fn check_strict(&self, dropped: &[String]) -> Result<()> {
        if !self.query.strict || dropped.is_empty() {
            return Ok(());
        }
        let list: Vec<String> =
            dropped.iter().map(|path| format!("unknown field \"{path}\"")).collect();
        Err(Refusal::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}: strict decoding error: {}",
            self.kind.kind,
            self.kind.version,
            self.kind.kind,
            list.join(", ")
        )))
    }
}
