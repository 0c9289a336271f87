//! A tenant and a run, from their beginning to their deletion.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, DynamicObject, ListParams};
use kube::{Api, ResourceExt as _};
use relay_model::annotation;
use relay_model::tekton::PipelineRun;
use relay_model::v1beta1::{Condition, RunStatus, Tenant};
use serde_json::json;

use crate::world::{SYSTEM, World, eventually, may};

#[tokio::test]
#[ignore = "needs the API server of $KUBECONFIG"]
async fn a_tenant_and_a_run_as_the_operator_s_own_account() {
    let world = World::new().await;
    let runs_in = format!("{}-runs", world.namespace);
    let operator = world.operator();
    operator.says("admission of pods is off: no webhook is served");
    operator.says("this replica leads");
    assert_eq!(operator.get("/readyz").as_deref(), Some("ready\n"));
    assert_eq!(operator.get("/healthz").as_deref(), Some("ok\n"));
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), SYSTEM);
    for name in ["relay-signing-keys", "relay-verification-keys", "relay-seal-keys"] {
        assert!(!secrets.get(name).await.unwrap().data.unwrap().is_empty(), "{name}");
    }

    world
        .tenant(json!({"namespaceTemplate": {"metadata": {"name": runs_in, "labels": {"a": "b"}}}}))
        .await;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let made = eventually("the namespace is made", || async {
        namespaces.get_opt(&runs_in).await.unwrap()
    })
    .await;
    assert_eq!(made.labels()["a"], "b");
    assert_eq!(made.labels()[annotation::TENANT_WORKLOAD], "true");
    world.tenant_is_ready().await;

    // A run that comes before its workflow says so, and goes on by itself.
    world.run("r").await;
    let waits = |status: &RunStatus| {
        let completed = status.condition("Completed");
        completed.and_then(|condition| condition.reason.as_deref()) == Some("WorkflowNotFound")
    };
    world.until("r", waits).await;
    world.workflow().await;
    world.carry_out(&runs_in, "r").await;
    let run = world.until("r", RunStatus::is_completed).await;
    let status = run.status.clone().unwrap();
    assert!(status.condition("Succeeded").is_some_and(Condition::is_true), "{status:?}");
    assert!(run.finalizers().contains(&annotation::RUN_FINALIZER.to_owned()));

    let maps: Api<ConfigMap> = Api::namespaced(world.client.clone(), &runs_in);
    let immutable = maps.get("r-immutable").await.unwrap();
    assert_eq!(immutable.immutable, Some(true));
    let pipelines: Api<PipelineRun> = Api::namespaced(world.client.clone(), &runs_in);
    let pipeline = pipelines.get("r").await.unwrap();
    let mutable = maps.get("r-mutable").await.unwrap();
    for (labels, owners) in [
        (pipeline.labels(), pipeline.owner_references()),
        (mutable.labels(), mutable.owner_references()),
    ] {
        assert_eq!(labels[annotation::RUN_ID], "r");
        assert_eq!(owners[0].uid, immutable.uid().unwrap());
    }
    let text = serde_json::to_string(&pipeline).unwrap();
    let url = format!("http://relay-metadata-api.{SYSTEM}.svc.cluster.local");
    assert!(text.contains(&url), "{text}");
    assert!(text.contains("relay:v1:"), "the token is sealed: {text}");

    let events: Api<Event> = Api::namespaced(world.client.clone(), &world.namespace);
    let told = eventually("the end is told", || async {
        let events = events.list(&ListParams::default()).await.unwrap().items;
        let reasons: Vec<_> = events.into_iter().filter_map(|event| event.reason).collect();
        reasons.contains(&"Succeeded".to_owned()).then_some(reasons)
    })
    .await;
    assert!(told.contains(&"WorkflowNotFound".to_owned()), "{told:?}");
    assert_eq!(operator.metric("workflow_run_outcome_total{outcome=\"success\"}"), 1.0);
    let line = operator
        .log()
        .into_iter()
        .find(|line| line["object"] == format!("Run.v1beta1.relay.sh/r.{}", world.namespace));
    assert!(line.is_some(), "the log names the run: {:?}", operator.log());

    // From now on nothing is written, nor even looked at.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = (versions(&world, &runs_in).await, reconciles(&operator));
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!((versions(&world, &runs_in).await, reconciles(&operator)), before);

    world.runs().delete("r", &DeleteParams::default()).await.unwrap();
    eventually("the run and its objects are gone", || async {
        let run = world.runs().get_opt("r").await.unwrap().is_none();
        let maps = maps.list(&ListParams::default().labels(annotation::RUN_ID)).await.unwrap();
        let pipeline = pipelines.get_opt("r").await.unwrap().is_none();
        (run && maps.items.is_empty() && pipeline).then_some(())
    })
    .await;
    let tenants: Api<Tenant> = Api::namespaced(world.client.clone(), &world.namespace);
    tenants.delete("demo", &DeleteParams::default()).await.unwrap();
    eventually("the tenant is gone and its namespace goes", || async {
        let gone = tenants.get_opt("demo").await.unwrap().is_none();
        let namespace = namespaces.get_opt(&runs_in).await.unwrap();
        let goes = namespace.is_none_or(|found| found.metadata.deletion_timestamp.is_some());
        (gone && goes).then_some(())
    })
    .await;
    let (code, took) = operator.stop();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

