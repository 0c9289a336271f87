//! The four kinds of patch.

use super::{Call, Reply};
use crate::schema::Schema;
use crate::status::{FieldError, Refusal, Result, Subject};
use crate::storage::metadata_mut;
use crate::strategic;
use crate::{names, ownership, rules};
use serde_json::{Map, Value, json};
use std::sync::Arc;

const JSON: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

impl Call<'_> {
    pub(super) fn patch(&mut self, body: &[u8]) -> Result<Reply> {
        let media_type = self.content_type.split(';').next().unwrap_or_default().trim();
        match media_type {
            APPLY => self.apply(body),
            _ if self.query.force => Err(self.bad_option(FieldError::forbidden(
                "force",
                "may not be specified for non-apply patch",
            ))),
            JSON => {
                let patch: json_patch::Patch = serde_json::from_slice(body)
                    .map_err(|error| Refusal::bad_request(error.to_string()))?;
                self.change(|object, _| {
                    json_patch::patch(object, &patch).map_err(|error| unprocessable(&error))
                })
            }
            MERGE => {
                let mut patch = read(body)?;
                prune_lists(&mut patch);
                if let Some(reply) = self.change_entries(&patch)? {
                    return Ok(reply);
                }
                self.change(|object, _| {
                    json_patch::merge(object, &patch);
                    Ok(())
                })
            }
            // Defined kinds have no notes on how their lists merge.
            STRATEGIC if !self.kind.is_custom() => {
                let patch = read(body)?;
                self.change(|object, schema| strategic::merge(schema, object, &patch))
            }
            _ if self.kind.is_custom() => {
                Err(Refusal::unsupported_media_type(&[JSON, MERGE, APPLY]))
            }
            _ => Err(Refusal::unsupported_media_type(&[JSON, MERGE, STRATEGIC, APPLY])),
        }
    }

    /// Changes nothing but entries of a ConfigMap, where nobody keeps account of who owns them:
    /// what comes out is the same as by the long way, which goes over the whole map several times.
    fn change_entries(&mut self, patch: &Value) -> Result<Option<Reply>> {
        let live = self.live()?;
        let Some(entries) = &live.entries else { return Ok(None) };
        let special = self.storage.tracks_updates
            || self.query.dry_run
            || self.target.subresource.is_some()
            || live.is_terminating();
        if special {
            return Ok(None);
        }
        let allowed = |key: &str| names::data_key(key).is_empty();
        let Some(next) = entries.patched(patch, allowed) else { return Ok(None) };
        if next.size() > rules::MAX_DATA {
            return Ok(None);
        }
        let object = match next == *entries {
            true => live,
            false => self.storage.put_entries(&live, next),
        };
        Ok(Some(self.object(200, object)))
    }

    /// Changes the stored object and stores the result.
    fn change(&mut self, edit: impl FnOnce(&mut Value, &Schema) -> Result<()>) -> Result<Reply> {
        let live = self.live()?;
        let kind = Arc::clone(&self.kind);
        let mut object = live.typed(&kind);
        edit(&mut object, &kind.schema())?;
        self.strip_type(&mut object)?;
        let dropped = kind.normalize(&mut object, self.query.strict)?;
        self.check_strict(&dropped)?;
        self.check_address(&object)?;
        let object = self.replace(&live, object, true)?;
        Ok(self.object(200, object))
    }

    /// Server-side apply.
    fn apply(&mut self, body: &[u8]) -> Result<Reply> {
        if self.query.manager.is_none() {
            return Err(self
                .bad_option(FieldError::required("fieldManager", "is required for apply patch")));
        }
        let (mut applied, namespace) = self.parse_applied(body)?;
        let kind = Arc::clone(&self.kind);
        let schema = kind.schema();
        let dropped = schema.prune_object(&mut applied);
        let group_version = format!("{}/{}", kind.group, kind.version);
        if let Some(path) = dropped.first() {
            return Err(Refusal::new(
                500,
                "",
                format!(
                    "failed to create typed patch object ({}/{}; {}, Kind={}): .{path}: field not \
                     declared in schema",
                    namespace,
                    self.name(),
                    group_version,
                    kind.kind
                ),
            ));
        }
        let api_version = kind.api_version();
        let live = self.live().ok();
        let ignored = self.actor(&api_version).ignored;
        if let (Some(map), Some(ignored)) = (applied.as_object_mut(), ignored) {
            map.remove(ignored);
        }
        let before = live.as_ref().map(|live| live.value());
        let actor = self.actor(&api_version);
        let mut merged =
            ownership::apply(&schema, before.as_ref(), &applied, actor, self.query.force)?;
        match live {
            Some(live) => {
                kind.normalize(&mut merged, false)?;
                let object = self.replace(&live, merged, false)?;
                Ok(self.object(200, object))
            }
            None if self.target.subresource.is_some() => {
                Err(Refusal::not_found(kind.subject(self.name())))
            }
            None => self.create_applied(merged),
        }
    }

    fn create_applied(&mut self, mut object: Value) -> Result<Reply> {
        let kind = Arc::clone(&self.kind);
        let uid = object.pointer("/metadata/uid").and_then(Value::as_str);
        if let Some(uid) = uid.filter(|uid| !uid.is_empty()) {
            let why = format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            );
            return Err(Refusal::conflict(kind.subject(self.name()), &why));
        }
        kind.normalize(&mut object, false)?;
        let object = self.insert(object, false)?;
        Ok(self.object(201, object))
    }

    /// Reads the body of an apply, and the namespace that it names itself. Of YAML only the part
    /// that is JSON is understood, which is what clients send.
    fn parse_applied(&self, body: &[u8]) -> Result<(Value, String)> {
        let mut applied: Value = serde_json::from_slice(body)
            .map_err(|error| Refusal::bad_request(format!("error decoding YAML: {error}")))?;
        for field in ["apiVersion", "kind"] {
            if applied.get(field).and_then(Value::as_str).is_none_or(str::is_empty) {
                return Err(Refusal::bad_request(format!("{field} must be set in an apply patch")));
            }
        }
        self.strip_type(&mut applied)?;
        let name = self.name().to_owned();
        let named = applied.pointer("/metadata/namespace").and_then(Value::as_str);
        let named = named.unwrap_or_default().to_owned();
        let namespace = self.target.namespace.clone();
        if let Some(metadata) = metadata_mut(&mut applied) {
            let entries = metadata.get("managedFields").and_then(Value::as_array);
            if entries.is_some_and(|entries| !entries.is_empty()) {
                return Err(Refusal::bad_request("metadata.managedFields must be nil"));
            }
            metadata.remove("managedFields");
            metadata.entry("name").or_insert_with(|| name.into());
            if let Some(namespace) = namespace {
                metadata.entry("namespace").or_insert_with(|| namespace.into());
            }
        }
        self.check_address(&applied)?;
        Ok((applied, named))
    }

    fn bad_option(&self, error: FieldError) -> Refusal {
        let subject = Subject { group: "meta.k8s.io", plural: "", kind: "PatchOptions", name: "" };
        Refusal::invalid(subject, &[error])
    }
}

