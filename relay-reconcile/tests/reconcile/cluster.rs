//! Ring 3: the same reconcilers against a real API server, with its garbage collector.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, LimitRange, Namespace};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
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
    network.patch("t", &PatchParams::default(), &open).await.unwrap();
    let tenant = tenants.get("t").await.unwrap().into();
    relay_reconcile::tenant::reconcile(tenant, &world.context).await.unwrap();
    assert_eq!(network.get("t").await.unwrap().spec.unwrap().egress, None);

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

#[tokio::test]
#[ignore = "needs the API server of $KUBECONFIG"]
async fn what_the_definitions_refuse() {
    let world = World::real().await;
    let reference = json!({"secretKeyRef": {"name": "s", "key": "k"}});
    let sink = |api: serde_json::Value| ("Tenant", json!({"triggerEventSink": {"api": api}}));
    let run = |spec: serde_json::Value| ("Run", spec);
    for (name, (kind, spec), refusal) in [
        ("a token", sink(json!({"url": "u", "token": "t"})), None),
        ("one in a Secret", sink(json!({"url": "u", "tokenFrom": reference})), None),
        ("no token", sink(json!({"url": "", "token": ""})), None),
        ("an empty one", sink(json!({"url": "u", "token": "", "tokenFrom": reference})), None),
        ("no other one", sink(json!({"url": "u", "token": "t", "tokenFrom": {}})), None),
        ("nothing", sink(json!({"url": "u", "token": null, "tokenFrom": reference})), None),
        ("two", sink(json!({"url": "u", "token": "t", "tokenFrom": reference})), Some("either in")),
        ("no URL", sink(json!({"token": "t"})), Some("url: Required")),
        (
            "no key",
            sink(json!({"url": "u", "tokenFrom": {"secretKeyRef": {"name": "s"}}})),
            Some("key: Required"),
        ),
        ("a run", run(json!({"workflowRef": {"name": "w"}, "parameters": {"p": null}})), None),
        ("no workflow", run(json!({"workflowRef": {}})), None),
        ("no reference", run(json!({})), Some("workflowRef: Required")),
    ] {
        let plural = format!("{}s", kind.to_lowercase());
        let gvk = kube::core::GroupVersionKind::gvk("relay.sh", "v1beta1", kind);
        let resource = kube::api::ApiResource::from_gvk_with_plural(&gvk, &plural);
        let api: Api<DynamicObject> = Api::default_namespaced_with(world.client.clone(), &resource);
        let object = DynamicObject::new("o", &resource).data(json!({ "spec": spec }));
        let params = PostParams { dry_run: true, ..PostParams::default() };
        match (api.create(&params, &object).await, refusal) {
            (Ok(_), None) => {}
            (Err(kube::Error::Api(status)), Some(refusal)) => {
                assert_eq!(status.code, 422, "{name}");
                assert!(status.message.contains(refusal), "{name}: {}", status.message);
            }
            (answer, _) => panic!("{name}: {answer:?}"),
        }
    }

    // A run keeps its workflow, and nothing else is held against it.
    world.create_run("r", "w").await;
    let merge = async |patch: serde_json::Value| {
        world.runs().patch("r", &PatchParams::default(), &Patch::Merge(&patch)).await
    };
    let state = json!({"spec": {"workflowRef": {"name": "w"}, "state": {"workflow": {"x": 1}}}});
    merge(state).await.unwrap();
    let refused = merge(json!({"spec": {"workflowRef": {"name": "v"}}})).await.unwrap_err();
    assert!(refused.to_string().contains("a run keeps its workflow"), "{refused}");
    // A status says nothing that nobody knows.
    let time = "2026-11-23T12:00:00Z";
    let condition =
        |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": time});
    for (status, refusal) in [
        (json!({"conditions": [condition("Skipped")]}), "Unsupported value"),
        (
            json!({"steps": [{"name": "a", "conditions": [condition("Ready")]}]}),
            "Unsupported value",
        ),
        (
            json!({"steps": [{"name": "a", "conditions": [condition("Skipped"), condition("Skipped")]}]}),
            "Duplicate value",
        ),
        (json!({"steps": [{"conditions": []}]}), "name: Required"),
    ] {
        let patch = Patch::Merge(json!({ "status": status }));
        let refused = world.runs().patch_status("r", &PatchParams::default(), &patch).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(refusal), "{refused}");
    }
}