/// A tenant with a run that goes on.
async fn with_a_run(runs_in: Option<&str>, world: &World) -> crate::process::Operator {
    let operator = world.operator();
    operator.says("this replica leads");
    world
        .tenant(runs_in.map_or_else(
            || json!({}),
            |name| json!({"namespaceTemplate": {"metadata": {"name": name}}}),
        ))
        .await;
    world.workflow().await;
    world.tenant_is_ready().await;
    world.run("r").await;
    world.until("r", |status| status.start_time.is_some()).await;
    operator
}

#[tokio::test]
#[ignore = "needs the API server of $KUBECONFIG"]
async fn a_run_goes_after_its_tenant() {
    let world = World::new().await;
    let _operator = with_a_run(None, &world).await;
    world.delete("tenant", "demo");
    // The rights in this namespace go with the tenant.
    crate::process::until("the rights are gone", || {
        let place = ["-n", &world.namespace];
        (!may("relay-operator", "get", "configmaps", &place)).then_some(())
    });
    world.delete("run", "r");
    for (kind, name) in
        [("configmap", "r-immutable"), ("configmap", "r-mutable"), ("pipelinerun", "r")]
    {
        world.gone(kind, name);
    }
}

#[tokio::test]
#[ignore = "needs the API server of $KUBECONFIG"]
async fn a_run_goes_after_the_namespace_that_was_made_for_its_tenant() {
    let world = World::new().await;
    let runs_in = format!("{}-runs", world.namespace);
    let _operator = with_a_run(Some(&runs_in), &world).await;
    world.delete("tenant", "demo");
    world.gone("namespace", &runs_in);
    world.delete("run", "r");
}

#[tokio::test]
#[ignore = "needs the API server of $KUBECONFIG"]
async fn a_namespace_goes_with_all_that_is_in_it() {
    for managed in [false, true] {
        let world = World::new().await;
        let runs_in = format!("{}-runs", world.namespace);
        let operator = with_a_run(managed.then_some(&*runs_in), &world).await;
        world.begin_deletion("namespace", &world.namespace);
        world.gone("namespace", &world.namespace);
        world.gone("namespace", &runs_in);
        assert!(operator.log().len() < 200, "it does not try in a hurry");
    }
}

#[tokio::test]
#[ignore = "needs the API server of $KUBECONFIG"]
async fn a_run_that_cannot_be_read_says_so_and_stops_no_other() {
    let world = World::new().await;
    world.tenant(json!({})).await;
    world.workflow().await;
    // The API server takes it; a list with it in it is read when the operator starts.
    let deep = format!("{}1{}", r#"{"a":"#.repeat(400), "}".repeat(400));
    world.create_from(&format!(
        r#"{{"apiVersion": "relay.sh/v1beta1", "kind": "Run", "metadata": {{"name": "deep"}},
            "spec": {{"workflowRef": {{"name": "w"}}, "parameters": {{"p": {deep}}}}}}}"#
    ));
    world.create_from(&format!(
        r#"{{"apiVersion": "relay.sh/v1beta1", "kind": "Workflow", "metadata": {{"name": "deep"}},
            "spec": {{"tenantRef": {{"name": "demo"}}, "steps": [
                {{"name": "s", "image": "i", "spec": {{"p": {deep}}}}}]}}}}"#
    ));
    let operator = world.operator();
    operator.says("this replica leads");
    world.run("good").await;
    world.carry_out(&world.namespace, "good").await;
    world.until("good", RunStatus::is_completed).await;
    let refused = || world.describe("run", "deep").contains("InvalidRun");
    crate::process::until("the run is refused", || refused().then_some(()));
    let log = format!("{:?}", operator.log());
    assert!(!log.contains(r#"{\\"a\\":{\\"a\\""#), "what cannot be read is not shown");
    world.delete("run", "deep");
}

fn reconciles(operator: &crate::process::Operator) -> [f64; 2] {
    ["run", "tenant"].map(|controller| {
        let labels = format!("{{controller=\"{controller}\",result=\"ok\"}}");
        operator.metric(&format!("relay_operator_reconciles_total{labels}"))
    })
}

/// The versions of everything that the operator writes, but for the Lease.
async fn versions(world: &World, runs_in: &str) -> Vec<String> {
    let kinds = [
        ("relay.sh/v1beta1", "Run", "runs"),
        ("relay.sh/v1beta1", "Tenant", "tenants"),
        ("v1", "ConfigMap", "configmaps"),
        ("v1", "Secret", "secrets"),
        ("v1", "ServiceAccount", "serviceaccounts"),
        ("tekton.dev/v1", "PipelineRun", "pipelineruns"),
        ("tekton.dev/v1", "TaskRun", "taskruns"),
        ("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings"),
        ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
        ("events.k8s.io/v1", "Event", "events"),
    ];
    let mut versions = Vec::new();
    for namespace in [runs_in, &world.namespace, SYSTEM] {
        for (api_version, kind, plural) in kinds {
            let types = kube::api::TypeMeta { api_version: api_version.into(), kind: kind.into() };
            let gvk = kube::core::GroupVersionKind::try_from(types).unwrap();
            let resource = kube::api::ApiResource::from_gvk_with_plural(&gvk, plural);
            let api: Api<DynamicObject> =
                Api::namespaced_with(world.client.clone(), namespace, &resource);
            for object in api.list(&ListParams::default()).await.unwrap() {
                let version = object.resource_version().unwrap();
                versions.push(format!("{kind} {namespace}/{} {version}", object.name_any()));
            }
        }
    }
    versions
}
