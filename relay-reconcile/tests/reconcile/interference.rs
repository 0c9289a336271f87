//! What others do to the objects of a run, and what an earlier run of its name left.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
};
use kube::{Api, Resource, ResourceExt as _};
use relay_model::tekton::{CustomRun, PIPELINE_RUN_LABEL, PipelineRun, TaskRun};
use relay_model::v1beta1::{Run, RunStatus};
use relay_reconcile::run::{Reconciler, reconcile};
use serde_json::json;

use crate::reports::end_pipeline;
use crate::run::answer;
use crate::tekton::Tekton;
use crate::world::{World, summary};

fn asks(status: &RunStatus) -> bool {
    status.condition("Completed").and_then(|c| c.reason.as_deref()) == Some("WaitingForApproval")
}

/// An approval, and a step behind it.
fn ask_and_do() -> serde_json::Value {
    json!([
        {"name": "ask", "image": "", "when": [answer("ask")]},
        {"name": "do", "image": "i", "command": "c", "dependsOn": ["ask"]},
    ])
}

/// A world with a run `r` of such a workflow that asks.
pub(crate) async fn asking() -> (World, Tekton) {
    let world = World::running();
    world.create_tenant("demo").await;
    world.create_workflow("w", ask_and_do()).await;
    world.create_run("r", "w").await;
    let mut tekton = Tekton::new(world.client.clone());
    world.until("r", &mut tekton, asks).await;
    (world, tekton)
}

async fn patch_run(world: &World, patch: serde_json::Value) {
    world.runs().patch("r", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
}

async fn approve(world: &World) {
    patch_run(world, json!({"spec": {"state": {"steps": {"ask": {"approval": "approved"}}}}}))
        .await;
}

async fn gone<K>(api: &Api<K>, name: &str)
where
    K: Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    for _ in 0..500 {
        if api.get_opt(name).await.unwrap().is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("{name} is left");
}

/// Sets the finalizers of all that a PipelineRun has made of a kind, as those do that sign results.
async fn hold<K>(world: &World, finalizers: &[&str])
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::default_namespaced(world.client.clone());
    let ours = ListParams::default().labels(PIPELINE_RUN_LABEL);
    let patch = Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
    for object in api.list(&ours).await.unwrap() {
        api.patch(&object.name_any(), &PatchParams::default(), &patch).await.unwrap();
    }
}

async fn runs_anew<K>()
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let (world, mut tekton) = asking().await;
    approve(&world).await;
    world.finish("r", &mut tekton).await;
    hold::<K>(&world, &["example.com/held"]).await;
    world.runs().delete("r", &DeleteParams::default()).await.unwrap();
    gone(&world.runs(), "r").await;
    gone(&Api::<PipelineRun>::default_namespaced(world.client.clone()), "r").await;

    world.create_run("r", "w").await;
    let waits = |status: &RunStatus| {
        let message = status.condition("Completed").and_then(|c| c.message.clone());
        message.is_some_and(|message| message.contains("earlier run of this name"))
    };
    let status = world.until("r", &mut tekton, waits).await;
    assert!(!status.is_completed() && status.steps.is_empty(), "{status:?}");
    hold::<K>(&world, &[]).await;
    world.until("r", &mut tekton, asks).await;
    assert_eq!(tekton.ran, ["do"]);
    approve(&world).await;
    let status = world.finish("r", &mut tekton).await;
    assert_eq!(summary(&status), ["ask: True Approved", "do: True Succeeded", "run: True"]);
    assert_eq!(tekton.ran, ["do", "do"]);
}

#[tokio::test]
async fn a_run_takes_no_task_runs_of_an_earlier_one_of_its_name() {
    runs_anew::<TaskRun>().await;
}

#[tokio::test]
async fn a_run_takes_no_decisions_of_an_earlier_one_of_its_name() {
    runs_anew::<CustomRun>().await;
}

