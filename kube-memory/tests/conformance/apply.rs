//! Server-side apply.

use crate::cases;
use crate::scene::{Scene, from, refused, status, widget};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

cases! {
    apply_creates,
    apply_again_keeps_the_version,
    apply_merges_with_others,
    apply_removes_what_it_no_longer_names,
    apply_keeps_what_others_own,
    apply_conflicts_over_values,
    apply_conflicts_list_every_field,
    apply_shares_equal_values,
    apply_takes_by_force,
    apply_needs_a_manager,
    apply_needs_a_kind,
    apply_with_managed_fields_is_refused,
    apply_of_an_old_version_is_refused,
    apply_with_dry_run_stores_nothing,
    apply_of_unknown_fields,
    apply_tells_managers_apart_by_operation,
    apply_to_the_status,
    apply_to_the_status_of_nothing_is_refused,
    apply_leaves_the_status_alone,
    apply_of_secret_texts_is_stable,
    updates_take_fields_from_appliers,
    updates_that_remove_fields_end_ownership,
    managed_fields_of_a_create,
    managed_fields_can_be_cleared,
    apply_counts_generations,
}

pub(crate) async fn apply<K>(api: &Api<K>, manager: &str, object: Value) -> kube::Result<K>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    api.patch("a", &PatchParams::apply(manager), &Patch::Apply(object)).await
}

pub(crate) async fn forced<K>(api: &Api<K>, manager: &str, object: Value) -> K
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    api.patch("a", &PatchParams::apply(manager).force(), &Patch::Apply(object)).await.unwrap()
}

pub(crate) fn config(data: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": data })
}

pub(crate) fn bare() -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" } })
}

pub(crate) fn spec(spec: Value) -> Value {
    serde_json::to_value(widget("a", json!({ "spec": spec }))).unwrap()
}

/// The fields of a manager's entry, or null.
pub(crate) fn owned(object: &impl ResourceExt, manager: &str) -> Value {
    let entry = object.managed_fields().iter().find(|e| e.manager.as_deref() == Some(manager));
    entry.map(|entry| serde_json::to_value(&entry.fields_v1).unwrap()).unwrap_or_default()
}

async fn apply_creates(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let made = apply(&api, "one", config(json!({ "x": "1" }))).await.unwrap();
    assert_eq!(made.data.clone().unwrap()["x"], "1");
    let entry = &made.managed_fields()[0];
    assert_eq!(entry.operation.as_deref(), Some("Apply"));
    assert_eq!(entry.api_version.as_deref(), Some("v1"));
    assert_eq!(entry.fields_type.as_deref(), Some("FieldsV1"));
    assert_eq!(owned(&made, "one"), json!({ "f:data": { "f:x": {} } }));
}

async fn apply_again_keeps_the_version(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let made = apply(&api, "one", config(json!({ "x": "1" }))).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let again = apply(&api, "one", config(json!({ "x": "1" }))).await.unwrap();
    assert_eq!(again.resource_version(), made.resource_version());
    assert_eq!(again.managed_fields(), made.managed_fields());
}

async fn apply_merges_with_others(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    apply(&api, "one", config(json!({ "x": "1" }))).await.unwrap();
    let both = apply(&api, "two", config(json!({ "y": "2" }))).await.unwrap();
    assert_eq!(both.data.clone().unwrap().len(), 2);
    assert_eq!(owned(&both, "one"), json!({ "f:data": { "f:x": {} } }));
    assert_eq!(owned(&both, "two"), json!({ "f:data": { "f:y": {} } }));
}

async fn apply_removes_what_it_no_longer_names(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    apply(&api, "one", config(json!({ "x": "1", "y": "2" }))).await.unwrap();
    let after = apply(&api, "one", config(json!({ "y": "2" }))).await.unwrap();
    assert_eq!(after.data.unwrap(), [("y".to_owned(), "2".to_owned())].into());
}

