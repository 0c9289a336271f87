//! What only the in-memory cluster has: faults, counts, a bounded history.

#![cfg(test)]

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, WatchEvent,
    WatchParams,
};
use kube::{CustomResource, CustomResourceExt, ResourceExt};
use kube_memory::{Fault, MemoryCluster, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::pin::pin;

#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[kube(group = "test.kube-memory.dev", version = "v1", kind = "Gadget", namespaced)]
struct GadgetSpec {
    size: u32,
    note: Option<String>,
}

fn config_map(name: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
        ..ConfigMap::default()
    }
}

#[tokio::test]
async fn registered_kinds_are_served() {
    let cluster = MemoryCluster::new();
    cluster.register(&Gadget::crd()).unwrap();
    cluster.register(&Gadget::crd()).unwrap();
    let api: Api<Gadget> = Api::default_namespaced(cluster.client("default"));
    let gadget = Gadget::new("a", GadgetSpec { size: 1, note: None });
    let made = api.create(&PostParams::default(), &gadget).await.unwrap();
    assert_eq!((made.spec.size, made.spec.note, made.metadata.generation), (1, None, Some(1)));
    let error = cluster.register(&CustomResourceDefinition::default()).unwrap_err();
    assert!(error.to_string().contains("name or generateName is required"), "{error}");
}

#[tokio::test]
async fn faults_strike_before_or_after() {
    let cluster = MemoryCluster::new();
    let faulty = cluster.with_faults(|request| match request.name.as_deref() {
        _ if request.verb != Verb::Delete => None,
        Some("before") => Some(Fault::status(500, "InternalError", "no luck")),
        Some("after") => Some(Fault::reset().after_the_write()),
        _ => None,
    });
    let api: Api<ConfigMap> = Api::default_namespaced(faulty.client("default"));
    for name in ["before", "after"] {
        api.create(&PostParams::default(), &config_map(name)).await.unwrap();
        let error = api.delete(name, &DeleteParams::default()).await.unwrap_err();
        assert_eq!(matches!(error, kube::Error::Api(_)), name == "before", "{error:?}");
    }
    let left = api.list(&ListParams::default()).await.unwrap().items;
    assert_eq!(left.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["before"]);
}

#[tokio::test]
async fn requests_and_changes_are_counted() {
    let cluster = MemoryCluster::new();
    let api: Api<ConfigMap> = Api::default_namespaced(cluster.client("default"));
    let before = cluster.writes();
    let made = api.create(&PostParams::default(), &config_map("a")).await.unwrap();
    api.replace("a", &PostParams::default(), &made).await.unwrap();
    api.get("a").await.unwrap();
    assert_eq!(cluster.writes() - before, 1);
    let requests = cluster.requests();
    let verbs: Vec<_> = requests.iter().map(|request| request.verb).collect();
    assert_eq!(verbs, [Verb::Create, Verb::Update, Verb::Get]);
    assert_eq!(
        (requests[1].resource.as_str(), requests[1].name.as_deref()),
        ("configmaps", Some("a"))
    );
    assert_eq!(cluster.request_count(), 3);
}

#[tokio::test]
async fn a_slow_watch_loses_its_place() {
    let cluster = MemoryCluster::with_history(8);
    let api: Api<ConfigMap> = Api::default_namespaced(cluster.client("default"));
    let params = WatchParams::default();
    let mut slow = pin!(api.watch(&params, "1").await.unwrap());
    for index in 0..20 {
        api.create(&PostParams::default(), &config_map(&format!("a{index}"))).await.unwrap();
    }
    match slow.next().await.unwrap().unwrap() {
        WatchEvent::Error(status) => {
            assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
            assert!(status.message.starts_with("too old resource version: "));
        }
        other => panic!("{other:?}"),
    }
    assert!(slow.next().await.is_none());
    // So does one that begins too far back.
    let late: Vec<_> = api.watch(&params, "1").await.unwrap().try_collect().await.unwrap();
    assert!(matches!(late.as_slice(), [WatchEvent::Error(status)] if status.code == 410));
}

