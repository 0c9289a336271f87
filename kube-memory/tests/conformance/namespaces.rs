//! Namespaces and what is in them.

use crate::cases;
use crate::scene::{Scene, eventually, from, refused, unique};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

cases! {
    some_namespaces_are_there,
    new_namespaces_are_active,
    missing_namespaces_are_refused,
    namespaces_go_with_their_content,
    terminating_namespaces_refuse_new_objects,
    system_namespaces_stay,
    namespace_names_are_labels,
}

async fn some_namespaces_are_there(scene: Scene) {
    let api: Api<Namespace> = Api::all(scene.client);
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        eventually(name, async || api.get_opt(name).await.unwrap()).await;
    }
}

async fn new_namespaces_are_active(scene: Scene) {
    let made = scene.add_namespace(&unique("new")).await;
    assert_eq!(made.status.clone().unwrap().phase.as_deref(), Some("Active"));
    assert_eq!(made.spec.clone().unwrap().finalizers.unwrap(), ["kubernetes"]);
    assert_eq!(made.labels()["kubernetes.io/metadata.name"], made.name_any());
}

async fn missing_namespaces_are_refused(scene: Scene) {
    let api: Api<ConfigMap> = Api::namespaced(scene.client, "no-such-namespace");
    let object = from(json!({ "metadata": { "name": "a" } }));
    let made = api.create(&PostParams::default(), &object).await;
    refused(made, 404, "NotFound", "namespaces \"no-such-namespace\" not found");
    assert_eq!(api.get_opt("a").await.unwrap(), None);
    assert!(api.list(&Default::default()).await.unwrap().items.is_empty());
}

async fn marked(scene: &Scene, finalizers: &[&str]) -> (Api<Namespace>, Api<ConfigMap>) {
    let namespaces: Api<Namespace> = Api::all(scene.client.clone());
    let api = scene.api::<ConfigMap>();
    let object = from(json!({ "metadata": { "name": "a", "finalizers": finalizers } }));
    api.create(&PostParams::default(), &object).await.unwrap();
    let deleted = namespaces.delete(&scene.namespace, &DeleteParams::default()).await.unwrap();
    assert!(deleted.left().unwrap().metadata.deletion_timestamp.is_some());
    (namespaces, api)
}

async fn namespaces_go_with_their_content(scene: Scene) {
    let (namespaces, api) = marked(&scene, &[]).await;
    eventually("the namespace is gone", async || {
        namespaces.get_opt(&scene.namespace).await.unwrap().is_none().then_some(())
    })
    .await;
    assert_eq!(api.get_opt("a").await.unwrap(), None);
}

async fn terminating_namespaces_refuse_new_objects(scene: Scene) {
    let (namespaces, api) = marked(&scene, &["test.dev/a"]).await;
    eventually("the content is marked", async || {
        api.get("a").await.unwrap().metadata.deletion_timestamp
    })
    .await;
    let namespace = namespaces.get(&scene.namespace).await.unwrap();
    assert_eq!(namespace.status.unwrap().phase.as_deref(), Some("Terminating"));
    let object = from(json!({ "metadata": { "name": "b" } }));
    let made = api.create(&PostParams::default(), &object).await;
    let message = format!(
        "configmaps \"b\" is forbidden: unable to create new content in namespace {} because it \
         is being terminated",
        scene.namespace
    );
    let status = refused(made, 403, "Forbidden", &message);
    assert_eq!(status.details.unwrap().causes[0].reason, "NamespaceTerminating");
    let patch = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    api.patch("a", &PatchParams::default(), &patch).await.unwrap();
    eventually("the namespace is gone", async || {
        namespaces.get_opt(&scene.namespace).await.unwrap().is_none().then_some(())
    })
    .await;
}

async fn system_namespaces_stay(scene: Scene) {
    let api: Api<Namespace> = Api::all(scene.client);
    let deleted = api.delete("default", &DeleteParams::default()).await;
    let message = "namespaces \"default\" is forbidden: this namespace may not be deleted";
    refused(deleted, 403, "Forbidden", message);
}

async fn namespace_names_are_labels(scene: Scene) {
    let api: Api<Namespace> = Api::all(scene.client);
    let object = from(json!({ "metadata": { "name": "a.b" } }));
    let made = api.create(&PostParams::default(), &object).await;
    let message = "Namespace \"a.b\" is invalid: metadata.name: Invalid value: \"a.b\": must not \
                   contain dots";
    refused(made, 422, "Invalid", message);
}
