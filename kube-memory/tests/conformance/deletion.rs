//! Deleting, finalizers and garbage collection.

use crate::cases;
use crate::scene::{Scene, eventually, from, refused, status, widget};
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::{Value, json};

cases! {
    delete_removes,
    delete_of_nothing_is_refused,
    delete_answers_with_the_object_for_some_kinds,
    delete_with_another_uid_is_refused,
    delete_of_an_old_version_is_refused,
    delete_with_dry_run_deletes_nothing,
    finalizers_hold_an_object,
    finalizers_cannot_join_a_deletion,
    finalizers_can_be_swapped_for_nothing_only,
    deleting_again_changes_nothing,
    marked_custom_objects_count_a_generation,
    collections_are_deleted_by_selector,
    dependents_go_after_their_owner,
    dependents_of_dependents_go_too,
    dependents_with_another_owner_stay,
    orphans_stay,
    blocking_dependents_go_first,
    foreground_without_dependents_is_quick,
    rings_of_owners_go,
    dependents_of_nobody_go,
    dependents_with_finalizers_hold_a_foreground_deletion,
    owners_of_unknown_kinds_hold,
    replacing_an_object_does_not_adopt,
}

fn object(name: &str, metadata: Value) -> ConfigMap {
    let mut metadata = metadata;
    metadata["name"] = json!(name);
    from(json!({ "metadata": metadata }))
}

async fn make(api: &Api<ConfigMap>, name: &str, metadata: Value) -> ConfigMap {
    api.create(&PostParams::default(), &object(name, metadata)).await.unwrap()
}

/// A reference to an owner.
fn owner(object: &ConfigMap, blocks: bool) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": object.name_any(),
        "uid": object.uid().unwrap(),
        "blockOwnerDeletion": blocks,
    })
}

async fn gone(api: &Api<ConfigMap>, name: &str) {
    eventually(&format!("{name} is gone"), async || {
        api.get_opt(name).await.unwrap().is_none().then_some(())
    })
    .await;
}

async fn release(api: &Api<ConfigMap>, name: &str) {
    let patch = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    api.patch(name, &PatchParams::default(), &patch).await.unwrap();
}

async fn delete_removes(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let made = make(&api, "a", json!({})).await;
    let answer =
        scene.send("DELETE", &format!("{}/a", api.resource_url()), Value::Null).await.unwrap();
    assert_eq!(answer["kind"], "Status");
    assert_eq!(answer["status"], "Success");
    assert_eq!(answer["details"], json!({ "name": "a", "kind": "configmaps", "uid": made.uid() }));
    assert_eq!(api.get_opt("a").await.unwrap(), None);
}

async fn delete_of_nothing_is_refused(scene: Scene) {
    let answer = scene.api::<ConfigMap>().delete("a", &DeleteParams::default()).await;
    refused(answer, 404, "NotFound", "configmaps \"a\" not found");
}

async fn delete_answers_with_the_object_for_some_kinds(scene: Scene) {
    let api = scene.api::<ServiceAccount>();
    let account = from(json!({ "metadata": { "name": "a" } }));
    let made = api.create(&PostParams::default(), &account).await.unwrap();
    let deleted = api.delete("a", &DeleteParams::default()).await.unwrap();
    assert_eq!(deleted.left().unwrap().uid(), made.uid());
}

fn only_if(uid: Option<&str>, version: Option<&str>) -> DeleteParams {
    DeleteParams::default().preconditions(Preconditions {
        uid: uid.map(str::to_owned),
        resource_version: version.map(str::to_owned),
    })
}

async fn delete_with_another_uid_is_refused(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let uid = make(&api, "a", json!({})).await.uid().unwrap();
    let answer = api.delete("a", &only_if(Some("other"), None)).await;
    let status = status(answer.unwrap_err());
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    assert!(
        status.message.contains(&uid) && status.message.contains("other"),
        "{}",
        status.message
    );
    api.delete("a", &only_if(Some(&uid), None)).await.unwrap();
}

async fn delete_of_an_old_version_is_refused(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let version = make(&api, "a", json!({})).await.resource_version().unwrap();
    let answer = api.delete("a", &only_if(None, Some("1"))).await;
    let status = status(answer.unwrap_err());
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    api.delete("a", &only_if(None, Some(&version))).await.unwrap();
}

