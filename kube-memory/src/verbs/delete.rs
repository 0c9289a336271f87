//! Deleting objects.

use super::{Call, Reply};
use crate::gc::{FOREGROUND, ORPHAN};
use crate::kind;
use crate::status::{Refusal, Result};
use crate::storage::{Object, Storage, finalizers, metadata_mut};
use crate::time::now;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// What becomes of the dependents of a deleted object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Propagation {
    /// They go first.
    Foreground,
    /// They go afterwards.
    Background,
    /// They stay.
    Orphan,
}

/// The body of a deletion.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Options {
    propagation_policy: Option<String>,
    preconditions: Option<Preconditions>,
    dry_run: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Preconditions {
    uid: Option<String>,
    resource_version: Option<String>,
}

impl Call<'_> {
    pub(super) fn delete(&mut self, body: &[u8]) -> Result<Reply> {
        let options = self.options(body)?;
        let policy = self.policy(&options)?;
        let live = self.live()?;
        self.check_preconditions(&options, &live)?;
        if self.kind.is("", "namespaces") && is_system_namespace(&live.key.name) {
            return Err(Refusal::forbidden(
                self.kind.subject(&live.key.name),
                "this namespace may not be deleted",
                Vec::new(),
            ));
        }
        if self.query.dry_run || options.dry_run.is_some_and(|list| !list.is_empty()) {
            return Ok(self.object(200, live));
        }
        match delete_object(self.storage, &live, policy) {
            Some(waiting) => Ok(self.object(200, waiting)),
            None if returns_object(&self.kind) => Ok(self.object(200, live)),
            None => Ok(Reply::Json(200, self.gone(&live))),
        }
    }

    pub(super) fn delete_collection(&mut self, body: &[u8]) -> Result<Reply> {
        let options = self.options(body)?;
        let policy = self.policy(&options)?;
        self.check_fields(&self.query.fields)?;
        let objects = self.matching();
        let dry_run = self.query.dry_run || options.dry_run.is_some_and(|list| !list.is_empty());
        for object in &objects {
            // An earlier deletion may have taken this one along.
            if !dry_run && let Some(live) = self.storage.get(&object.key).cloned() {
                delete_object(self.storage, &live, policy);
            }
        }
        Ok(Reply::List {
            kind: Arc::clone(&self.kind),
            objects,
            revision: self.storage.revision,
            resume: None,
            remaining: None,
        })
    }

    fn options(&self, body: &[u8]) -> Result<Options> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Options::default());
        }
        serde_json::from_slice(body)
            .map_err(|error| Refusal::bad_request(format!("DeleteOptions: {error}")))
    }

    fn policy(&self, options: &Options) -> Result<Option<Propagation>> {
        let asked = options.propagation_policy.as_deref().or(self.query.propagation.as_deref());
        match asked {
            // Jobs leave their pods alone for the sake of old clients.
            None if self.kind.is("batch", "jobs") => Ok(Some(Propagation::Orphan)),
            None => Ok(None),
            Some("Foreground") => Ok(Some(Propagation::Foreground)),
            Some("Background") => Ok(Some(Propagation::Background)),
            Some("Orphan") => Ok(Some(Propagation::Orphan)),
            Some(other) => {
                let error = crate::status::FieldError::unsupported(
                    "propagationPolicy",
                    &other.into(),
                    &["Foreground", "Background", "Orphan", "nil"].map(Value::from),
                );
                let subject = crate::status::Subject {
                    group: "meta.k8s.io",
                    plural: "",
                    kind: "DeleteOptions",
                    name: "",
                };
                Err(Refusal::invalid(subject, &[error]))
            }
        }
    }

    fn check_preconditions(&self, options: &Options, live: &Object) -> Result<()> {
        let Some(wanted) = &options.preconditions else {
            return Ok(());
        };
        let subject = self.kind.subject(&live.key.name);
        let found = live.uid().unwrap_or_default();
        if let Some(uid) = wanted.uid.as_deref().filter(|uid| *uid != found) {
            return Err(Refusal::conflict(
                subject,
                &format!(
                    "the UID in the precondition ({uid}) does not match the UID in record \
                     ({found}). The object might have been deleted and then recreated"
                ),
            ));
        }
        let found = live.revision.to_string();
        if let Some(version) = wanted.resource_version.as_deref().filter(|v| *v != found) {
            return Err(Refusal::conflict(
                subject,
                &format!(
                    "the ResourceVersion in the precondition ({version}) does not match the \
                     ResourceVersion in record ({found}). The object might have been modified"
                ),
            ));
        }
        Ok(())
    }

    fn gone(&self, live: &Object) -> Value {
        let mut details = json!({
            "name": live.key.name,
            "kind": self.kind.plural,
            "uid": live.uid(),
        });
        if let Some(map) = details.as_object_mut()
            && !self.kind.group.is_empty()
        {
            map.insert("group".into(), self.kind.group.clone().into());
        }
        json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        })
    }
}

