//! Kinds from a `CustomResourceDefinition`.

use super::{Form, Kind, Registry};
use crate::names::NameRule;
use crate::schema::{Schema, texts};
use crate::status::FieldError;
use crate::time::now;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The finalizer that keeps a definition until its objects are gone.
pub(crate) const CUSTOM_RESOURCE_CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Serves the kinds of a definition and notes so in its status.
///
/// # Errors
/// The broken rules of the definition, where it cannot be served.
pub(crate) fn accept(
    registry: &mut Registry,
    definition: &mut Value,
) -> Result<(), Vec<FieldError>> {
    let kinds = kinds(definition)?;
    let names = definition.pointer("/spec/names").cloned().unwrap_or_default();
    let stored: Vec<Value> = versions(definition)
        .filter(|version| version.get("storage") == Some(&Value::Bool(true)))
        .filter_map(|version| version.get("name").cloned())
        .collect();
    if let Some(map) = definition.as_object_mut() {
        let old = map.get("status").and_then(|status| status.get("conditions"));
        let conditions = old.cloned().unwrap_or_else(|| {
            json!([
                condition("NamesAccepted", "NoConflicts", "no conflicts found"),
                condition(
                    "Established",
                    "InitialNamesAccepted",
                    "the initial names have been accepted"
                ),
            ])
        });
        map.insert(
            "status".into(),
            json!({ "conditions": conditions, "acceptedNames": names, "storedVersions": stored }),
        );
    }
    registry.add(kinds.into_iter().map(Arc::new).collect());
    Ok(())
}

fn condition(kind: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": kind,
        "status": "True",
        "lastTransitionTime": now(),
        "reason": reason,
        "message": message,
    })
}

fn versions(definition: &Value) -> impl Iterator<Item = &Value> {
    definition.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten()
}

fn kinds(definition: &Value) -> Result<Vec<Kind>, Vec<FieldError>> {
    let text = |pointer: &str| definition.pointer(pointer).and_then(Value::as_str);
    let mut errors = Vec::new();
    let mut needed = |pointer: &str, path: &str| {
        text(pointer).filter(|text| !text.is_empty()).map(str::to_owned).unwrap_or_else(|| {
            errors.push(FieldError::required(path, ""));
            String::new()
        })
    };
    let group = needed("/spec/group", "spec.group");
    let plural = needed("/spec/names/plural", "spec.names.plural");
    let kind = needed("/spec/names/kind", "spec.names.kind");
    let scope = needed("/spec/scope", "spec.scope");
    let name = text("/metadata/name").unwrap_or_default();
    if errors.is_empty() && name != format!("{plural}.{group}") {
        errors.push(FieldError::invalid(
            "metadata.name",
            &name.into(),
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    let storage = versions(definition)
        .filter(|version| version.get("storage") == Some(&Value::Bool(true)))
        .count();
    if storage != 1 {
        errors.push(FieldError::invalid(
            "spec.versions",
            definition.pointer("/spec/versions").unwrap_or(&Value::Null),
            "must have exactly one version marked as storage version",
        ));
    }
    for (index, version) in versions(definition).enumerate() {
        if version.pointer("/schema/openAPIV3Schema").is_none() {
            errors.push(FieldError::required(
                format!("spec.versions[{index}].schema.openAPIV3Schema"),
                "schemas are required",
            ));
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut kinds: Vec<Kind> = versions(definition)
        .filter(|version| version.get("served") == Some(&Value::Bool(true)))
        .map(|version| Kind {
            group: group.clone(),
            version: version.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
            plural: plural.clone(),
            singular: text("/spec/names/singular")
                .map_or_else(|| kind.to_lowercase(), str::to_owned),
            kind: kind.clone(),
            list_kind: text("/spec/names/listKind")
                .map_or_else(|| format!("{kind}List"), str::to_owned),
            short_names: texts(definition.pointer("/spec/names/shortNames")),
            categories: texts(definition.pointer("/spec/names/categories")),
            namespaced: scope == "Namespaced",
            status: version.pointer("/subresources/status").is_some(),
            generation: true,
            unconditional_update: false,
            names: NameRule::Subdomain,
            selectable: version
                .get("selectableFields")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|field| field.get("jsonPath")?.as_str())
                .map(|path| path.trim_start_matches('.').to_owned())
                .collect(),
            form: Form::Custom(Arc::new(schema(version))),
        })
        .collect();
    // As in discovery: stable before beta before alpha, newer before older.
    kinds.sort_by_key(|kind| std::cmp::Reverse(priority(&kind.version)));
    Ok(kinds)
}

fn schema(version: &Value) -> Schema {
    let empty = Value::Object(Map::new());
    let json = version.pointer("/schema/openAPIV3Schema").unwrap_or(&empty);
    let mut schema = Schema::of_custom(json);
    let metadata = super::builtin::metadata_schema().clone();
    schema.properties.insert("metadata".into(), Arc::new(metadata));
    schema
}

fn priority(version: &str) -> (u8, u32, u32) {
    let Some(rest) = version.strip_prefix('v') else {
        return (0, 0, 0);
    };
    let number = |text: &str| text.parse::<u32>().unwrap_or_default();
    if let Some((major, minor)) = rest.split_once("alpha") {
        (1, number(major), number(minor))
    } else if let Some((major, minor)) = rest.split_once("beta") {
        (2, number(major), number(minor))
    } else {
        (3, number(rest), 0)
    }
}
