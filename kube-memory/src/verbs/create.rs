//! Making objects.

use super::{Call, Reply};
use crate::ownership::{Actor, track};
use crate::status::{Refusal, Result};
use crate::storage::{Key, Object, metadata_mut};
use crate::time::now;
use crate::{kind, rules, strategy};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// Letters of generated names: no vowels and nothing that looks like another.
const SUFFIX_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LENGTH: usize = 5;
const MAX_PREFIX: usize = 63 - SUFFIX_LENGTH;

impl Call<'_> {
    pub(super) fn create(&mut self, body: &[u8]) -> Result<Reply> {
        let mut object = self.parse(body)?;
        let dropped = self.kind.normalize(&mut object, self.query.strict)?;
        self.check_strict(&dropped)?;
        let version = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        if version.is_some_and(|version| !version.is_empty()) {
            return Err(Refusal::new(
                500,
                "InternalError",
                "resourceVersion should not be set on objects to be created",
            ));
        }
        let object = self.insert(object, true)?;
        Ok(self.object(201, object))
    }

    /// Stores a new object; with `tracked` its fields are noted as the manager's.
    pub(super) fn insert(&mut self, mut object: Value, tracked: bool) -> Result<Arc<Object>> {
        self.name_it(&mut object)?;
        let name = text(&object, "/metadata/name").to_owned();
        self.check_namespace(&name)?;
        if let Some(metadata) = metadata_mut(&mut object) {
            if self.kind.namespaced {
                let namespace = self.target.namespace.clone().unwrap_or_default();
                metadata.insert("namespace".into(), namespace.into());
            } else {
                metadata.remove("namespace");
            }
            for field in [
                "resourceVersion",
                "deletionTimestamp",
                "deletionGracePeriodSeconds",
                "selfLink",
                "generation",
            ] {
                metadata.remove(field);
            }
            metadata.insert("uid".into(), Uuid::new_v4().to_string().into());
            metadata.insert("creationTimestamp".into(), now().into());
        }
        strategy::for_create(&self.kind, &mut object);
        if tracked && self.storage.tracks_updates {
            let kind = Arc::clone(&self.kind);
            track(&kind.schema(), None, &mut object, self.actor(&kind.api_version()));
        }
        let errors = rules::broken(&self.kind, None, &object);
        if !errors.is_empty() {
            return Err(Refusal::invalid(self.kind.subject(&name), &errors));
        }
        if self.storage.bounds_objects && rules::is_too_large(&object) {
            return Err(Refusal::too_large());
        }
        let key = self.key(&name);
        if self.storage.get(&key).is_some() {
            return Err(Refusal::already_exists(self.kind.subject(&name)));
        }
        if self.query.dry_run {
            return Ok(Arc::new(Object::new(key, object, self.storage.revision)));
        }
        self.accept_definition(&name, &mut object)?;
        Ok(self.storage.put(key, object))
    }

    /// Serves the kinds of a definition from now on.
    pub(super) fn accept_definition(&mut self, name: &str, object: &mut Value) -> Result<()> {
        if !self.kind.is("apiextensions.k8s.io", "customresourcedefinitions") {
            return Ok(());
        }
        if let Some(metadata) = metadata_mut(object)
            && metadata.get("deletionTimestamp").is_none()
        {
            let finalizers = metadata.entry("finalizers").or_insert_with(|| json!([]));
            let cleanup = Value::from(kind::CUSTOM_RESOURCE_CLEANUP);
            if let Some(list) = finalizers.as_array_mut()
                && !list.contains(&cleanup)
            {
                list.push(cleanup);
            }
        }
        kind::accept_definition(&mut self.storage.registry, object)
            .map_err(|errors| Refusal::invalid(self.kind.subject(name), &errors))
    }

    /// Who makes this change.
    pub(super) fn actor<'a>(&'a self, api_version: &'a str) -> Actor<'a> {
        let subresource = self.target.subresource.as_deref();
        Actor {
            manager: self.manager,
            api_version,
            subresource,
            ignored: match subresource {
                Some("status") => Some("spec"),
                _ if self.kind.status => Some("status"),
                _ => None,
            },
        }
    }

    /// Settles the name and checks it against the path.
    fn name_it(&self, object: &mut Value) -> Result<()> {
        let namespace = text(object, "/metadata/namespace");
        if self.kind.namespaced
            && !namespace.is_empty()
            && Some(namespace) != self.target.namespace.as_deref()
        {
            return Err(Refusal::bad_request(
                "the namespace of the provided object does not match the namespace sent on the \
                 request",
            ));
        }
        if !text(object, "/metadata/name").is_empty() {
            return Ok(());
        }
        let prefix: String =
            text(object, "/metadata/generateName").chars().take(MAX_PREFIX).collect();
        if prefix.is_empty() {
            let error = crate::status::FieldError::required(
                "metadata.name",
                "name or generateName is required",
            );
            return Err(Refusal::invalid(self.kind.subject(""), &[error]));
        }
        if let Some(metadata) = metadata_mut(object) {
            metadata.insert("name".into(), format!("{prefix}{}", suffix()).into());
        }
        Ok(())
    }

    /// Objects are made only in namespaces that exist and are to stay.
    fn check_namespace(&self, name: &str) -> Result<()> {
        let Some(namespace) = self.target.namespace.as_deref().filter(|_| self.kind.namespaced)
        else {
            return Ok(());
        };
        let key = Key {
            resource: super::resource("", "namespaces"),
            namespace: String::new(),
            name: namespace.to_owned(),
        };
        let Some(found) = self.storage.get(&key) else {
            let subject = crate::status::Subject {
                group: "",
                plural: "namespaces",
                kind: "Namespace",
                name: namespace,
            };
            return Err(Refusal::not_found(subject));
        };
        if found.is_terminating() {
            let why = format!(
                "unable to create new content in namespace {namespace} because it is being \
                 terminated"
            );
            let cause = json!({
                "reason": "NamespaceTerminating",
                "message": format!("namespace {namespace} is being terminated"),
                "field": "metadata.namespace",
            });
            return Err(Refusal::forbidden(self.kind.subject(name), &why, vec![cause]));
        }
        Ok(())
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn suffix() -> String {
    let random = Uuid::new_v4();
    let letters = random
        .as_bytes()
        .iter()
        .filter_map(|byte| SUFFIX_LETTERS.get(usize::from(*byte) % SUFFIX_LETTERS.len()));
    letters.take(SUFFIX_LENGTH).map(|letter| char::from(*letter)).collect()
}
