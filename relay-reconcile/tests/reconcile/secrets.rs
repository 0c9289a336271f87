//! Secrets that are missing, appear and change, and who goes on at once when they do.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube_memory::Verb;
use relay_model::v1beta1::{Condition, Tenant};
use serde_json::json;

use crate::tekton::Tekton;
use crate::world::{World, summary};

/// Well below the time after which a tenant (10 s) or a run (5 s) is looked at in any case.
const AT_ONCE: Duration = Duration::from_secs(3);

fn sink(secret: &str) -> serde_json::Value {
    let key = json!({"name": secret, "key": "token"});
    json!({"api": {"url": "http://sink", "tokenFrom": {"secretKeyRef": key}}})
}

fn secret(name: &str, key: &str) -> serde_json::Value {
    json!({"metadata": {"name": name}, "stringData": {key: "t"}})
}

/// Waits until a condition of the tenant has this reason.
async fn reason(world: &World, kind: &str, wanted: &str) {
    let api: Api<Tenant> = Api::default_namespaced(world.client.clone());
    let look = async {
        loop {
            let conditions = api.get("demo").await.unwrap().status.unwrap_or_default().conditions;
            let condition = Condition::find(&conditions, kind);
            if condition.and_then(|condition| condition.reason.as_deref()) == Some(wanted) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let seen = tokio::time::timeout(AT_ONCE, look).await;
    seen.unwrap_or_else(|_| panic!("{kind} did not become {wanted} at once"));
}

fn secrets(world: &World) -> Api<Secret> {
    Api::default_namespaced(world.client.clone())
}

async fn patch_secret(world: &World, name: &str, patch: serde_json::Value) {
    let patch = Patch::Merge(patch);
    secrets(world).patch(name, &PatchParams::default(), &patch).await.unwrap();
}

#[tokio::test]
async fn a_tenant_notices_what_happens_to_the_secret_of_its_sink() {
    let world = World::running();
    world.create_tenant_of("demo", json!({"triggerEventSink": sink("s")})).await;
    reason(&world, "EventSinkReady", "EventSinkNotConfigured").await;
    world.create_secret("default", secret("s", "other")).await;
    // Without the key it is as good as missing.
    patch_secret(&world, "s", json!({"stringData": {"token": "t"}})).await;
    reason(&world, "EventSinkReady", "EventSinkReady").await;
    patch_secret(&world, "s", json!({"data": {"token": null}})).await;
    reason(&world, "EventSinkReady", "EventSinkNotConfigured").await;
    patch_secret(&world, "s", json!({"stringData": {"token": "t"}})).await;
    reason(&world, "EventSinkReady", "EventSinkReady").await;
    secrets(&world).delete("s", &DeleteParams::default()).await.unwrap();
    reason(&world, "Ready", "Error").await;
}

#[tokio::test]
async fn a_run_does_not_wait_for_the_secret_of_a_sink_and_its_tenant_notices_it() {
    let world = World::running();
    world.create_tenant_of("demo", json!({"workflowExecutionSink": sink("s")})).await;
    reason(&world, "WorkflowExecutionSinkReady", "WorkflowExecutionSinkNotConfigured").await;
    world.create_workflow("w", json!([{"name": "a", "image": "i", "input": ["x"]}])).await;
    world.create_run("r", "w").await;
    let status = world.finish("r", &mut Tekton::new(world.client.clone())).await;
    assert_eq!(summary(&status), ["a: True Succeeded", "run: True"]);
    world.create_secret("default", secret("s", "token")).await;
    reason(&world, "WorkflowExecutionSinkReady", "WorkflowExecutionSinkReady").await;
}

/// How often tenants were reconciled.
fn reconciles(world: &World) -> f64 {
    let page = world.context.telemetry.metrics.encode().unwrap();
    let of_tenants =
        |line: &&str| line.contains("reconciles_total{") && line.contains("\"tenant\"");
    let counts = page.lines().filter(of_tenants).filter_map(|line| line.rsplit(' ').next());
    counts.map(|count| count.parse::<f64>().unwrap()).sum()
}

/// The number of reconciles, once there are no more.
async fn settled(world: &World) -> f64 {
    let mut before = reconciles(world);
    loop {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let now = reconciles(world);
        if now == before {
            return now;
        }
        before = now;
    }
}

#[tokio::test]
async fn nobody_else_s_secrets_are_watched() {
    let mut world = World::still();
    let asked = Arc::<Mutex<Vec<_>>>::default();
    let seen = Arc::clone(&asked);
    let cluster = world.cluster.with_faults(move |request| {
        if request.resource == "secrets" && request.verb != Verb::Create {
            let place = (request.verb, request.namespace.clone(), request.name.clone());
            seen.lock().unwrap().push(place);
        }
        None
    });
    world.start_on(cluster.client("default"));
    let spec = json!({"triggerEventSink": sink("one"), "workflowExecutionSink": sink("two")});
    world.create_tenant_of("demo", spec).await;
    // No name that a Secret can have, but a selector of all of them.
    world.create_tenant_of("sly", json!({"triggerEventSink": sink("one,metadata.name!=x")})).await;
    reason(&world, "Ready", "Error").await;
    settled(&world).await;
    for (verb, namespace, name) in asked.lock().unwrap().iter() {
        let everywhere = namespace.is_none();
        assert!(!everywhere, "{verb:?} of {name:?} in all namespaces");
    }

    world.create_secret("default", secret("unnamed", "token")).await;
    let before = settled(&world).await;
    patch_secret(&world, "unnamed", json!({"stringData": {"token": "u"}})).await;
    assert_eq!(settled(&world).await, before, "nobody names that one");
    world.create_secret("default", secret("one", "token")).await;
    world.create_secret("default", secret("two", "token")).await;
    reason(&world, "Ready", "Ready").await;

    // What is not named any more is not watched any more, and neither is what a tenant named that
    // is gone.
    let tenants: Api<Tenant> = Api::default_namespaced(world.client.clone());
    let patch = Patch::Merge(json!({"spec": {"triggerEventSink": null}}));
    tenants.patch("demo", &PatchParams::default(), &patch).await.unwrap();
    reason(&world, "EventSinkReady", "EventSinkMissing").await;
    let before = settled(&world).await;
    patch_secret(&world, "one", json!({"stringData": {"token": "v"}})).await;
    assert_eq!(settled(&world).await, before, "the tenant named it once");
    patch_secret(&world, "two", json!({"stringData": {"token": "v"}})).await;
    assert!(settled(&world).await > before, "the tenant names it");
    tenants.delete("demo", &DeleteParams::default()).await.unwrap();
    let before = settled(&world).await;
    patch_secret(&world, "two", json!({"stringData": {"token": "w"}})).await;
    assert_eq!(settled(&world).await, before, "the tenant is gone");
}