/// Deletes an object, or marks it where something has to happen first. Answers with the
/// marked object.
pub(crate) fn delete_object(
    storage: &mut Storage,
    live: &Arc<Object>,
    policy: Option<Propagation>,
) -> Option<Arc<Object>> {
    let mut wanted: Vec<&str> = finalizers(&live.head).collect();
    let is_namespace = &*live.key.resource == "namespaces.";
    if let Some(policy) = policy.filter(|_| !is_namespace) {
        wanted.retain(|finalizer| !matches!(*finalizer, FOREGROUND | ORPHAN));
        match policy {
            Propagation::Foreground => wanted.push(FOREGROUND),
            Propagation::Orphan => wanted.push(ORPHAN),
            Propagation::Background => {}
        }
    }
    let same = wanted.iter().copied().eq(finalizers(&live.head));
    let pending = is_namespace || !wanted.is_empty();
    if !pending {
        storage.remove(&live.key);
        return None;
    }
    if same && live.is_terminating() {
        return Some(Arc::clone(live));
    }
    let mut value = live.value();
    if let Some(metadata) = metadata_mut(&mut value) {
        metadata.entry("deletionTimestamp").or_insert_with(|| now().into());
        if !is_namespace {
            metadata.entry("deletionGracePeriodSeconds").or_insert_with(|| 0.into());
        }
        if wanted.is_empty() {
            metadata.remove("finalizers");
        } else {
            metadata.insert("finalizers".into(), json!(wanted));
        }
        if let Some(generation) = metadata.get("generation").and_then(Value::as_i64)
            && !live.is_terminating()
        {
            metadata.insert("generation".into(), (generation + 1).into());
        }
    }
    if is_namespace && let Some(map) = value.as_object_mut() {
        map.insert("status".into(), json!({ "phase": "Terminating" }));
    }
    Some(storage.put(live.key.clone(), value))
}

/// Removes an object that was to be deleted and that nothing holds any more.
pub(crate) fn finish_if_free(storage: &mut Storage, object: &Object) {
    if !object.is_terminating() || finalizers(&object.head).next().is_some() {
        return;
    }
    let held_by_spec = || {
        let value = object.value();
        let list = value.pointer("/spec/finalizers").and_then(Value::as_array);
        list.is_some_and(|list| !list.is_empty())
    };
    if &*object.key.resource != "namespaces." || !held_by_spec() {
        storage.remove(&object.key);
    }
}

fn is_system_namespace(name: &str) -> bool {
    matches!(name, "default" | "kube-system" | "kube-public")
}

/// Whether a deletion answers with the object that is gone rather than with a `Status`.
fn returns_object(kind: &kind::Kind) -> bool {
    kind.group.is_empty()
        && matches!(
            kind.plural.as_str(),
            "pods"
                | "podtemplates"
                | "services"
                | "serviceaccounts"
                | "resourcequotas"
                | "persistentvolumes"
                | "persistentvolumeclaims"
                | "namespaces"
        )
        || kind.is("storage.k8s.io", "storageclasses")
}