async fn delete_with_dry_run_deletes_nothing(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let made = make(&api, "a", json!({})).await;
    api.delete("a", &DeleteParams::default().dry_run()).await.unwrap();
    assert_eq!(api.get("a").await.unwrap(), made);
}

async fn finalizers_hold_an_object(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let made = make(&api, "a", json!({ "finalizers": ["test.dev/a", "test.dev/b"] })).await;
    let answer = api.delete("a", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert!(answer.metadata.deletion_timestamp.is_some());
    assert_eq!(answer.metadata.deletion_grace_period_seconds, Some(0));
    assert_ne!(answer.resource_version(), made.resource_version());
    let patch = Patch::Merge(json!({ "metadata": { "finalizers": ["test.dev/b"] } }));
    let after = api.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(after.finalizers(), ["test.dev/b"]);
    release(&api, "a").await;
    assert_eq!(api.get_opt("a").await.unwrap(), None);
}

async fn finalizers_cannot_join_a_deletion(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    make(&api, "a", json!({ "finalizers": ["test.dev/a"] })).await;
    api.delete("a", &DeleteParams::default()).await.unwrap();
    let patch = Patch::Merge(json!({ "metadata": { "finalizers": ["test.dev/a", "test.dev/b"] } }));
    let after = api.patch("a", &PatchParams::default(), &patch).await;
    let message = "ConfigMap \"a\" is invalid: metadata.finalizers: Forbidden: no new finalizers \
                   can be added if the object is being deleted, found new finalizers \
                   []string{\"test.dev/b\"}";
    refused(after, 422, "Invalid", message);
    release(&api, "a").await;
}

async fn finalizers_can_be_swapped_for_nothing_only(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    make(&api, "a", json!({ "finalizers": ["test.dev/a"] })).await;
    api.delete("a", &DeleteParams::default()).await.unwrap();
    // The mark stays, whatever an update says.
    let patch = Patch::Merge(json!({ "metadata": { "deletionTimestamp": null } }));
    let after = api.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert!(after.metadata.deletion_timestamp.is_some());
    release(&api, "a").await;
}

async fn deleting_again_changes_nothing(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    make(&api, "a", json!({ "finalizers": ["test.dev/a"] })).await;
    let first = api.delete("a", &DeleteParams::default()).await.unwrap().left().unwrap();
    let again = api.delete("a", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert_eq!(first, again);
    release(&api, "a").await;
}

async fn marked_custom_objects_count_a_generation(scene: Scene) {
    let api = scene.widgets().await;
    let fields = json!({ "spec": { "size": 1 }, "metadata": { "finalizers": ["test.dev/a"] } });
    api.create(&PostParams::default(), &widget("a", fields)).await.unwrap();
    let answer = api.delete("a", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert_eq!(answer.metadata.generation, Some(2));
    let patch = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    api.patch("a", &PatchParams::default(), &patch).await.unwrap();
}

async fn collections_are_deleted_by_selector(scene: Scene) {
    let api = scene
        .config_maps(&[("a", json!({ "x": "1" })), ("b", json!({ "x": "1" })), ("c", json!({}))])
        .await;
    let params = ListParams::default().labels("x=1");
    api.delete_collection(&DeleteParams::default(), &params).await.unwrap();
    let left = api.list(&ListParams::default().labels("case")).await.unwrap();
    assert_eq!(left.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["c"]);
}

async fn dependents_go_after_their_owner(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let top = make(&api, "top", json!({})).await;
    let secrets = scene.api::<Secret>();
    let secret =
        from(json!({ "metadata": { "name": "a", "ownerReferences": [owner(&top, false)] } }));
    secrets.create(&PostParams::default(), &secret).await.unwrap();
    api.delete("top", &DeleteParams::background()).await.unwrap();
    eventually("the dependent is gone", async || {
        secrets.get_opt("a").await.unwrap().is_none().then_some(())
    })
    .await;
}

async fn dependents_of_dependents_go_too(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let mut last = make(&api, "a0", json!({})).await;
    for index in 1..4 {
        let metadata = json!({ "ownerReferences": [owner(&last, false)] });
        last = make(&api, &format!("a{index}"), metadata).await;
    }
    api.delete("a0", &DeleteParams::default()).await.unwrap();
    gone(&api, "a3").await;
}

async fn dependents_with_another_owner_stay(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let (one, two) = (make(&api, "one", json!({})).await, make(&api, "two", json!({})).await);
    let owners = json!({ "ownerReferences": [owner(&one, false), owner(&two, false)] });
    make(&api, "a", owners).await;
    api.delete("one", &DeleteParams::default()).await.unwrap();
    eventually("one owner is left", async || {
        let owners = api.get("a").await.unwrap().owner_references().to_vec();
        (owners.len() == 1 && owners[0].name == "two").then_some(())
    })
    .await;
    api.delete("two", &DeleteParams::default()).await.unwrap();
    gone(&api, "a").await;
}

async fn orphans_stay(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let top = make(&api, "top", json!({})).await;
    make(&api, "a", json!({ "ownerReferences": [owner(&top, true)] })).await;
    api.delete("top", &DeleteParams::orphan()).await.unwrap();
    gone(&api, "top").await;
    let orphan = api.get("a").await.unwrap();
    assert!(orphan.owner_references().is_empty());
    assert!(orphan.metadata.deletion_timestamp.is_none());
}

async fn blocking_dependents_go_first(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let top = make(&api, "top", json!({})).await;
    let below = json!({ "ownerReferences": [owner(&top, true)], "finalizers": ["test.dev/a"] });
    make(&api, "below", below).await;
    let answer = api.delete("top", &DeleteParams::foreground()).await.unwrap().left().unwrap();
    assert_eq!(answer.finalizers(), ["foregroundDeletion"]);
    assert!(answer.metadata.deletion_timestamp.is_some());
    eventually("the dependent is marked", async || {
        api.get("below").await.unwrap().metadata.deletion_timestamp
    })
    .await;
    assert!(api.get_opt("top").await.unwrap().is_some());
    release(&api, "below").await;
    gone(&api, "below").await;
    gone(&api, "top").await;
}

async fn foreground_without_dependents_is_quick(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    make(&api, "a", json!({})).await;
    api.delete("a", &DeleteParams::foreground()).await.unwrap();
    gone(&api, "a").await;
}

async fn rings_of_owners_go(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let a = make(&api, "a", json!({})).await;
    let b = make(&api, "b", json!({ "ownerReferences": [owner(&a, true)] })).await;
    let patch = Patch::Merge(json!({ "metadata": { "ownerReferences": [owner(&b, true)] } }));
    api.patch("a", &PatchParams::default(), &patch).await.unwrap();
    api.delete("a", &DeleteParams::foreground()).await.unwrap();
    gone(&api, "a").await;
    gone(&api, "b").await;
}

async fn dependents_of_nobody_go(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let reference =
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": "nobody", "uid": "no-such-uid" });
    make(&api, "a", json!({ "ownerReferences": [reference] })).await;
    gone(&api, "a").await;
}

async fn dependents_with_finalizers_hold_a_foreground_deletion(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let top = make(&api, "top", json!({})).await;
    let below = json!({ "ownerReferences": [owner(&top, false)], "finalizers": ["test.dev/a"] });
    make(&api, "below", below).await;
    api.delete("top", &DeleteParams::foreground()).await.unwrap();
    // A dependent that does not block is left behind, marked.
    gone(&api, "top").await;
    eventually("the dependent is marked", async || {
        api.get("below").await.unwrap().metadata.deletion_timestamp
    })
    .await;
    release(&api, "below").await;
}

async fn owners_of_unknown_kinds_hold(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let reference =
        json!({ "apiVersion": "wombat.dev/v1", "kind": "Wombat", "name": "w", "uid": "u" });
    make(&api, "a", json!({ "ownerReferences": [reference] })).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(api.get_opt("a").await.unwrap().is_some());
}

async fn replacing_an_object_does_not_adopt(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let old = make(&api, "top", json!({})).await;
    api.delete("top", &DeleteParams::default()).await.unwrap();
    let new = make(&api, "top", json!({})).await;
    assert_ne!(old.uid(), new.uid());
    make(&api, "a", json!({ "ownerReferences": [owner(&old, false)] })).await;
    gone(&api, "a").await;
}
