//! JSON patches, merge patches, strategic merge patches.

use crate::cases;
use crate::scene::{Scene, from, refused, status, widget};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

cases! {
    merge_patches_merge,
    merge_patches_drop_null_members_in_lists,
    merge_patches_of_nothing_are_refused,
    merge_patches_without_change_keep_the_version,
    merge_patches_of_an_old_version_are_refused,
    merge_patches_may_not_rename,
    merge_patches_with_dry_run_store_nothing,
    merge_patches_leave_the_status_alone,
    status_patches_leave_the_spec_alone,
    json_patches_edit,
    json_patches_keep_null_members,
    json_patches_of_an_old_version_are_refused,
    what_is_too_large_is_refused,
    json_patches_that_fail_their_test_are_refused,
    json_patches_of_missing_paths_are_refused,
    json_patches_without_change_keep_the_version,
    malformed_patches_are_refused,
    strategic_patches_merge_by_key,
    strategic_patches_delete_by_key,
    strategic_patches_replace_on_demand,
    strategic_patches_of_custom_kinds_are_refused,
    force_is_for_apply_only,
}

async fn made(scene: &Scene) -> Api<ConfigMap> {
    let api = scene.api::<ConfigMap>();
    let object = from(json!({ "metadata": { "name": "a" }, "data": { "a": "1", "b": "2" } }));
    api.create(&PostParams::default(), &object).await.unwrap();
    api
}

async fn patched<K>(api: &Api<K>, patch: Patch<Value>) -> kube::Result<K>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    api.patch("a", &PatchParams::default(), &patch).await
}