#[tokio::test]
async fn what_cannot_be_read_stops_no_run() {
    for kind in ["PipelineRun", "TaskRun"] {
        let world = World::still();
        let plural = format!("{}s", kind.to_lowercase());
        let resource = ApiResource {
            group: "tekton.dev".to_owned(),
            version: "v1".to_owned(),
            api_version: "tekton.dev/v1".to_owned(),
            kind: kind.to_owned(),
            plural,
        };
        let api: Api<DynamicObject> = Api::default_namespaced_with(world.client.clone(), &resource);
        let spoilt = json!({
            "apiVersion": "tekton.dev/v1", "kind": kind,
            "metadata": {"name": "spoilt", "labels": {
                "controller.relay.sh/run-id": "x",
                "tekton.dev/pipelineRun": "x", "tekton.dev/pipelineTask": "y",
            }},
            "spec": {},
            "status": {"conditions": [{"type": "Succeeded", "status": "Maybe"}]},
        });
        let spoilt: DynamicObject = serde_json::from_value(spoilt).unwrap();
        api.create(&PostParams::default(), &spoilt).await.unwrap();
        let world = world.start();
        world.create_tenant("demo").await;
        world.create_workflow("w", json!([{"name": "a", "image": "i", "command": "c"}])).await;
        world.create_run("r", "w").await;
        let mut tekton = Tekton::new(world.client.clone());
        if kind == "PipelineRun" {
            tekton.only = Some("r".to_owned());
        }
        let status = world.finish("r", &mut tekton).await;
        assert_eq!(summary(&status), ["a: True Succeeded", "run: True"], "{kind}");
    }
}

#[tokio::test]
async fn a_run_whose_objects_went_while_nobody_worked_is_not_run_again() {
    let (mut world, mut tekton) = asking().await;
    world.stop();
    let maps: Api<ConfigMap> = Api::default_namespaced(world.client.clone());
    let pipelines: Api<PipelineRun> = Api::default_namespaced(world.client.clone());
    maps.delete("r-immutable", &DeleteParams::default()).await.unwrap();
    gone(&pipelines, "r").await;
    let world = world.start();
    let status = world.finish("r", &mut tekton).await;
    assert_eq!(summary(&status).last().unwrap(), "run: False PipelineRunLost");
    assert!(pipelines.get_opt("r").await.unwrap().is_none());
}

#[tokio::test]
async fn what_a_run_says_of_itself_names_none_of_its_steps() {
    let world = World::running();
    world.create_tenant("demo").await;
    world.create_workflow("w", json!([{"name": "a", "image": "i", "command": "c"}])).await;
    let given = json!({
        "apiVersion": "relay.sh/v1beta1", "kind": "Run",
        "metadata": {"name": "r", "annotations": {
            "relay.sh/token": "x", "relay.sh/subject": "x", "relay.sh/step": "x", "mine": "kept",
        }},
        "spec": {"workflowRef": {"name": "w"}},
    });
    let run: Run = serde_json::from_value(given).unwrap();
    world.runs().create(&PostParams::default(), &run).await.unwrap();
    world.finish("r", &mut Tekton::new(world.client.clone())).await;
    let api: Api<PipelineRun> = Api::default_namespaced(world.client.clone());
    let pipeline = api.get("r").await.unwrap();
    let annotations: Vec<_> = pipeline.annotations().keys().collect();
    assert_eq!(annotations, ["controller.relay.sh/dependency-of", "mine"]);
}

#[tokio::test]
async fn a_run_is_cancelled_whatever_its_pipeline_run_was_told() {
    for told in ["PipelineRunPending", "StoppedRunFinally"] {
        let (world, mut tekton) = asking().await;
        let api: Api<PipelineRun> = Api::default_namespaced(world.client.clone());
        let patch = Patch::Merge(json!({"spec": {"status": told}}));
        api.patch("r", &PatchParams::default(), &patch).await.unwrap();
        patch_run(&world, json!({"spec": {"state": {"workflow": {"cancel": true}}}})).await;
        let status = world.finish("r", &mut tekton).await;
        assert_eq!(summary(&status).last().unwrap(), "run: False Cancelled", "{told}");
    }
}

#[tokio::test]
async fn steps_end_with_a_run_whose_pipeline_run_is_lost() {
    let (world, mut tekton) = asking().await;
    let api: Api<PipelineRun> = Api::default_namespaced(world.client.clone());
    api.delete("r", &DeleteParams::default()).await.unwrap();
    let status = world.finish("r", &mut tekton).await;
    assert_eq!(
        summary(&status),
        ["ask: False PipelineRunLost", "do: False PipelineRunLost", "run: False PipelineRunLost"]
    );
    for step in &status.steps {
        assert!(step.condition("Completed").unwrap().is_true(), "{}", step.name);
        assert!(step.condition("Skipped").unwrap().is_true(), "{}", step.name);
    }
}

