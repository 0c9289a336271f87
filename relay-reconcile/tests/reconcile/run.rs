use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube_memory::{Fault, Verb};
use relay_core::Value;
use relay_model::tekton::PipelineRun;
use relay_model::v1beta1::{Condition, RunStatus, Tenant, Workflow};
use relay_reconcile::run::{Reconciler, reconcile};
use serde_json::json;

use crate::objects::secret;
use crate::tekton::{Ending, Tekton};
use crate::world::{World, summary};

fn outputs(pairs: &[(&str, &str)]) -> Ending {
    let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value)));
    Ending { outputs: pairs.collect(), ..Ending::default() }
}

fn failing(exit_code: i64) -> Ending {
    Ending { exit_code, ..Ending::default() }
}

#[tokio::test]
async fn from_tenant_workflow_and_run_to_a_finished_status() {
    let world = World::running();
    world.create_tenant("demo").await;
    world
        .create_workflow(
            "hello",
            json!([
                {"name": "greet", "image": "i", "input": ["x"], "spec": {"to": "${parameters.who}"}},
                {"name": "reply", "image": "i", "command": "c", "args": ["a"], "dependsOn": ["greet"]},
            ]),
        )
        .await;
    world.create_run("hello-1", "hello").await;
    let mut tekton = Tekton::new(world.client.clone()).ending("greet", outputs(&[("text", "hi")]));
    let status = world.finish("hello-1", &mut tekton).await;
    assert_eq!(tekton.ran, ["greet", "reply"]);
    assert_eq!(summary(&status), ["greet: True Succeeded", "reply: True Succeeded", "run: True"]);
    assert_eq!(status.steps[0].outputs[0].value, Value::from("hi"));
    assert!(status.start_time.is_some() && status.completion_time.is_some());

    // Reconciling what has ended writes nothing.
    let run = Arc::new(world.runs().get("hello-1").await.unwrap());
    let before = world.cluster.writes();
    let reconciler = Reconciler::default();
    for _ in 0..100 {
        reconcile(Arc::clone(&run), &world.context, &reconciler).await.unwrap();
    }
    assert_eq!(world.cluster.writes(), before);
    wake_without_writes(&world, "hello-1").await;
}

