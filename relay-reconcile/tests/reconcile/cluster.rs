//! Ring 3: the same reconcilers against a real API server, with its garbage collector.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use relay_core::Value;
use relay_model::annotation;
use relay_model::tekton::{CustomRun, PipelineRun};
use relay_model::v1beta1::RunStatus;
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
    let go =
        Ending { outputs: [("go".to_owned(), Value::from("yes"))].into(), ..Ending::default() };
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
