//! What differs between kinds: the status, what the server fills in, discovery.

use crate::cases;
use crate::scene::{Scene, eventually, from, refused, status, widget};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::ResourceExt;
use kube::api::PostParams;
use kube::core::{DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

cases! {
    status_update_changes_nothing_else,
    status_update_without_change_keeps_the_version,
    status_update_of_an_old_version_is_refused,
    status_of_a_kind_without_status_is_not_found,
    pod_status_may_be_set,
    pods_can_be_found_by_address,
    secret_texts_become_data,
    secret_type_is_opaque_by_default,
    network_policy_types_follow_from_the_rules,
    role_bindings_name_the_group,
    role_names_may_have_colons,
    empty_lists_and_maps_are_not_stored,
    discovery_lists_kinds,
    discovery_runs_through,
}

async fn made_widget(scene: &Scene) -> (kube::Api<DynamicObject>, DynamicObject) {
    let api = scene.widgets().await;
    let object = widget("a", json!({ "spec": { "size": 1 } }));
    let object = api.create(&PostParams::default(), &object).await.unwrap();
    (api, object)
}

async fn status_update_changes_nothing_else(scene: Scene) {
    let (api, mut object) = made_widget(&scene).await;
    object.data["spec"]["size"] = json!(2);
    object.labels_mut().insert("a".into(), "b".into());
    object.data["status"] = json!({ "phase": "x" });
    let after = api.replace_status("a", &PostParams::default(), &object).await.unwrap();
    assert_eq!(after.data["status"], json!({ "phase": "x" }));
    assert_eq!(after.data["spec"]["size"], 1);
    assert!(after.labels().is_empty());
    assert_eq!(after.metadata.generation, Some(1));
    let managers: Vec<_> = after.managed_fields().iter().map(|m| m.subresource.clone()).collect();
    assert_eq!(managers, [None, Some("status".into())]);
}

async fn status_update_without_change_keeps_the_version(scene: Scene) {
    let (api, mut object) = made_widget(&scene).await;
    object.data["status"] = json!({ "phase": "x" });
    let first = api.replace_status("a", &PostParams::default(), &object).await.unwrap();
    let again = api.replace_status("a", &PostParams::default(), &first).await.unwrap();
    assert_eq!(first.resource_version(), again.resource_version());
}

async fn status_update_of_an_old_version_is_refused(scene: Scene) {
    let (api, mut object) = made_widget(&scene).await;
    object.data["status"] = json!({ "phase": "x" });
    api.replace_status("a", &PostParams::default(), &object).await.unwrap();
    let again = api.replace_status("a", &PostParams::default(), &object).await;
    let message = "Operation cannot be fulfilled on widgets.test.kube-memory.dev \"a\": the object \
                   has been modified; please apply your changes to the latest version and try again";
    refused(again, 409, "Conflict", message);
}

async fn status_of_a_kind_without_status_is_not_found(scene: Scene) {
    let api = scene.config_maps(&[("a", json!({}))]).await;
    let path = format!("{}/a/status", api.resource_url());
    let status = scene.send("GET", &path, Value::Null).await.unwrap_err();
    assert_eq!(status.code, 404);
    assert_eq!(status.message, "the server could not find the requested resource");
}

fn pod(name: &str) -> Pod {
    from(json!({
        "metadata": { "name": name },
        "spec": { "containers": [{ "name": "main", "image": "example.test/image" }] },
    }))
}

async fn wait_for_account(scene: &Scene) {
    // The real server admits pods only once the namespace has its account, which its own
    // controller makes; here nobody does.
    let accounts = scene.api::<ServiceAccount>();
    let account = from(json!({ "metadata": { "name": "default" } }));
    let _ = accounts.create(&PostParams::default(), &account).await;
}

async fn pod_status_may_be_set(scene: Scene) {
    wait_for_account(&scene).await;
    let api = scene.api::<Pod>();
    let mut made = api.create(&PostParams::default(), &pod("a")).await.unwrap();
    assert_eq!(made.status.clone().unwrap().phase.as_deref(), Some("Pending"));
    made.status =
        from(json!({ "phase": "Running", "podIP": "10.0.0.1", "podIPs": [{ "ip": "10.0.0.1" }] }));
    made.labels_mut().insert("l".into(), "1".into());
    let after = api.replace_status("a", &PostParams::default(), &made).await.unwrap();
    assert_eq!(after.status.clone().unwrap().phase.as_deref(), Some("Running"));
    assert_eq!(after.labels()["l"], "1");
}

async fn pods_can_be_found_by_address(scene: Scene) {
    wait_for_account(&scene).await;
    let api = scene.api::<Pod>();
    for (name, ip) in [("a", "10.0.0.1"), ("b", "10.0.0.2")] {
        api.create(&PostParams::default(), &pod(name)).await.unwrap();
        let patch =
            json!({ "status": { "podIP": ip, "podIPs": [{ "ip": ip }], "phase": "Running" } });
        let patch = kube::api::Patch::Merge(patch);
        api.patch_status(name, &Default::default(), &patch).await.unwrap();
    }
    let params = kube::api::ListParams::default().fields("status.podIP=10.0.0.2");
    let found = api.list(&params).await.unwrap().items;
    assert_eq!(found.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["b"]);
    let params = kube::api::ListParams::default().fields("status.phase!=Running");
    assert_eq!(api.list(&params).await.unwrap().items.len(), 0);
}

async fn secret_texts_become_data(scene: Scene) {
    let object: Secret = from(json!({
        "metadata": { "name": "a" },
        "data": { "a": "MQ==", "b": "MQ==" },
        "stringData": { "b": "2" },
    }));
    let made = scene.api::<Secret>().create(&PostParams::default(), &object).await.unwrap();
    let data = made.data.unwrap();
    assert_eq!((data["a"].0.as_slice(), data["b"].0.as_slice()), (&b"1"[..], &b"2"[..]));
    assert_eq!(made.string_data, None);
}

async fn secret_type_is_opaque_by_default(scene: Scene) {
    let object: Secret = from(json!({ "metadata": { "name": "a" } }));
    let made = scene.api::<Secret>().create(&PostParams::default(), &object).await.unwrap();
    assert_eq!(made.type_.as_deref(), Some("Opaque"));
}

async fn network_policy_types_follow_from_the_rules(scene: Scene) {
    let api = scene.api::<NetworkPolicy>();
    for (name, spec, types) in [
        ("a", json!({ "podSelector": {} }), vec!["Ingress"]),
        ("b", json!({ "podSelector": {}, "egress": [{}] }), vec!["Ingress", "Egress"]),
        ("c", json!({ "podSelector": {}, "policyTypes": ["Egress"] }), vec!["Egress"]),
    ] {
        let object = from(json!({ "metadata": { "name": name }, "spec": spec }));
        let made = api.create(&PostParams::default(), &object).await.unwrap();
        assert_eq!(made.metadata.generation, Some(1));
        assert_eq!(made.spec.unwrap().policy_types.unwrap(), types, "{name}");
    }
}

async fn role_bindings_name_the_group(scene: Scene) {
    let api = scene.api::<RoleBinding>();
    let path = api.resource_url();
    let object = json!({
        "metadata": { "name": "a" },
        "roleRef": { "kind": "Role", "name": "r" },
        "subjects": [
            { "kind": "ServiceAccount", "name": "s", "namespace": scene.namespace },
            { "kind": "User", "name": "u" },
        ],
    });
    let made = scene.send("POST", path, object).await.unwrap();
    assert_eq!(made["roleRef"]["apiGroup"], "rbac.authorization.k8s.io");
    assert_eq!(made["subjects"][1]["apiGroup"], "rbac.authorization.k8s.io");
    let mut changed = api.get("a").await.unwrap();
    changed.role_ref.name = "other".into();
    let after = api.replace("a", &PostParams::default(), &changed).await;
    let status = status(after.unwrap_err());
    assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
    assert!(status.message.ends_with(": cannot change roleRef"), "{}", status.message);
}

async fn role_names_may_have_colons(scene: Scene) {
    let api = scene.api::<Role>();
    let object = from(json!({ "metadata": { "name": "a:b" }, "rules": [] }));
    api.create(&PostParams::default(), &object).await.unwrap();
    assert_eq!(api.get("a:b").await.unwrap().name_any(), "a:b");
}

async fn empty_lists_and_maps_are_not_stored(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let object = from(json!({
        "metadata": { "name": "a", "labels": {}, "finalizers": [], "ownerReferences": [] },
        "data": {},
    }));
    let made = api.create(&PostParams::default(), &object).await.unwrap();
    assert_eq!(made.data, None);
    assert_eq!(made.metadata.labels, None);
    assert_eq!(made.metadata.finalizers, None);
    assert_eq!(made.metadata.owner_references, None);
    let after = api.replace("a", &PostParams::default(), &object).await.unwrap();
    assert_eq!(after.resource_version(), made.resource_version());
}

async fn discovery_lists_kinds(scene: Scene) {
    scene.widgets().await;
    let list = scene.send("GET", "/api/v1", Value::Null).await.unwrap();
    let named = |name: &str| {
        let resources = list["resources"].as_array().unwrap();
        resources.iter().find(|resource| resource["name"] == name).cloned().unwrap()
    };
    assert_eq!(named("configmaps")["kind"], "ConfigMap");
    assert_eq!(named("configmaps")["namespaced"], true);
    assert_eq!(named("pods/status")["kind"], "Pod");
    // The real server tells of a new kind a moment after it serves it.
    let list = eventually("the kind is told of", async || {
        let path = "/apis/test.kube-memory.dev/v1";
        let list = scene.send("GET", path, Value::Null).await.ok()?;
        let resources = list["resources"].as_array()?;
        resources
            .iter()
            .any(|resource| resource["name"] == "widgets/status")
            .then_some(list.clone())
    })
    .await;
    assert_eq!(list["groupVersion"], "test.kube-memory.dev/v1");
    let status = scene.send("GET", "/apis/wombat.dev/v1", Value::Null).await.unwrap_err();
    assert_eq!(status.code, 404);
    assert_eq!(scene.client.apiserver_version().await.unwrap().major, "1");
}

async fn discovery_runs_through(scene: Scene) {
    scene.widgets().await;
    let gvk = GroupVersionKind::gvk("test.kube-memory.dev", "v1", "Widget");
    let (resource, capabilities) = eventually("the kind is told of", async || {
        let discovery = kube::Discovery::new(scene.client.clone()).run().await.unwrap();
        discovery.resolve_gvk(&gvk)
    })
    .await;
    assert_eq!(resource.plural, "widgets");
    assert_eq!(capabilities.scope, kube::discovery::Scope::Namespaced);
    let discovery = eventually("the kind is told of in one document", async || {
        let discovery = kube::Discovery::new(scene.client.clone()).run_aggregated().await.unwrap();
        discovery.resolve_gvk(&gvk).is_some().then_some(discovery)
    })
    .await;
    let namespaces = GroupVersionKind::gvk("", "v1", "Namespace");
    let (_, capabilities) = discovery.resolve_gvk(&namespaces).unwrap();
    assert_eq!(capabilities.scope, kube::discovery::Scope::Cluster);
}
