//! Ring 3: the same reconcilers against a real API server, with its garbage collector.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, LimitRange, Namespace};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt as _};
use relay_core::Value;
use relay_model::annotation;
use relay_model::tekton::{CustomRun, PipelineRun};
use relay_model::v1beta1::{Condition, RunStatus, Tenant};
use serde_json::json;

use crate::tekton::{Ending, Tekton, data};
use crate::world::{World, summary};

#[tokio::test]
#[ignore = "needs the API server of $KUBECONFIG"]
async fn a_run_on_a_real_api_server() {
    let world = World::real().await;
    world.create_tenant("demo").await;
    let answer = json!({"$fn.equals": [{"$type": "Answer", "askRef": "ok", "name": "approval"}, "approved"]});
    let steps = json!([
        {"name": "build", "image": "i", "input": ["x"], "spec": {"to": "${parameters.who}"}},
        {"name": "ok", "image": "", "dependsOn": ["build"], "when": [answer]},
        {"name": "deploy", "image": "i", "dependsOn": ["ok"], "when": "${outputs.build.go == 'yes'}"},
        {"name": "bad", "image": "i"},
        {"name": "clean", "image": "i", "dependsOn": ["bad"], "when": "${steps.bad.failed}"},
    ]);
    world.create_workflow("w", steps).await;
    world.create_run("run-1", "w").await;
    let nulls = Value::from_json(r#"{"a":null,"l":[1,null,{"b":null}]}"#).unwrap();
    let outputs = [("go".to_owned(), Value::from("yes")), ("nulls".to_owned(), nulls.clone())];
    let go = Ending { outputs: outputs.into(), ..Ending::default() };
    let mut tekton = Tekton::new(world.client.clone())
        .ending("build", go)
        .ending("bad", Ending { exit_code: 2, ..Ending::default() });
    let asks = |status: &RunStatus| {
        status.condition("Completed").and_then(|c| c.reason.as_deref())
            == Some("WaitingForApproval")
    };
    world.until("run-1", &mut tekton, asks).await;

    let immutable: Api<ConfigMap> = Api::default_namespaced(world.client.clone());
    assert_eq!(immutable.get("run-1-immutable").await.unwrap().immutable, Some(true));
    let pipelines: Api<PipelineRun> = Api::default_namespaced(world.client.clone());
    let pipeline = pipelines.get("run-1").await.unwrap();
    assert_eq!(pipeline.labels()[annotation::RUN_ID], "run-1");
    assert_eq!(pipeline.owner_references()[0].name, "run-1-immutable");

    let patch = json!({"spec": {"state": {"steps": {"ok": {"approval": "approved"}}}}});
    world.runs().patch("run-1", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    let status = world.finish("run-1", &mut tekton).await;
    assert_eq!(
        summary(&status),
        [
            "build: True Succeeded",
            "ok: True Approved",
            "deploy: True Succeeded",
            "bad: False Failed",
            "clean: True Succeeded",
            "run: False StepFailed",
        ]
    );
    assert_eq!(status.steps[0].outputs[1].value, nulls);
    assert!(!data(&world.client, "run-1-mutable").await.is_empty());

    // Nothing is written any more, and deleting the run takes everything along.
    let version = world.runs().get("run-1").await.unwrap().resource_version();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.runs().get("run-1").await.unwrap().resource_version(), version);
    world.runs().delete("run-1", &DeleteParams::default()).await.unwrap();
    let gates: Api<CustomRun> = Api::default_namespaced(world.client.clone());
    for _ in 0..600 {
        let run = world.runs().get_opt("run-1").await.unwrap().is_some();
        let maps = immutable.list(&ListParams::default().labels(annotation::RUN_ID)).await.unwrap();
        let gates = gates.list(&ListParams::default()).await.unwrap().items;
        let pipeline = pipelines.get_opt("run-1").await.unwrap().is_some();
        if !run && maps.items.is_empty() && gates.is_empty() && !pipeline {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("something is left");
}

#[tokio::test]
#[ignore = "needs the API server of $KUBECONFIG"]
async fn a_tenant_on_a_real_api_server() {
    let world = World::real().await;
    let target = format!("{}-acme", world.client.default_namespace());
    let spec = json!({"namespaceTemplate": {"metadata": {"name": target}}});
    world.create_tenant_of("t", spec).await;
    let tenants: Api<Tenant> = Api::default_namespaced(world.client.clone());
    let ready = |tenant: Option<&Tenant>| {
        let status = tenant.and_then(|tenant| tenant.status.as_ref());
        status.is_some_and(|status| {
            Condition::find(&status.conditions, "Ready").is_some_and(Condition::is_true)
        })
    };
    kube::runtime::wait::await_condition(tenants.clone(), "t", ready).await.unwrap();

    // What the server makes of the objects is what was wanted: looking again writes nothing.
    let versions = versions(&world.client, &target).await;
    assert_eq!(versions.len(), 7);
    for _ in 0..3 {
        let tenant = tenants.get("t").await.unwrap().into();
        relay_reconcile::tenant::reconcile(tenant, &world.context).await.unwrap();
    }
    assert_eq!(self::versions(&world.client, &target).await, versions);

    // A way out that somebody opened is closed again.
    let network: Api<NetworkPolicy> = Api::namespaced(world.client.clone(), &target);
    let open = Patch::Merge(json!({"spec": {"egress": [{}]}}));
    network.patch("t-default", &PatchParams::default(), &open).await.unwrap();
    let tenant = tenants.get("t").await.unwrap().into();
    relay_reconcile::tenant::reconcile(tenant, &world.context).await.unwrap();
    assert_eq!(network.get("t-default").await.unwrap().spec.unwrap().egress, None);

    tenants.delete("t", &DeleteParams::default()).await.unwrap();
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    for _ in 0..600 {
        let tenant = tenants.get_opt("t").await.unwrap();
        if tenant.is_none() && namespaces.get_opt(&target).await.unwrap().is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("something is left");
}

/// The versions of what a tenant was given, and of itself.
async fn versions(client: &Client, target: &str) -> Vec<String> {
    async fn all<K>(client: &Client, namespace: &str) -> Vec<String>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
        K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(client.clone(), namespace);
        let all = api.list(&ListParams::default()).await.unwrap().items;
        let ours = all.into_iter().filter(|object| {
            object.annotations().contains_key(annotation::DEPENDENCY_OF) || K::kind(&()) == "Tenant"
        });
        ours.map(|object| format!("{} {}", object.name_any(), object.resource_version().unwrap()))
            .collect()
    }
    let own = client.default_namespace();
    let mut versions = all::<RoleBinding>(client, own).await;
    versions.extend(all::<Tenant>(client, own).await);
    versions.extend(all::<RoleBinding>(client, target).await);
    versions.extend(all::<NetworkPolicy>(client, target).await);
    versions.extend(all::<LimitRange>(client, target).await);
    versions
}
