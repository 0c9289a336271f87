//! Changing stored objects.

use super::{Call, Reply, delete};
use crate::ownership::{differs, track};
use crate::status::{FieldError, Refusal, Result, Subject};
use crate::storage::{Object, metadata_mut};
use crate::{rules, strategy};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Metadata that no caller sets.
const SYSTEM_METADATA: &[&str] = &[
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
];

impl Call<'_> {
    pub(super) fn update(&mut self, body: &[u8]) -> Result<Reply> {
        let mut object = self.parse(body)?;
        let dropped = self.kind.normalize(&mut object, self.query.strict)?;
        self.check_strict(&dropped)?;
        self.check_address(&object)?;
        let live = self.live()?;
        let version = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        let finalize = self.target.subresource.as_deref() == Some("finalize");
        if version.is_none_or(str::is_empty) && !self.kind.unconditional_update {
            let error = FieldError::invalid(
                "metadata.resourceVersion",
                &0.into(),
                "must be specified for an update",
            );
            // Here the server names the resource where it else names the kind.
            let subject = Subject { kind: &self.kind.plural, ..self.kind.subject(self.name()) };
            return Err(Refusal::invalid(subject, &[error]));
        }
        let object = if finalize { self.finalized(&live, &object) } else { object };
        let object = self.replace(&live, object, true)?;
        Ok(self.object(200, object))
    }

    /// Stores the next state of `live`, in the form that is stored, unless nothing changes.
    ///
    /// With `tracked` the changed fields are noted as the manager's.
    pub(super) fn replace(
        &mut self,
        live: &Arc<Object>,
        mut object: Value,
        tracked: bool,
    ) -> Result<Arc<Object>> {
        let name = self.name().to_owned();
        self.check_identity(live, &object)?;
        keep_metadata(live, &mut object);
        let before = live.value();
        if self.target.subresource.as_deref() == Some("status") {
            strategy::for_status(&self.kind, &before, &mut object);
        } else {
            strategy::for_update(&self.kind, &before, &mut object);
        }
        if self.target.subresource.is_none() {
            strategy::count_generation(&self.kind, &before, &mut object);
        }
        if tracked {
            let kind = Arc::clone(&self.kind);
            let api_version = kind.api_version();
            let actor = self.actor(&api_version);
            track(&kind.schema(), Some(&before), &mut object, actor);
        }
        let errors = rules::broken(&self.kind, Some(&before), &object);
        if !errors.is_empty() {
            return Err(Refusal::invalid(self.kind.subject(&name), &errors));
        }
        if !differs(&before, &object) {
            return Ok(Arc::clone(live));
        }
        if self.storage.bounds_objects && rules::is_too_large(&object) {
            return Err(Refusal::too_large());
        }
        if self.query.dry_run {
            return Ok(Arc::new(Object::new(live.key.clone(), object, live.revision)));
        }
        if self.target.subresource.is_none() {
            self.accept_definition(&name, &mut object)?;
        }
        let stored = self.storage.put(live.key.clone(), object);
        delete::finish_if_free(self.storage, &stored);
        Ok(stored)
    }

    /// The name and namespace of the body are those of the path.
    pub(super) fn check_address(&self, object: &Value) -> Result<()> {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (name, namespace) = (text("/metadata/name"), text("/metadata/namespace"));
        let asked = self.name();
        if name.is_empty() {
            return Err(Refusal::bad_request("name must be provided"));
        }
        if name != asked {
            return Err(Refusal::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({asked})"
            )));
        }
        let asked = self.target.namespace.as_deref().unwrap_or_default();
        if !namespace.is_empty() && namespace != asked {
            return Err(Refusal::bad_request(format!(
                "the namespace of the object ({namespace}) does not match the namespace on the \
                 request ({asked})"
            )));
        }
        Ok(())
    }

    /// The caller speaks of this very object, in this very version where it names one.
    fn check_identity(&self, live: &Object, object: &Value) -> Result<()> {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let subject = self.kind.subject(&live.key.name);
        let uid = text("/metadata/uid");
        let found = live.uid().unwrap_or_default();
        if !uid.is_empty() && uid != found {
            return Err(Refusal::conflict(
                subject,
                &format!(
                    "Precondition failed: UID in precondition: {uid}, UID in object meta: {found}"
                ),
            ));
        }
        let version = text("/metadata/resourceVersion");
        if !version.is_empty() && version != live.revision.to_string() {
            return Err(Refusal::modified(subject));
        }
        Ok(())
    }

    /// What `/finalize` changes: the finalizers in a namespace's spec.
    fn finalized(&self, live: &Object, object: &Value) -> Value {
        let mut next = live.value();
        let spec = object.get("spec").cloned().unwrap_or_else(|| Map::new().into());
        if let Some(map) = next.as_object_mut() {
            map.insert("spec".into(), spec);
        }
        next
    }
}

/// Takes over what only the server sets.
fn keep_metadata(live: &Object, object: &mut Value) {
    let old = live.metadata();
    let Some(metadata) = metadata_mut(object) else {
        return;
    };
    let always = ["name", "namespace", "uid", "resourceVersion"];
    for field in SYSTEM_METADATA.iter().chain(&always) {
        match old.get(field) {
            Some(value) => metadata.insert((*field).to_owned(), value.clone()),
            None => metadata.remove(*field),
        };
    }
}