async fn apply_keeps_what_others_own(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    apply(&api, "one", config(json!({ "x": "1", "y": "2" }))).await.unwrap();
    apply(&api, "two", config(json!({ "x": "1" }))).await.unwrap();
    let after = apply(&api, "one", config(json!({ "y": "2" }))).await.unwrap();
    assert_eq!(after.data.clone().unwrap().len(), 2);
    assert_eq!(owned(&after, "two"), json!({ "f:data": { "f:x": {} } }));
    let after = apply(&api, "two", config(json!({}))).await.unwrap();
    assert_eq!(after.data.unwrap().len(), 1);
}

async fn apply_conflicts_over_values(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    apply(&api, "one", config(json!({ "x": "1" }))).await.unwrap();
    let after = apply(&api, "two", config(json!({ "x": "2" }))).await;
    let message = "Apply failed with 1 conflict: conflict with \"one\": .data.x";
    let details = refused(after, 409, "Conflict", message).details.unwrap();
    assert_eq!(details.causes.len(), 1);
    assert_eq!(details.causes[0].reason, "FieldManagerConflict");
    assert_eq!(details.causes[0].message, "conflict with \"one\"");
    assert_eq!(details.causes[0].field, ".data.x");
}

async fn apply_conflicts_list_every_field(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    apply(&api, "one", config(json!({ "x": "1" }))).await.unwrap();
    apply(&api, "two", config(json!({ "y": "1", "z": "1" }))).await.unwrap();
    let params = PatchParams { field_manager: Some("three".into()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({ "data": { "w": "1" } }));
    api.patch("a", &params, &patch).await.unwrap();
    let after =
        apply(&api, "four", config(json!({ "w": "2", "x": "2", "y": "2", "z": "2" }))).await;
    let message = "Apply failed with 4 conflicts: conflicts with \"one\":\n- .data.x\nconflicts \
                   with \"three\" using v1:\n- .data.w\nconflicts with \"two\":\n- .data.y\n- \
                   .data.z";
    refused(after, 409, "Conflict", message);
}

async fn apply_shares_equal_values(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    apply(&api, "one", config(json!({ "x": "1" }))).await.unwrap();
    let both = apply(&api, "two", config(json!({ "x": "1" }))).await.unwrap();
    assert_eq!(owned(&both, "one"), owned(&both, "two"));
}

async fn apply_takes_by_force(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    apply(&api, "one", config(json!({ "x": "1", "y": "1" }))).await.unwrap();
    let after = forced(&api, "two", config(json!({ "x": "2" }))).await;
    assert_eq!(after.data.clone().unwrap()["x"], "2");
    assert_eq!(owned(&after, "one"), json!({ "f:data": { "f:y": {} } }));
    assert_eq!(owned(&after, "two"), json!({ "f:data": { "f:x": {} } }));
}

async fn apply_needs_a_manager(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let patch = Patch::Apply(config(json!({})));
    let after = api.patch("a", &PatchParams::default(), &patch).await;
    let message = "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is \
                   required for apply patch";
    refused(after, 422, "Invalid", message);
}

async fn apply_needs_a_kind(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let after = apply(&api, "one", json!({ "metadata": { "name": "a" }, "data": {} })).await;
    assert_eq!(status(after.unwrap_err()).code, 400);
}

async fn apply_with_managed_fields_is_refused(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let mut object = config(json!({}));
    object["metadata"]["managedFields"] = json!([{ "manager": "x", "operation": "Apply" }]);
    let after = apply(&api, "one", object).await;
    refused(after, 400, "BadRequest", "metadata.managedFields must be nil");
}

async fn apply_of_an_old_version_is_refused(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let made = apply(&api, "one", config(json!({ "x": "1" }))).await.unwrap();
    apply(&api, "one", config(json!({ "x": "2" }))).await.unwrap();
    let mut object = config(json!({ "x": "3" }));
    object["metadata"]["resourceVersion"] = json!(made.resource_version());
    let after = apply(&api, "one", object).await;
    let message = "Operation cannot be fulfilled on configmaps \"a\": the object has been \
                   modified; please apply your changes to the latest version and try again";
    refused(after, 409, "Conflict", message);
}

async fn apply_with_dry_run_stores_nothing(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let params = PatchParams::apply("one").dry_run();
    let object = Patch::Apply(config(json!({ "x": "1" })));
    let made = api.patch("a", &params, &object).await.unwrap();
    assert_eq!(made.data.unwrap()["x"], "1");
    assert_eq!(api.get_opt("a").await.unwrap(), None);
}

async fn apply_of_unknown_fields(scene: Scene) {
    let mut object = config(json!({}));
    object["bogus"] = json!(1);
    let after = apply(&scene.api::<ConfigMap>(), "one", object).await;
    let message = "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .bogus: field \
                   not declared in schema";
    refused(after, 500, "", message);
    let object = spec(json!({ "size": 1, "bogus": 1 }));
    let after = apply(&scene.widgets().await, "one", object).await;
    let message = "failed to create typed patch object (/a; test.kube-memory.dev/v1, \
                   Kind=Widget): .spec.bogus: field not declared in schema";
    refused(after, 500, "", message);
}

async fn apply_tells_managers_apart_by_operation(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    apply(&api, "one", config(json!({ "x": "1" }))).await.unwrap();
    let params = PatchParams { field_manager: Some("one".into()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({ "data": { "x": "2" } }));
    let after = api.patch("a", &params, &patch).await.unwrap();
    let entries: Vec<_> =
        after.managed_fields().iter().map(|e| e.operation.clone().unwrap()).collect();
    assert_eq!(entries, ["Update"]);
}

async fn apply_to_the_status(scene: Scene) {
    let api = scene.widgets().await;
    apply(&api, "one", spec(json!({ "size": 1 }))).await.unwrap();
    let status = |kind: &str| {
        let conditions = json!([{ "type": kind, "status": "True" }]);
        let fields = json!({ "status": { "conditions": conditions }, "spec": { "size": 9 } });
        serde_json::to_value(widget("a", fields)).unwrap()
    };
    for (manager, kind) in [("two", "A"), ("three", "B")] {
        let patch = Patch::Apply(status(kind));
        api.patch_status("a", &PatchParams::apply(manager), &patch).await.unwrap();
    }
    let after = api.get("a").await.unwrap();
    assert_eq!(after.data["spec"]["size"], 1);
    assert_eq!(after.metadata.generation, Some(1));
    assert_eq!(
        after.data["status"]["conditions"],
        json!([
            { "type": "A", "status": "True" },
            { "type": "B", "status": "True" },
        ])
    );
    let entry =
        after.managed_fields().iter().find(|e| e.manager.as_deref() == Some("two")).unwrap();
    assert_eq!(entry.subresource.as_deref(), Some("status"));
    assert_eq!(
        owned(&after, "two"),
        json!({ "f:status": { "f:conditions": {
        "k:{\"type\":\"A\"}": { ".": {}, "f:status": {}, "f:type": {} },
    } } })
    );
    let patch = Patch::Apply(status("A"));
    let again = api.patch_status("a", &PatchParams::apply("two"), &patch).await.unwrap();
    assert_eq!(again.resource_version(), after.resource_version());
}

async fn apply_to_the_status_of_nothing_is_refused(scene: Scene) {
    let api = scene.widgets().await;
    let patch = Patch::Apply(serde_json::to_value(widget("a", json!({ "status": {} }))).unwrap());
    let after = api.patch_status("a", &PatchParams::apply("one"), &patch).await;
    refused(after, 404, "NotFound", "widgets.test.kube-memory.dev \"a\" not found");
}

async fn apply_leaves_the_status_alone(scene: Scene) {
    let api = scene.widgets().await;
    let mut object = spec(json!({ "size": 1 }));
    object["status"] = json!({ "phase": "x" });
    let made = apply(&api, "one", object.clone()).await.unwrap();
    assert_eq!(made.data.get("status"), None);
    assert_eq!(owned(&made, "one"), json!({ "f:spec": { "f:size": {} } }));
    let again = apply(&api, "one", object).await.unwrap();
    assert_eq!(again.resource_version(), made.resource_version());
}

async fn apply_of_secret_texts_is_stable(scene: Scene) {
    let api = scene.api::<Secret>();
    let object = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": "a" },
        "stringData": { "x": "1" },
    });
    let made = apply(&api, "one", object.clone()).await.unwrap();
    assert_eq!(made.data.clone().unwrap()["x"].0, b"1");
    let again = apply(&api, "one", object).await.unwrap();
    assert_eq!(again.resource_version(), made.resource_version());
}