async fn merge_patches_merge(scene: Scene) {
    let api = made(&scene).await;
    let patch = json!({ "data": { "a": null, "c": "3" }, "metadata": { "labels": { "x": "y" } } });
    let after = patched(&api, Patch::Merge(patch)).await.unwrap();
    let data = after.data.clone().unwrap();
    assert_eq!(data.keys().collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!(after.labels()["x"], "y");
}

/// A value with nulls at all the places where there can be any.
fn nulls() -> Value {
    json!({"a": null, "b": {"c": null, "d": 1}, "l": [1, null, {"e": null, "f": [{"g": null}]}]})
}

async fn made_widget(scene: &Scene) -> Api<kube::api::DynamicObject> {
    let api = scene.widgets().await;
    api.create(&PostParams::default(), &widget("a", json!({"spec": {"size": 1}}))).await.unwrap();
    api
}

async fn merge_patches_drop_null_members_in_lists(scene: Scene) {
    let api = made_widget(&scene).await;
    let patch = json!({"spec": {"free": nulls()}});
    // Once where there was nothing, and once in the place of what is there.
    for _ in 0..2 {
        let after = patched(&api, Patch::Merge(patch.clone())).await.unwrap();
        let expected = json!({"b": {"d": 1}, "l": [1, null, {"f": [{}]}]});
        assert_eq!(after.data["spec"]["free"], expected);
    }
}

async fn json_patches_keep_null_members(scene: Scene) {
    let api = made_widget(&scene).await;
    let patch = json!([{"op": "add", "path": "/spec/free", "value": nulls()}]);
    let after = patched(&api, Patch::Json(from(patch))).await.unwrap();
    assert_eq!(after.data["spec"]["free"], nulls());
    assert_eq!(api.get("a").await.unwrap().data["spec"]["free"], nulls());
}

async fn json_patches_of_an_old_version_are_refused(scene: Scene) {
    let api = made_widget(&scene).await;
    let old = api.get("a").await.unwrap().resource_version();
    patched(&api, Patch::Merge(json!({"spec": {"size": 2}}))).await.unwrap();
    let patch = json!([
        {"op": "add", "path": "/metadata/resourceVersion", "value": old},
        {"op": "add", "path": "/spec/size", "value": 3},
    ]);
    let error = patched(&api, Patch::Json(from(patch))).await.unwrap_err();
    assert_eq!(status(error).reason, "Conflict");
    assert_eq!(api.get("a").await.unwrap().data["spec"]["size"], 2);
}

async fn what_is_too_large_is_refused(scene: Scene) {
    let api = made_widget(&scene).await;
    let big = |bytes: usize| json!({"spec": {"size": 1, "free": {"x": "x".repeat(bytes)}}});
    patched(&api, Patch::Merge(big(1_500_000))).await.unwrap();
    let refused = |after: kube::Result<kube::api::DynamicObject>| {
        let status = status(after.unwrap_err());
        assert_eq!((status.code, status.reason.as_str()), (500, ""));
        assert!(status.message.contains("request is too large"), "{}", status.message);
    };
    refused(patched(&api, Patch::Merge(big(1_600_000))).await);
    refused(api.create(&PostParams::default(), &widget("b", big(1_600_000))).await);
}

async fn merge_patches_of_nothing_are_refused(scene: Scene) {
    let after = patched(&scene.api::<ConfigMap>(), Patch::Merge(json!({}))).await;
    refused(after, 404, "NotFound", "configmaps \"a\" not found");
}

async fn merge_patches_without_change_keep_the_version(scene: Scene) {
    let api = made(&scene).await;
    let before = api.get("a").await.unwrap();
    for patch in [json!({}), json!({ "data": { "a": "1", "z": null } })] {
        let after = patched(&api, Patch::Merge(patch)).await.unwrap();
        assert_eq!(after, before);
    }
}

async fn merge_patches_of_an_old_version_are_refused(scene: Scene) {
    let api = made(&scene).await;
    let before = api.get("a").await.unwrap().resource_version().unwrap();
    let patch = json!({ "metadata": { "resourceVersion": before }, "data": { "a": "2" } });
    patched(&api, Patch::Merge(patch.clone())).await.unwrap();
    let again = patched(&api, Patch::Merge(patch)).await;
    let message = "Operation cannot be fulfilled on configmaps \"a\": the object has been \
                   modified; please apply your changes to the latest version and try again";
    refused(again, 409, "Conflict", message);
}

async fn merge_patches_may_not_rename(scene: Scene) {
    let api = made(&scene).await;
    let after = patched(&api, Patch::Merge(json!({ "metadata": { "name": "b" } }))).await;
    let message = "the name of the object (b) does not match the name on the URL (a)";
    refused(after, 400, "BadRequest", message);
}

async fn merge_patches_with_dry_run_store_nothing(scene: Scene) {
    let api = made(&scene).await;
    let before = api.get("a").await.unwrap();
    let patch = Patch::Merge(json!({ "data": { "a": "9" } }));
    let after = api.patch("a", &PatchParams::default().dry_run(), &patch).await.unwrap();
    assert_eq!(after.data.unwrap()["a"], "9");
    assert_eq!(api.get("a").await.unwrap(), before);
}

async fn merge_patches_leave_the_status_alone(scene: Scene) {
    let api = scene.widgets().await;
    let object = widget("a", json!({ "spec": { "size": 1 } }));
    let before = api.create(&PostParams::default(), &object).await.unwrap();
    let after = patched(&api, Patch::Merge(json!({ "status": { "phase": "x" } }))).await.unwrap();
    assert_eq!(after, before);
}

async fn status_patches_leave_the_spec_alone(scene: Scene) {
    let api = scene.widgets().await;
    let object = widget("a", json!({ "spec": { "size": 1 } }));
    api.create(&PostParams::default(), &object).await.unwrap();
    let patch = json!({
        "status": { "phase": "x" },
        "spec": { "size": 2 },
        "metadata": { "annotations": { "a": "b" } },
    });
    let after = api.patch_status("a", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    assert_eq!(after.data["status"], json!({ "phase": "x" }));
    assert_eq!(after.data["spec"]["size"], 1);
    assert!(after.annotations().is_empty());
}

fn edit(operations: Value) -> Patch<Value> {
    Patch::Json(from(operations))
}

async fn json_patches_edit(scene: Scene) {
    let api = made(&scene).await;
    let patch = edit(json!([
        { "op": "test", "path": "/data/a", "value": "1" },
        { "op": "replace", "path": "/data/a", "value": "5" },
        { "op": "remove", "path": "/data/b" },
        { "op": "add", "path": "/metadata/labels", "value": { "l": "1" } },
    ]));
    let after = patched(&api, patch).await.unwrap();
    assert_eq!(after.data.clone().unwrap(), [("a".to_owned(), "5".to_owned())].into());
    assert_eq!(after.labels()["l"], "1");
}

async fn json_patches_that_fail_their_test_are_refused(scene: Scene) {
    let api = made(&scene).await;
    let patch = edit(json!([{ "op": "test", "path": "/data/a", "value": "2" }]));
    let message = "the server rejected our request due to an error in our request";
    refused(patched(&api, patch).await, 422, "Invalid", message);
}

async fn json_patches_of_missing_paths_are_refused(scene: Scene) {
    let api = made(&scene).await;
    let patch = edit(json!([{ "op": "remove", "path": "/data/z" }]));
    let message = "the server rejected our request due to an error in our request";
    refused(patched(&api, patch).await, 422, "Invalid", message);
}

async fn json_patches_without_change_keep_the_version(scene: Scene) {
    let api = made(&scene).await;
    let before = api.get("a").await.unwrap();
    let patch = edit(json!([{ "op": "replace", "path": "/data/a", "value": "1" }]));
    assert_eq!(patched(&api, patch).await.unwrap(), before);
}

async fn malformed_patches_are_refused(scene: Scene) {
    let api = made(&scene).await;
    let path = format!("{}/a", api.resource_url());
    for (media_type, code) in [
        ("application/json-patch+json", 400),
        ("application/merge-patch+json", 400),
        ("application/unheard-of", 415),
    ] {
        let request = http::Request::patch(&path)
            .header("content-type", media_type)
            .body(b"\"bogus".to_vec())
            .unwrap();
        let after = scene.client.request::<Value>(request).await;
        assert_eq!(status(after.unwrap_err()).code, code, "{media_type}");
    }
}

async fn deployment(scene: &Scene) -> Api<Deployment> {
    let api = scene.api::<Deployment>();
    let object = from(json!({
        "metadata": { "name": "a", "finalizers": ["test.dev/a"] },
        "spec": {
            "selector": { "matchLabels": { "app": "a" } },
            "template": {
                "metadata": { "labels": { "app": "a" } },
                "spec": { "containers": [
                    { "name": "one", "image": "image:1", "args": ["x", "y"], "env": [{ "name": "A", "value": "1" }] },
                    { "name": "two", "image": "image:1" },
                ] },
            },
        },
    }));
    api.create(&PostParams::default(), &object).await.unwrap();
    api
}

fn containers(deployment: &Deployment) -> Value {
    let json = serde_json::to_value(deployment).unwrap();
    let containers = json.pointer("/spec/template/spec/containers").unwrap().as_array().unwrap();
    let fields = ["name", "image", "args", "env"];
    containers
        .iter()
        .map(|container| {
            fields
                .iter()
                .filter_map(|field| Some(((*field).to_owned(), container.get(*field)?.clone())))
                .collect::<Value>()
        })
        .collect()
}

fn containers_patch(containers: Value) -> Patch<Value> {
    Patch::Strategic(json!({ "spec": { "template": { "spec": { "containers": containers } } } }))
}

async fn strategic_patches_merge_by_key(scene: Scene) {
    let api = deployment(&scene).await;
    let patch = containers_patch(json!([
        { "name": "one", "image": "image:2", "args": ["z"], "env": [{ "name": "B", "value": "2" }] },
    ]));
    let after = patched(&api, patch).await.unwrap();
    let mut found = containers(&after);
    let env = found[0]["env"].take();
    assert_eq!(
        found,
        json!([
            { "name": "one", "image": "image:2", "args": ["z"], "env": null },
            { "name": "two", "image": "image:1" },
        ])
    );
    assert_eq!(env.as_array().unwrap().len(), 2);
    let patch = Patch::Strategic(json!({ "metadata": { "finalizers": ["test.dev/b"] } }));
    let after = patched(&api, patch).await.unwrap();
    assert_eq!(after.finalizers().len(), 2);
    // Nothing is to hold the namespace later on.
    patched(&api, Patch::Merge(json!({ "metadata": { "finalizers": null } }))).await.unwrap();
}

async fn strategic_patches_delete_by_key(scene: Scene) {
    let api = deployment(&scene).await;
    let patch = containers_patch(json!([{ "name": "one", "$patch": "delete" }]));
    let after = patched(&api, patch).await.unwrap();
    assert_eq!(containers(&after), json!([{ "name": "two", "image": "image:1" }]));
    let patch = json!({ "metadata": { "$deleteFromPrimitiveList/finalizers": ["test.dev/a"] } });
    let after = patched(&api, Patch::Strategic(patch)).await.unwrap();
    assert!(after.finalizers().is_empty());
}

async fn strategic_patches_replace_on_demand(scene: Scene) {
    let api = deployment(&scene).await;
    let patch = containers_patch(json!([{ "$patch": "replace" }, { "name": "new", "image": "i" }]));
    let after = patched(&api, patch).await.unwrap();
    assert_eq!(containers(&after), json!([{ "name": "new", "image": "i" }]));
    patched(&api, Patch::Merge(json!({ "metadata": { "finalizers": null } }))).await.unwrap();
}

async fn strategic_patches_of_custom_kinds_are_refused(scene: Scene) {
    let api = scene.widgets().await;
    let object = widget("a", json!({ "spec": { "size": 1 } }));
    api.create(&PostParams::default(), &object).await.unwrap();
    let after = patched(&api, Patch::Strategic(json!({ "spec": { "size": 2 } }))).await;
    let message = "the body of the request was in an unknown format - accepted media types \
                   include: application/json-patch+json, application/merge-patch+json, \
                   application/apply-patch+yaml";
    refused(after, 415, "UnsupportedMediaType", message);
}

async fn force_is_for_apply_only(scene: Scene) {
    let api = made(&scene).await;
    let path = format!("{}/a?force=true", api.resource_url());
    let request = http::Request::patch(&path)
        .header("content-type", "application/merge-patch+json")
        .body(b"{}".to_vec())
        .unwrap();
    let after = scene.client.request::<Value>(request).await;
    let message = "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be \
                   specified for non-apply patch";
    refused(after, 422, "Invalid", message);
}
