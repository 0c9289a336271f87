use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use relay_model::v1beta1::{Condition, Tenant};
use serde_json::json;

use crate::world::World;

async fn create(world: &World, spec: serde_json::Value) -> Api<Tenant> {
    let api: Api<Tenant> = Api::default_namespaced(world.client.clone());
    let tenant = Tenant::new("t", serde_json::from_value(spec).unwrap());
    api.create(&PostParams::default(), &tenant).await.unwrap();
    api
}

async fn reason(api: &Api<Tenant>, kind: &str, wanted: &str) -> Tenant {
    for _ in 0..1_000 {
        let tenant = api.get("t").await.unwrap();
        let conditions = tenant.status.as_ref().map(|s| s.conditions.clone()).unwrap_or_default();
        let condition = Condition::find(&conditions, kind);
        if condition.and_then(|condition| condition.reason.as_deref()) == Some(wanted) {
            return tenant;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("{kind} never became {wanted}: {:?}", api.get("t").await.unwrap().status);
}

#[tokio::test]
async fn conditions() {
    let named = |name: &str| json!({"namespaceTemplate": {"metadata": {"name": name}}});
    let sink = |api: serde_json::Value| json!({"triggerEventSink": {"api": api}});
    for (name, spec, kind, expected) in [
        ("unmanaged", json!({}), "Ready", "Ready"),
        ("managed", named("acme"), "NamespaceReady", "NamespaceReady"),
        ("a namespace of somebody else", named("taken"), "NamespaceReady", "NamespaceConflict"),
        ("default", named("default"), "NamespaceReady", "NamespaceReserved"),
        ("of the system", named("kube-system"), "NamespaceReady", "NamespaceReserved"),
        ("no sink", json!({}), "EventSinkReady", "EventSinkMissing"),
        ("no URL", sink(json!({"url": ""})), "EventSinkReady", "EventSinkNotConfigured"),
        ("no token", sink(json!({"url": "http://s"})), "EventSinkReady", "EventSinkNotConfigured"),
        (
            "a token",
            sink(json!({"url": "http://s", "token": "t"})),
            "EventSinkReady",
            "EventSinkReady",
        ),
        (
            "a token in a Secret",
            sink(
                json!({"url": "http://s", "tokenFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}),
            ),
            "EventSinkReady",
            "EventSinkReady",
        ),
        (
            "a missing key",
            sink(
                json!({"url": "http://s", "tokenFrom": {"secretKeyRef": {"name": "s", "key": "x"}}}),
            ),
            "EventSinkReady",
            "EventSinkNotConfigured",
        ),
    ] {
        let world = World::running();
        let namespaces: Api<Namespace> = Api::all(world.client.clone());
        let taken: Namespace =
            serde_json::from_value(json!({"metadata": {"name": "taken"}})).unwrap();
        namespaces.create(&PostParams::default(), &taken).await.unwrap();
        let secrets: Api<Secret> = Api::default_namespaced(world.client.clone());
        let secret = json!({"metadata": {"name": "s"}, "stringData": {"k": "t"}});
        let secret: Secret = serde_json::from_value(secret).unwrap();
        secrets.create(&PostParams::default(), &secret).await.unwrap();
        let api = create(&world, spec).await;
        println!("{name}");
        reason(&api, kind, expected).await;
    }
}

#[tokio::test]
async fn a_managed_namespace_moves_and_goes_with_its_tenant() {
    let world = World::running();
    let template = |name: &str| json!({"namespaceTemplate": {"metadata": {"name": name, "labels": {"team": "a"}}}});
    let api = create(&world, template("one")).await;
    reason(&api, "Ready", "Ready").await;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let one = namespaces.get("one").await.unwrap();
    assert_eq!(one.labels()["team"], "a");
    assert_eq!(one.labels()["controller.relay.sh/tenant-workload"], "true");
    let gone = async |name: &str| {
        for _ in 0..1_000 {
            if namespaces.get_opt(name).await.unwrap().is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("{name} is still there");
    };
    let patch = json!({"spec": template("two")});
    api.patch("t", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    gone("one").await;
    for _ in 0..1_000 {
        let status = api.get("t").await.unwrap().status.unwrap_or_default();
        if status.namespace.as_deref() == Some("two") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    api.delete("t", &DeleteParams::default()).await.unwrap();
    gone("two").await;
}