async fn updates_take_fields_from_appliers(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    apply(&api, "one", config(json!({ "x": "1", "y": "1" }))).await.unwrap();
    let params = PatchParams { field_manager: Some("two".into()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({ "data": { "x": "2", "z": "3" } }));
    let after = api.patch("a", &params, &patch).await.unwrap();
    assert_eq!(owned(&after, "one"), json!({ "f:data": { "f:y": {} } }));
    assert_eq!(owned(&after, "two"), json!({ "f:data": { "f:x": {}, "f:z": {} } }));
    let conflict = apply(&api, "one", config(json!({ "x": "1", "y": "1" }))).await;
    let message = "Apply failed with 1 conflict: conflict with \"two\" using v1: .data.x";
    refused(conflict, 409, "Conflict", message);
}

async fn updates_that_remove_fields_end_ownership(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    apply(&api, "one", config(json!({ "x": "1", "y": "1" }))).await.unwrap();
    let params = PatchParams { field_manager: Some("two".into()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({ "data": { "x": null } }));
    let after = api.patch("a", &params, &patch).await.unwrap();
    assert_eq!(owned(&after, "one"), json!({ "f:data": { "f:y": {} } }));
    assert_eq!(owned(&after, "two"), Value::Null);
}

async fn managed_fields_of_a_create(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let object = from(json!({
        "metadata": { "name": "a", "labels": { "l": "1" }, "finalizers": ["test.dev/a"] },
        "data": { "x": "1" },
    }));
    let params = PostParams { field_manager: Some("maker".into()), ..PostParams::default() };
    let made = api.create(&params, &object).await.unwrap();
    assert_eq!(
        owned(&made, "maker"),
        json!({
            "f:data": { ".": {}, "f:x": {} },
            "f:metadata": {
                "f:finalizers": { ".": {}, "v:\"test.dev/a\"": {} },
                "f:labels": { ".": {}, "f:l": {} },
            },
        })
    );
    let patch = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    let after = api.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(owned(&after, "maker")["f:metadata"], json!({ "f:labels": { ".": {}, "f:l": {} } }));
}

async fn managed_fields_can_be_cleared(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    apply(&api, "one", config(json!({ "x": "1" }))).await.unwrap();
    let patch = Patch::Merge(json!({ "metadata": { "managedFields": [{}] } }));
    let after = api.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert!(after.managed_fields().is_empty());
    let after = apply(&api, "two", config(json!({ "y": "1" }))).await.unwrap();
    assert_eq!(owned(&after, "before-first-apply"), json!({ "f:data": { ".": {}, "f:x": {} } }));
    assert_eq!(owned(&after, "two"), json!({ "f:data": { "f:y": {} } }));
}

async fn apply_counts_generations(scene: Scene) {
    let api = scene.widgets().await;
    let made = apply(&api, "one", spec(json!({ "size": 1 }))).await.unwrap();
    assert_eq!(made.metadata.generation, Some(1));
    let mut object = spec(json!({ "size": 1 }));
    object["metadata"]["labels"] = json!({ "a": "b" });
    let after = apply(&api, "one", object).await.unwrap();
    assert_eq!(after.metadata.generation, Some(1));
    let after = apply(&api, "one", spec(json!({ "size": 2 }))).await.unwrap();
    assert_eq!(after.metadata.generation, Some(2));
    assert!(after.labels().is_empty());
}