#[tokio::test(start_paused = true)]
async fn a_quiet_watch_sends_bookmarks() {
    let cluster = MemoryCluster::new();
    let client = cluster.client("default");
    let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let version =
        api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let params = WatchParams::default().timeout(250);
    let watch = api.watch(&params, &version).await.unwrap();
    // Other resources move on, and the bookmarks with them.
    let events: Api<Event> = Api::default_namespaced(client);
    let event: Event = serde_json::from_value(serde_json::json!({
        "metadata": { "name": "e" },
        "involvedObject": {},
    }))
    .unwrap();
    let newest = events.create(&PostParams::default(), &event).await.unwrap();
    let seen: Vec<_> = watch.try_collect().await.unwrap();
    assert_eq!(seen.len(), 5);
    for event in seen {
        match event {
            WatchEvent::Bookmark(bookmark) => {
                assert_eq!(Some(bookmark.metadata.resource_version), newest.resource_version());
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn clones_share_their_state() {
    let cluster = MemoryCluster::new();
    let twin = cluster.clone();
    let namespaces: Api<Namespace> = Api::all(cluster.client("default"));
    namespaces.delete("kube-node-lease", &DeleteParams::default()).await.unwrap();
    let namespaces: Api<Namespace> = Api::all(twin.client("default"));
    assert_eq!(namespaces.get_opt("kube-node-lease").await.unwrap(), None);
}

#[tokio::test]
async fn without_update_managers_only_applies_leave_a_trace() {
    let cluster = MemoryCluster::new().without_update_managers();
    let api: Api<ConfigMap> = Api::default_namespaced(cluster.client("default"));
    let made = api.create(&PostParams::default(), &config_map("a")).await.unwrap();
    assert_eq!(made.metadata.managed_fields, None);
    let data = serde_json::json!({ "data": { "k": "v" } });
    let merged = api.patch("a", &PatchParams::default(), &Patch::Merge(&data)).await.unwrap();
    assert_eq!(merged.metadata.managed_fields, None);
    let applied = serde_json::json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": "a" },
        "data": { "other": "v" },
    });
    let applied = api.patch("a", &PatchParams::apply("painter"), &Patch::Apply(&applied)).await;
    let managers: Vec<_> = applied.unwrap().metadata.managed_fields.unwrap();
    let managers: Vec<_> = managers.into_iter().filter_map(|entry| entry.manager).collect();
    assert_eq!(managers, ["painter", "before-first-apply"]);
}

/// What is left of a ConfigMap after patches, or the refusals, without what differs by time.
async fn patched(cluster: &MemoryCluster, start: &ConfigMap, patches: &[Value]) -> Vec<Value> {
    let api: Api<ConfigMap> = Api::default_namespaced(cluster.client("default"));
    api.create(&PostParams::default(), start).await.unwrap();
    let mut seen = Vec::new();
    for patch in patches {
        let before = cluster.writes();
        let answer = api.patch("a", &PatchParams::default(), &Patch::Merge(patch)).await;
        let answer = answer.map_or_else(
            |error| json!(error.to_string()),
            |map| json!([map.data, map.binary_data, map.metadata.labels, map.immutable]),
        );
        let stored = api.get("a").await.unwrap();
        seen.push(json!([answer, stored.data, cluster.writes() - before]));
    }
    seen
}

#[tokio::test]
async fn entries_change_alike_with_and_without_accounts_of_owners() {
    let plain: ConfigMap = ConfigMap {
        data: Some([("k".into(), "v\"\n\u{1}é".into()), ("other".into(), "".into())].into()),
        ..config_map("a")
    };
    let binary = ConfigMap {
        binary_data: Some([("b".into(), ByteString(vec![1]))].into()),
        ..plain.clone()
    };
    let frozen = ConfigMap { immutable: Some(true), ..plain.clone() };
    let patches = [
        json!({"data": {"k": "2"}}),
        json!({"data": {"k": "2"}}),
        json!({"data": {"new": "\\ and \u{7f}"}}),
        json!({"data": {"k": null, "new": null, "never": null}}),
        json!({"data": {"bad key": "x"}}),
        json!({"data": {"b": "x"}}),
        json!({"data": {"n": 1}}),
        json!({"data": {}}),
        json!({"data": {"big": "x".repeat(1 << 20)}}),
        json!({"data": {"k": "3"}, "metadata": {"labels": {"l": "1"}}}),
        json!({"data": {"k": "4"}, "metadata": {"resourceVersion": "1"}}),
        json!({"data": null}),
        json!({"data": {"k": "5"}}),
        json!({"immutable": true}),
        json!({"data": {"k": "6"}}),
    ];
    for (name, start) in [("plain", plain), ("binary", binary), ("frozen", frozen)] {
        let with = patched(&MemoryCluster::new(), &start, &patches).await;
        let without =
            patched(&MemoryCluster::new().without_update_managers(), &start, &patches).await;
        for (index, patch) in patches.iter().enumerate() {
            assert_eq!(with[index], without[index], "{name}: {patch}");
        }
    }
}

#[tokio::test]
async fn objects_are_as_large_as_etcd_takes_or_as_they_like() {
    let large = |name: &str| {
        let container = json!({"name": "c", "image": "i", "command": ["x".repeat(2 << 20)]});
        let pod = json!({"metadata": {"name": name}, "spec": {"containers": [container]}});
        serde_json::from_value::<Pod>(pod).unwrap()
    };
    let cluster = MemoryCluster::new();
    let pods: Api<Pod> = Api::default_namespaced(cluster.client("default"));
    let refused = pods.create(&PostParams::default(), &large("a")).await.unwrap_err();
    assert!(refused.to_string().contains("request is too large"), "{refused}");
    let cluster = cluster.without_size_limit();
    let pods: Api<Pod> = Api::default_namespaced(cluster.client("default"));
    pods.create(&PostParams::default(), &large("a")).await.unwrap();
}