/// Takes null members out of the objects that are in lists. By the standard a list is taken as it is;
/// servers do this all the same.
fn prune_lists(patch: &mut Value) {
    fn prune(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.retain(|_, member| !member.is_null());
                map.values_mut().for_each(prune);
            }
            Value::Array(list) => list.iter_mut().for_each(prune),
            _ => {}
        }
    }
    match patch {
        Value::Object(map) => map.values_mut().for_each(prune_lists),
        Value::Array(list) => list.iter_mut().for_each(prune),
        _ => {}
    }
}

fn read(body: &[u8]) -> Result<Value> {
    let patch: Value = serde_json::from_slice(body)
        .map_err(|error| Refusal::bad_request(format!("error decoding patch: {error}")))?;
    if patch.is_object() {
        Ok(patch)
    } else {
        Err(Refusal::bad_request("error decoding patch: a patch is an object"))
    }
}

fn unprocessable(error: &json_patch::PatchError) -> Refusal {
    let mut details = Map::new();
    let cause = json!({ "reason": "UnexpectedServerResponse", "message": error.to_string() });
    details.insert("causes".into(), json!([cause]));
    Refusal {
        details: Some(details.into()),
        ..Refusal::new(
            422,
            "Invalid",
            "the server rejected our request due to an error in our request",
        )
    }
}