/// Wakes the controller a hundred times by changes that mean nothing: they are the only writes.
async fn wake_without_writes(world: &World, run: &str) {
    tokio::time::sleep(Duration::from_millis(50)).await;
    let before = world.cluster.writes();
    for index in 0..100 {
        let patch = json!({"metadata": {"annotations": {"test": index.to_string()}}});
        world.runs().patch(run, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.cluster.writes(), before + 100);
}

#[tokio::test]
async fn a_run_that_waits_is_reconciled_without_writes() {
    let world = World::running();
    world.create_tenant("demo").await;
    world
        .create_workflow("w", json!([{"name": "ask", "image": "", "when": [answer("ask")]}]))
        .await;
    world.create_run("r", "w").await;
    let mut tekton = Tekton::new(world.client.clone());
    let asks = |status: &RunStatus| {
        status.condition("Completed").and_then(|c| c.reason.as_deref())
            == Some("WaitingForApproval")
    };
    world.until("r", &mut tekton, asks).await;
    wake_without_writes(&world, "r").await;
}

pub(crate) fn answer(step: &str) -> serde_json::Value {
    json!({"$fn.equals": [{"$type": "Answer", "askRef": step, "name": "approval"}, "approved"]})
}

#[tokio::test]
async fn endings() {
    let chain = json!([
        {"name": "a", "image": "i"},
        {"name": "b", "image": "i", "dependsOn": ["a"]},
        {"name": "c", "image": "i", "dependsOn": ["b"]},
        {"name": "other", "image": "i"},
    ]);
    let after = |when: &str| {
        json!([
            {"name": "a", "image": "i"},
            {"name": "b", "image": "i", "dependsOn": ["a"], "when": when},
        ])
    };
    for (name, steps, endings, expected) in [
        (
            "a failure skips what depends on it and nothing else",
            chain.clone(),
            vec![("a", failing(3))],
            vec![
                "a: False Failed",
                "b: False DependencyNotSucceeded",
                "c: False DependencyNotSucceeded",
                "other: True Succeeded",
                "run: False StepFailed",
            ],
        ),
        (
            "a pod that never starts",
            chain,
            vec![("b", Ending { lost: Some("TaskRunImagePullFailed"), ..Ending::default() })],
            vec![
                "a: True Succeeded",
                "b: False CouldNotStart",
                "c: False DependencyNotSucceeded",
                "other: True Succeeded",
                "run: False StepFailed",
            ],
        ),
        (
            "clean up after a failure",
            after("${steps.a.failed}"),
            vec![("a", failing(1))],
            vec!["a: False Failed", "b: True Succeeded", "run: False StepFailed"],
        ),
        (
            "no clean up without one",
            after("${steps.a.failed}"),
            vec![],
            vec!["a: True Succeeded", "b: False ConditionFalse", "run: True"],
        ),
        (
            "a condition on an output",
            after("${outputs.a.go == 'yes'}"),
            vec![("a", outputs(&[("go", "yes")]))],
            vec!["a: True Succeeded", "b: True Succeeded", "run: True"],
        ),
        (
            "an output that nobody set",
            after("${outputs.a.go == 'yes'}"),
            vec![],
            vec!["a: True Succeeded", "b: False OutputMissing", "run: True"],
        ),
        (
            "a condition that is no boolean",
            after("${parameters.who}"),
            vec![],
            vec!["a: True Succeeded", "b: False EvaluationError", "run: True"],
        ),
        (
            "an unknown parameter",
            after("${parameters.nobody == 1}"),
            vec![],
            vec!["a: True Succeeded", "b: False EvaluationError", "run: True"],
        ),
        (
            "a secret in a condition",
            after("${secrets.key == 's3cret'}"),
            vec![],
            vec!["a: True Succeeded", "b: True Succeeded", "run: True"],
        ),
        (
            "false decides, whatever else is missing",
            json!([{"name": "a", "image": "i", "when": ["${secrets.none == 1}", false]}]),
            vec![],
            vec!["a: False ConditionFalse", "run: True"],
        ),
    ] {
        let world = World::running();
        world.create_tenant("demo").await;
        world.create_secret("default", secret("key", "s3cret")).await;
        world.create_workflow("w", steps).await;
        world.create_run("r", "w").await;
        let mut tekton = Tekton::new(world.client.clone());
        for (step, ending) in endings {
            tekton = tekton.ending(step, ending);
        }
        let status = world.finish("r", &mut tekton).await;
        assert_eq!(summary(&status), expected, "{name}");
    }
}

#[tokio::test]
async fn what_a_skipped_step_says() {
    let world = World::running();
    world.create_tenant("demo").await;
    world.create_workflow("w", json!([{"name": "a", "image": "i", "when": "${1 - []}"}])).await;
    world.create_run("r", "w").await;
    let status = world.finish("r", &mut Tekton::new(world.client.clone())).await;
    let skipped = status.steps[0].condition("Skipped").unwrap();
    assert_eq!(skipped.reason.as_deref(), Some("WhenConditionFailure"));
    // The message reaches the status with the next look at the run, or with this one.
    let status = world
        .until("r", &mut Tekton::new(world.client.clone()), |s| !s.steps[0].messages.is_empty())
        .await;
    let message = &status.steps[0].messages[0];
    assert!(message.details.contains("cannot be evaluated"), "{}", message.details);
}

#[tokio::test]
async fn approvals() {
    let steps = json!([
        {"name": "gate", "image": "", "when": [answer("gate"), "${parameters.who == 'world'}"]},
        {"name": "deploy", "image": "i", "dependsOn": ["gate"]},
        {"name": "notice", "image": "i", "dependsOn": ["gate"], "when": "${steps.gate.skipped}"},
    ]);
    for (answer, timeout, expected) in [
        (
            Some("approved"),
            None,
            ["gate: True Approved", "deploy: True Succeeded", "notice: False ConditionFalse"],
        ),
        (
            Some("rejected"),
            None,
            [
                "gate: False Rejected",
                "deploy: False DependencyNotSucceeded",
                "notice: True Succeeded",
            ],
        ),
        (
            None,
            Some("10ms"),
            [
                "gate: False Expired",
                "deploy: False DependencyNotSucceeded",
                "notice: True Succeeded",
            ],
        ),
    ] {
        let world = World::running();
        world.create_tenant("demo").await;
        world.create_workflow("w", steps.clone()).await;
        world.create_run("r", "w").await;
        let mut tekton = Tekton::new(world.client.clone());
        let waiting = |status: &RunStatus| !status.steps.is_empty();
        world.until("r", &mut tekton, waiting).await;
        let patch = json!({
            "metadata": {"annotations": {"relay.sh/approval-timeout": timeout}},
            "spec": {"state": {"steps": {"gate": {"approval": answer}}}},
        });
        let params = PatchParams::default();
        world.runs().patch("r", &params, &Patch::Merge(&patch)).await.unwrap();
        let status = world.finish("r", &mut tekton).await;
        assert_eq!(summary(&status)[..3], expected, "{answer:?}");
    }
}

#[tokio::test]
async fn cancelling_ends_every_step() {
    let world = World::running();
    world.create_tenant("demo").await;
    let steps = json!([
        {"name": "gate", "image": "", "when": [answer("gate")]},
        {"name": "deploy", "image": "i", "dependsOn": ["gate"]},
    ]);
    world.create_workflow("w", steps).await;
    world.create_run("r", "w").await;
    let mut tekton = Tekton::new(world.client.clone());
    world.until("r", &mut tekton, |status| !status.steps.is_empty()).await;
    let patch = json!({"spec": {"state": {"workflow": {"cancel": true}}}});
    world.runs().patch("r", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    let status = world.finish("r", &mut tekton).await;
    assert_eq!(
        summary(&status),
        ["gate: False Cancelled", "deploy: False Cancelled", "run: False Cancelled"]
    );
    assert!(status.condition("Cancelled").unwrap().is_true());
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    for (name, steps, tenant, reason, completed) in [
        ("no workflow", None, true, "WorkflowNotFound", false),
        ("no tenant", Some(json!([{"name": "a", "image": "i"}])), false, "TenantNotFound", false),
        (
            "a cycle",
            Some(json!([
                {"name": "a", "image": "i", "dependsOn": ["b"]},
                {"name": "b", "image": "i", "spec": {"x": "${outputs.a.y}"}},
            ])),
            true,
            "InvalidWorkflow",
            true,
        ),
        (
            "an unknown step",
            Some(json!([{"name": "a", "image": "i", "dependsOn": ["b"]}])),
            true,
            "InvalidWorkflow",
            true,
        ),
    ] {
        let world = World::running();
        if tenant {
            world.create_tenant("demo").await;
        }
        if let Some(steps) = steps {
            world.create_workflow("w", steps).await;
        }
        world.create_run("r", "w").await;
        let mut tekton = Tekton::new(world.client.clone());
        let status = world.until("r", &mut tekton, |s| !s.conditions.is_empty()).await;
        let succeeded = status.condition("Succeeded").unwrap();
        assert_eq!(succeeded.reason.as_deref(), Some(reason), "{name}");
        assert_eq!(status.is_completed(), completed, "{name}");
    }
}

#[tokio::test]
async fn a_run_starts_when_what_it_waits_for_comes() {
    let world = World::running();
    world.create_run("r", "w").await;
    let mut tekton = Tekton::new(world.client.clone());
    let reason = |reason: &'static str| {
        move |status: &RunStatus| {
            let succeeded = Condition::find(&status.conditions, "Succeeded");
            succeeded.and_then(|condition| condition.reason.as_deref()) == Some(reason)
        }
    };
    world.until("r", &mut tekton, reason("WorkflowNotFound")).await;
    world.create_workflow("w", json!([{"name": "a", "image": "i"}])).await;
    world.until("r", &mut tekton, reason("TenantNotFound")).await;
    world.create_tenant("demo").await;
    let status = world.finish("r", &mut tekton).await;
    assert_eq!(summary(&status), ["a: True Succeeded", "run: True"]);
}

#[tokio::test]
async fn a_workflow_without_steps_is_done() {
    let world = World::running();
    world.create_tenant("demo").await;
    world.create_workflow("w", json!([])).await;
    world.create_run("r", "w").await;
    let status = world.finish("r", &mut Tekton::new(world.client.clone())).await;
    assert!(status.condition("Succeeded").unwrap().is_true());
}

#[tokio::test]
async fn editing_a_workflow_does_not_reach_a_run() {
    let world = World::running();
    world.create_tenant("demo").await;
    world
        .create_workflow("w", json!([{"name": "ask", "image": "", "when": [answer("ask")]}]))
        .await;
    world.create_run("r", "w").await;
    let mut tekton = Tekton::new(world.client.clone());
    world.until("r", &mut tekton, |status| !status.steps.is_empty()).await;
    let workflows: Api<Workflow> = Api::default_namespaced(world.client.clone());
    let patch = json!({"spec": {"steps": [{"name": "new", "image": "i"}]}});
    workflows.patch("w", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    let patch = json!({"spec": {"state": {"steps": {"ask": {"approval": "approved"}}}}});
    world.runs().patch("r", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    let status = world.finish("r", &mut tekton).await;
    assert_eq!(summary(&status), ["ask: True Approved", "run: True"]);
}

#[tokio::test]
async fn a_lost_pipeline_run_fails_its_run() {
    let world = World::running();
    world.create_tenant("demo").await;
    world
        .create_workflow("w", json!([{"name": "ask", "image": "", "when": [answer("ask")]}]))
        .await;
    world.create_run("r", "w").await;
    let mut tekton = Tekton::new(world.client.clone());
    world.until("r", &mut tekton, |status| !status.steps.is_empty()).await;
    let api: Api<PipelineRun> = Api::default_namespaced(world.client.clone());
    api.delete("r", &DeleteParams::default()).await.unwrap();
    let status = world.finish("r", &mut tekton).await;
    assert_eq!(summary(&status).last().unwrap(), "run: False PipelineRunLost");
    assert!(api.list(&ListParams::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn deleting_a_run_takes_its_objects_along() {
    let world = World::running();
    world.create_tenant("demo").await;
    world.create_workflow("w", json!([{"name": "a", "image": "i", "input": ["x"]}])).await;
    world.create_run("r", "w").await;
    world.finish("r", &mut Tekton::new(world.client.clone())).await;
    world.runs().delete("r", &DeleteParams::default()).await.unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(world.client.clone());
    let pipelines: Api<PipelineRun> = Api::default_namespaced(world.client.clone());
    for _ in 0..500 {
        let run = world.runs().get_opt("r").await.unwrap();
        let maps = maps.list(&ListParams::default()).await.unwrap().items;
        let pipelines = pipelines.list(&ListParams::default()).await.unwrap().items;
        if run.is_none() && maps.is_empty() && pipelines.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("something is left");
}

#[tokio::test]
async fn a_run_whose_tenant_went_first_goes() {
    for (name, template) in [
        ("in the tenant's own namespace", json!({})),
        (
            "in one that was made for it",
            json!({"namespaceTemplate": {"metadata": {"name": "acme"}}}),
        ),
    ] {
        println!("{name}");
        let mut world = World::still();
        // The rights in a namespace go with its tenant.
        let lost = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (seen, tried) = (Arc::clone(&lost), Arc::new(AtomicU64::new(0)));
        let count = Arc::clone(&tried);
        let limited = world.cluster.with_faults(move |request| {
            let refused = seen.load(Ordering::Relaxed)
                && request.resource == "configmaps"
                && request.name.is_some();
            refused.then(|| {
                count.fetch_add(1, Ordering::Relaxed);
                Fault::status(403, "Forbidden", "no")
            })
        });
        world.start_on(limited.client("default"));
        world.create_tenant_of("demo", template).await;
        world.create_workflow("w", json!([{"name": "a", "image": "i", "input": ["x"]}])).await;
        world.create_run("r", "w").await;
        let mut tekton = Tekton::new(world.client.clone());
        world.until("r", &mut tekton, |status| status.start_time.is_some()).await;
        let tenants: Api<Tenant> = Api::default_namespaced(world.client.clone());
        lost.store(true, Ordering::Relaxed);
        tenants.delete("demo", &DeleteParams::default()).await.unwrap();
        kube::runtime::wait::await_condition(tenants, "demo", |tenant: Option<&Tenant>| {
            tenant.is_none()
        })
        .await
        .unwrap();
        world.runs().delete("r", &DeleteParams::default()).await.unwrap();
        let maps: Api<ConfigMap> = Api::all(world.client.clone());
        let mut left = usize::MAX;
        for _ in 0..1_000 {
            left = maps.list(&ListParams::default()).await.unwrap().items.len()
                + usize::from(world.runs().get_opt("r").await.unwrap().is_some());
            if left == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(left, 0);
        assert!(tried.load(Ordering::Relaxed) > 0);
    }
}

#[tokio::test]
async fn a_run_whose_objects_may_not_be_deleted_stays_and_is_tried_less_and_less() {
    let mut world = World::still();
    let tried = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&tried);
    let limited = world.cluster.with_faults(move |request| {
        let deletes = request.verb == Verb::Delete && request.resource == "configmaps";
        deletes.then(|| {
            count.fetch_add(1, Ordering::Relaxed);
            Fault::status(403, "Forbidden", "no")
        })
    });
    world.start_on(limited.client("default"));
    let template = json!({"namespaceTemplate": {"metadata": {"name": "acme"}}});
    world.create_tenant_of("demo", template).await;
    world.create_workflow("w", json!([{"name": "a", "image": "i", "input": ["x"]}])).await;
    world.create_run("r", "w").await;
    let mut tekton = Tekton::new(world.client.clone());
    world.finish("r", &mut tekton).await;
    world.runs().delete("r", &DeleteParams::default()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(world.runs().get_opt("r").await.unwrap().is_some());
    // Doubling from 25 ms at least, there is no time for more.
    let tried = tried.load(Ordering::Relaxed);
    assert!((1..=8).contains(&tried), "{tried}");
}
