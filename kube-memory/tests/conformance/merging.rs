//! Server-side apply on lists, sets and nested fields.

use crate::apply::{apply, bare, config, forced, owned, spec};
use crate::cases;
use crate::scene::{Scene, refused};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject};
use serde_json::{Value, json};

cases! {
    apply_merges_list_maps,
    apply_removes_list_items,
    apply_merges_sets,
    apply_replaces_atomic_lists_and_maps,
    apply_orders_items,
    apply_owns_finalizers_by_value,
    apply_owns_owner_references_by_uid,
    apply_of_containers_goes_by_name,
    apply_removes_the_whole_parent,
}

async fn apply_merges_list_maps(scene: Scene) {
    let api = scene.widgets().await;
    let one = spec(json!({ "size": 1, "parts": [{ "name": "a", "count": 1, "unit": "kg" }] }));
    apply(&api, "one", one).await.unwrap();
    let two = spec(
        json!({ "size": 1, "parts": [{ "name": "b", "count": 2 }, { "name": "a", "unit": "kg" }] }),
    );
    let both = apply(&api, "two", two).await.unwrap();
    let mut parts = both.data["spec"]["parts"].as_array().unwrap().clone();
    parts.sort_by_key(|part| part["name"].to_string());
    assert_eq!(
        json!(parts),
        json!([
            { "name": "a", "count": 1, "unit": "kg" },
            { "name": "b", "count": 2 },
        ])
    );
    assert_eq!(
        owned(&both, "two"),
        json!({ "f:spec": {
        "f:parts": {
            "k:{\"name\":\"a\"}": { ".": {}, "f:name": {}, "f:unit": {} },
            "k:{\"name\":\"b\"}": { ".": {}, "f:count": {}, "f:name": {} },
        },
        "f:size": {},
    } })
    );
    let conflict =
        apply(&api, "two", spec(json!({ "size": 1, "parts": [{ "name": "a", "count": 5 }] })))
            .await;
    let message =
        "Apply failed with 1 conflict: conflict with \"one\": .spec.parts[name=\"a\"].count";
    refused(conflict, 409, "Conflict", message);
}

async fn apply_removes_list_items(scene: Scene) {
    let api = scene.widgets().await;
    let one = spec(json!({ "size": 1, "parts": [{ "name": "a" }, { "name": "b" }] }));
    apply(&api, "one", one).await.unwrap();
    apply(&api, "two", spec(json!({ "size": 1, "parts": [{ "name": "c" }] }))).await.unwrap();
    let after =
        apply(&api, "one", spec(json!({ "size": 1, "parts": [{ "name": "b" }] }))).await.unwrap();
    let names: Vec<_> =
        after.data["spec"]["parts"].as_array().unwrap().iter().map(|p| p["name"].clone()).collect();
    assert_eq!(names.len(), 2);
    assert!(names.contains(&json!("b")) && names.contains(&json!("c")));
}

async fn apply_merges_sets(scene: Scene) {
    let api = scene.widgets().await;
    apply(&api, "one", spec(json!({ "size": 1, "tags": ["x", "y"] }))).await.unwrap();
    let both = apply(&api, "two", spec(json!({ "size": 1, "tags": ["y", "z"] }))).await.unwrap();
    assert_eq!(both.data["spec"]["tags"].as_array().unwrap().len(), 3);
    assert_eq!(owned(&both, "two")["f:spec"]["f:tags"], json!({ "v:\"y\"": {}, "v:\"z\"": {} }));
    let after = apply(&api, "one", spec(json!({ "size": 1 }))).await.unwrap();
    assert_eq!(after.data["spec"]["tags"], json!(["y", "z"]));
}

async fn apply_replaces_atomic_lists_and_maps(scene: Scene) {
    let api = scene.widgets().await;
    let one = spec(json!({ "size": 1, "list": ["x", "y"], "whole": { "k": "1" } }));
    let made = apply(&api, "one", one).await.unwrap();
    assert_eq!(
        owned(&made, "one"),
        json!({ "f:spec": { "f:list": {}, "f:size": {}, "f:whole": {} } })
    );
    let two =
        forced(&api, "two", spec(json!({ "size": 1, "list": ["z"], "whole": { "l": "2" } }))).await;
    assert_eq!(two.data["spec"]["list"], json!(["z"]));
    assert_eq!(two.data["spec"]["whole"], json!({ "l": "2" }));
    assert_eq!(owned(&two, "one"), json!({ "f:spec": { "f:size": {} } }));
}