#[tokio::test]
async fn a_finalizer_that_somebody_removed_is_set_again() {
    for ended in [false, true] {
        let (world, mut tekton) = asking().await;
        if ended {
            approve(&world).await;
            world.finish("r", &mut tekton).await;
        }
        let stripped = json!({"metadata": {
            "finalizers": null, "annotations": {"controller.relay.sh/namespace": null},
        }});
        patch_run(&world, stripped).await;
        let mut restored = false;
        for _ in 0..500 {
            restored = world.runs().get("r").await.unwrap().finalizers().len() == 1;
            if restored {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert!(restored, "ended: {ended}");
        world.runs().delete("r", &DeleteParams::default()).await.unwrap();
        gone(&world.runs(), "r").await;
        let maps: Api<ConfigMap> = Api::default_namespaced(world.client.clone());
        gone(&maps, "r-immutable").await;
        gone(&maps, "r-mutable").await;
    }
}

#[tokio::test]
async fn a_status_that_somebody_wrote_over_is_written_again() {
    let (world, mut tekton) = asking().await;
    let before = world.runs().get("r").await.unwrap().status.unwrap();
    let patch = Patch::Merge(json!({"status": {"steps": null, "conditions": null}}));
    world.runs().patch_status("r", &PatchParams::default(), &patch).await.unwrap();
    let status = world.until("r", &mut tekton, |status| !status.steps.is_empty()).await;
    assert_eq!(status, before);
}

#[tokio::test]
async fn a_status_is_of_one_version_of_a_run() {
    let (mut world, mut tekton) = asking().await;
    // What was seen before somebody else wrote the status must not be written over it.
    let stale = Arc::new(world.runs().get("r").await.unwrap());
    world.stop();
    let patch = Patch::Merge(json!({"status": {"steps": null}}));
    world.runs().patch_status("r", &PatchParams::default(), &patch).await.unwrap();
    end_pipeline(&world, "False", "Cancelled", None).await;
    let error = reconcile(stale, &world.context, &Reconciler::default()).await.unwrap_err();
    assert_eq!(error.reason(), "Conflict");
    let status = world.runs().get("r").await.unwrap().status.unwrap();
    assert!(status.steps.is_empty(), "{status:?}");
    // Neither on another run of the name.
    let stale = Arc::new(world.runs().get("r").await.unwrap());
    let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    world.runs().patch("r", &PatchParams::default(), &patch).await.unwrap();
    world.runs().delete("r", &DeleteParams::default()).await.unwrap();
    world.create_run("r", "none").await;
    drop(reconcile(stale, &world.context, &Reconciler::default()).await);
    assert_eq!(world.runs().get("r").await.unwrap().status, None);
    let world = world.start();
    world.until("r", &mut tekton, |status| !status.conditions.is_empty()).await;
}

#[tokio::test]
async fn arguments_are_none_of_tektons_business() {
    let world = World::running();
    world.create_tenant("demo").await;
    let given = ["$(params.x)", "$(context.taskRun.name)", "$$(results.y) $HOME", "100 $"];
    let steps = json!([
        {"name": "a", "image": "i", "command": "c", "args": given},
        {"name": "b", "image": "i", "command": "c", "args": ["$HOME"]},
    ]);
    world.create_workflow("w", steps).await;
    world.create_run("r", "w").await;
    world.finish("r", &mut Tekton::new(world.client.clone())).await;
    let api: Api<PipelineRun> = Api::default_namespaced(world.client.clone());
    let tasks = api.get("r").await.unwrap().spec.pipeline_spec.unwrap().tasks;
    let written = |task: usize| {
        let step = &tasks[task].task_spec.as_ref().unwrap().steps[1];
        let dollar = step.env.iter().find(|variable| variable.name == "RELAY_DOLLAR");
        (step.args.clone(), dollar.and_then(|variable| variable.value.clone()))
    };
    let (args, dollar) = written(0);
    assert_eq!(dollar.as_deref(), Some("$"));
    for name in ["params", "context", "results"] {
        assert!(!args.iter().any(|arg| arg.contains(&format!("$({name}"))), "{args:?}");
    }
    // What the kubelet makes of it, with the variable.
    let read = |arg: &String| arg.replace("$$", "\0").replace("$(RELAY_DOLLAR)", "\0");
    let read: Vec<_> = args.iter().map(|arg| read(arg).replace('\0', "$")).collect();
    assert_eq!(read[3..], given);
    assert_eq!(written(1).1, None);
}
