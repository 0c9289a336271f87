//! A run that does not get on says why, and goes on when it can.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kube::api::{Patch, PatchParams};
use kube_memory::{Fault, RequestInfo, Verb};
use relay_model::v1beta1::RunStatus;
use serde_json::json;

use crate::tekton::Tekton;
use crate::world::{World, summary};

#[tokio::test]
async fn a_run_that_is_cancelled_while_it_waits_has_ended() {
    let world = World::running();
    world.create_run("r", "none").await;
    let mut tekton = Tekton::new(world.client.clone());
    world.until("r", &mut tekton, |status| !status.conditions.is_empty()).await;
    let patch = Patch::Merge(json!({"spec": {"state": {"workflow": {"cancel": true}}}}));
    world.runs().patch("r", &PatchParams::default(), &patch).await.unwrap();
    let status = world.finish("r", &mut tekton).await;
    assert_eq!(summary(&status), ["run: False Cancelled"]);
    assert!(status.condition("Cancelled").unwrap().is_true());
}

fn creates(request: &RequestInfo, resource: &str) -> bool {
    request.verb == Verb::Create && request.resource == resource
}

/// A name, what cannot be made, why, and what the run says: a reason and a part of the message.
type Case = (&'static str, &'static str, fn() -> Fault, &'static str, &'static str);

#[tokio::test]
async fn while_the_api_server_refuses() {
    let tekton_refuses = || {
        let message = "admission webhook \"validation.webhook.pipeline.tekton.dev\" denied the \
                       request: validation failed: must not set the field(s): \
                       spec.pipelineSpec.tasks[0].onError";
        Fault::status(400, "BadRequest", message)
    };
    let unserved = || {
        let message = "the server could not find the requested resource";
        Fault::status(404, "NotFound", message)
    };
    let forbidden = || Fault::status(403, "Forbidden", "configmaps is forbidden");
    let broken = || Fault::status(500, "InternalError", "failed calling webhook");
    let cases: [Case; 4] = [
        ("a feature", "pipelineruns", tekton_refuses, "TektonFeatureMissing", "enable-api-fields"),
        ("no Tekton", "pipelineruns", unserved, "NotServed", "PipelineRun default/r"),
        ("no rights", "configmaps", forbidden, "Forbidden", "ConfigMap default/r-immutable"),
        ("a webhook", "pipelineruns", broken, "Retrying", "failed calling webhook"),
    ];
    for (name, resource, fault, reason, part) in cases {
        let mut world = World::still();
        let failing = Arc::new(AtomicBool::new(true));
        let fails = Arc::clone(&failing);
        let cluster = world.cluster.with_faults(move |request| {
            let strikes = fails.load(Ordering::Relaxed) && creates(request, resource);
            strikes.then(fault)
        });
        world.start_on(cluster.client("default"));
        world.create_tenant("demo").await;
        world.create_workflow("w", json!([{"name": "a", "image": "i", "command": "c"}])).await;
        world.create_run("r", "w").await;
        let mut tekton = Tekton::new(world.client.clone());
        let told = |status: &RunStatus| {
            let completed = status.condition("Completed");
            completed.and_then(|completed| completed.reason.as_deref()) == Some(reason)
        };
        let status = world.until("r", &mut tekton, told).await;
        let message = status.condition("Completed").unwrap().message.clone().unwrap();
        assert!(message.contains(part), "{name}: {message}");

        failing.store(false, Ordering::Relaxed);
        // It would be tried again by itself, some seconds later.
        let patch = Patch::Merge(json!({"metadata": {"annotations": {"test": "again"}}}));
        world.runs().patch("r", &PatchParams::default(), &patch).await.unwrap();
        let status = world.finish("r", &mut tekton).await;
        assert_eq!(summary(&status), ["a: True Succeeded", "run: True"], "{name}");
    }
}