async fn order_of(api: &Api<DynamicObject>, manager: &str, names: &[&str]) -> String {
    let parts: Vec<_> = names.iter().map(|name| json!({ "name": name })).collect();
    let after = apply(api, manager, spec(json!({ "size": 1, "parts": parts }))).await.unwrap();
    let parts = after.data["spec"]["parts"].as_array().unwrap().clone();
    parts.iter().map(|part| part["name"].as_str().unwrap().to_owned()).collect()
}

async fn apply_orders_items(scene: Scene) {
    let api = scene.widgets().await;
    assert_eq!(order_of(&api, "one", &["a", "b", "c"]).await, "abc");
    assert_eq!(order_of(&api, "two", &["d", "b"]).await, "adbc");
    assert_eq!(order_of(&api, "one", &["c", "b", "a"]).await, "dcba");
    assert_eq!(order_of(&api, "one", &["b", "e"]).await, "dbe");
    assert_eq!(order_of(&api, "two", &["f", "d"]).await, "fdbe");
}

async fn apply_owns_finalizers_by_value(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let with = |finalizers: Value| {
        let mut object = bare();
        object["metadata"]["finalizers"] = finalizers;
        object
    };
    apply(&api, "one", with(json!(["test.dev/a"]))).await.unwrap();
    let both = apply(&api, "two", with(json!(["test.dev/b"]))).await.unwrap();
    assert_eq!(both.finalizers().len(), 2);
    assert_eq!(
        owned(&both, "two")["f:metadata"],
        json!({ "f:finalizers": { "v:\"test.dev/b\"": {} } })
    );
    let after = apply(&api, "one", bare()).await.unwrap();
    assert_eq!(after.finalizers(), ["test.dev/b"]);
    apply(&api, "two", bare()).await.unwrap();
    assert!(api.get("a").await.unwrap().finalizers().is_empty());
}

async fn apply_owns_owner_references_by_uid(scene: Scene) {
    let api = scene.config_maps(&[("owner", json!({}))]).await;
    let uid = api.get("owner").await.unwrap().uid().unwrap();
    let mut object = config(json!({}));
    object["metadata"]["ownerReferences"] =
        json!([{ "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid }]);
    let made = apply(&api, "one", object).await.unwrap();
    let key = format!("k:{{\"uid\":\"{uid}\"}}");
    assert_eq!(owned(&made, "one")["f:metadata"], json!({ "f:ownerReferences": { key: {} } }));
}

async fn apply_of_containers_goes_by_name(scene: Scene) {
    let api = scene.api::<Deployment>();
    let object = |containers: Value| {
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": { "name": "a" },
            "spec": {
                "selector": { "matchLabels": { "app": "a" } },
                "template": {
                    "metadata": { "labels": { "app": "a" } },
                    "spec": { "containers": containers },
                },
            },
        })
    };
    let one = json!([{
        "name": "one",
        "image": "i:1",
        "ports": [{ "containerPort": 80 }],
        "env": [{ "name": "A", "value": "1" }],
    }]);
    let made = apply(&api, "one", object(one)).await.unwrap();
    let fields = owned(&made, "one");
    let container = fields.pointer("/f:spec/f:template/f:spec/f:containers").unwrap();
    assert_eq!(
        container,
        &json!({ "k:{\"name\":\"one\"}": {
        ".": {},
        "f:env": { "k:{\"name\":\"A\"}": { ".": {}, "f:name": {}, "f:value": {} } },
        "f:image": {},
        "f:name": {},
        "f:ports": { "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": { ".": {}, "f:containerPort": {} } },
    } })
    );
    assert_eq!(fields["f:spec"]["f:selector"], json!({}));
    let two = json!([{ "name": "two", "image": "i:2" }, { "name": "one", "image": "i:3" }]);
    let conflict = apply(&api, "two", object(two)).await;
    let message = "Apply failed with 1 conflict: conflict with \"one\": \
                   .spec.template.spec.containers[name=\"one\"].image";
    refused(conflict, 409, "Conflict", message);
}

async fn apply_removes_the_whole_parent(scene: Scene) {
    let api = scene.widgets().await;
    let made = spec(json!({ "size": 1, "map": { "k": "1" }, "parts": [{ "name": "a" }] }));
    apply(&api, "one", made).await.unwrap();
    let after = apply(&api, "one", spec(json!({ "size": 1 }))).await.unwrap();
    assert_eq!(after.data["spec"].get("map"), None);
    assert_eq!(after.data["spec"].get("parts"), None);
}
