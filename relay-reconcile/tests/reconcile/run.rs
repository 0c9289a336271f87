use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use relay_core::{Claims, TokenVerifier as _, Value};
use relay_model::tekton::PipelineRun;
use relay_model::v1beta1::{Condition, Run, RunSpec, RunStatus, Workflow};
use relay_reconcile::run::{Reconciler, reconcile};
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::tekton::{Ending, Tekton, data};
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

#[tokio::test]
async fn the_objects_of_a_run() {
    let world = World::running();
    world.create_tenant("demo").await;
    world
        .create_workflow(
            "w",
            json!([
                {"name": "a", "image": "alpine", "input": ["echo a", "echo b"], "env": {"X": "${secrets.key}"}},
                {"name": "ok", "image": "", "dependsOn": ["a"], "when": [answer("ok")]},
                {"name": "b", "image": "tool", "command": "run", "args": ["-v", "$(id) $$"], "dependsOn": ["ok"],
                 "when": "${parameters.who == 'world'}", "spec": {"o": "${outputs.a.x}"}},
            ]),
        )
        .await;
    world.create_run("run-1", "w").await;
    let mut tekton = Tekton::new(world.client.clone());
    world.until("run-1", &mut tekton, |status| !status.steps.is_empty()).await;
    let data = data(&world.client, "run-1-immutable").await;
    insta::assert_yaml_snapshot!("immutable", data);
    let api: Api<PipelineRun> = Api::default_namespaced(world.client.clone());
    let pipeline = api.get("run-1").await.unwrap();
    let text = serde_json::to_string(&pipeline.spec).unwrap();
    assert!(!text.contains("s3cret"), "no secret is in a pipeline");
    let mut spec = pipeline.spec.clone();
    for task in &mut spec.pipeline_spec.as_mut().unwrap().tasks {
        let annotations =
            &mut task.task_spec.as_mut().unwrap().metadata.as_mut().unwrap().annotations;
        for (key, value) in annotations {
            // These differ from run to run.
            if key.ends_with("dependency-of") || key == "relay.sh/token" {
                assert!(!value.is_empty());
                "…".clone_into(value);
            }
        }
    }
    insta::assert_yaml_snapshot!("pipeline", spec);
    let owner = &pipeline.owner_references()[0];
    assert_eq!((owner.kind.as_str(), owner.name.as_str()), ("ConfigMap", "run-1-immutable"));
}

fn answer(step: &str) -> serde_json::Value {
    json!({"$fn.equals": [{"$type": "Answer", "askRef": step, "name": "approval"}, "approved"]})
}

fn secret(name: &str, value: &str) -> serde_json::Value {
    json!({
        "metadata": {"name": name, "labels": {"relay.sh/secret": name}},
        "stringData": {"value": value},
    })
}

#[tokio::test]
async fn a_run_sees_the_secrets_of_its_tenant_only() {
    let world = World::running();
    world.create_namespace("other").await;
    world.create_secret("other", secret("theirs", "x")).await;
    world.create_secret("default", secret("ours", "x")).await;
    let mut scoped = secret("scoped", "x");
    scoped["metadata"]["labels"]["relay.sh/workflow"] = json!("w1");
    world.create_secret("default", scoped).await;
    world.create_tenant("demo").await;
    let step = |name: &str| json!({"name": name, "image": "i", "when": format!("${{secrets.{name} == 'x'}}")});
    world.create_workflow("w", json!([step("ours"), step("theirs"), step("scoped")])).await;
    let mut tekton = Tekton::new(world.client.clone());
    world.create_run("r", "w").await;
    assert_eq!(
        summary(&world.finish("r", &mut tekton).await),
        [
            "ours: True Succeeded",
            "theirs: False EvaluationError",
            "scoped: False EvaluationError",
            "run: True"
        ]
    );
    // Secrets of one holder are for runs that name it.
    let mut run = Run::new("s", RunSpec::default());
    run.spec.workflow_ref.name = "w".to_owned();
    run.metadata.annotations = Some([("relay.sh/tenant-id".to_owned(), "w1".to_owned())].into());
    world.runs().create(&PostParams::default(), &run).await.unwrap();
    let status = world.finish("s", &mut tekton).await;
    assert_eq!(summary(&status)[2], "scoped: True Succeeded");
}

/// The claims of the token of the only step of a run.
async fn claims(world: &World, namespace: &str, run: &str) -> Claims {
    let api: Api<PipelineRun> = Api::namespaced(world.client.clone(), namespace);
    let spec = api.get(run).await.unwrap().spec.pipeline_spec.unwrap();
    let metadata = spec.tasks[0].task_spec.as_ref().unwrap().metadata.as_ref().unwrap();
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let uid = namespaces.get(namespace).await.unwrap().uid().unwrap();
    let token = world.context.sealer.unseal(&uid, &metadata.annotations["relay.sh/token"]).await;
    world.key.verify(&token.unwrap()).await.unwrap()
}

#[tokio::test]
async fn only_the_sink_that_a_run_needs_is_waited_for() {
    let world = World::running();
    let source = |secret: &str| json!({"secretKeyRef": {"name": secret, "key": "token"}});
    let spec = json!({
        "triggerEventSink": {"api": {"url": "http://events", "tokenFrom": source("none")}},
        "workflowExecutionSink": {"api": {"url": "http://runs", "tokenFrom": source("sink")}},
    });
    world.create_tenant_of("demo", spec).await;
    world.create_workflow("w", json!([{"name": "a", "image": "i", "command": "c"}])).await;
    world.create_run("r", "w").await;
    let mut tekton = Tekton::new(world.client.clone());
    let status = world.until("r", &mut tekton, |status| !status.conditions.is_empty()).await;
    let completed = status.condition("Completed").unwrap();
    assert_eq!(completed.reason.as_deref(), Some("TenantNotReady"));
    let message = "tenant \"demo\": The API workflow execution sink is missing a token.";
    assert_eq!(completed.message.as_deref(), Some(message));
    let secret = json!({"metadata": {"name": "sink"}, "stringData": {"token": "t0ken"}});
    world.create_secret("default", secret).await;
    // Nobody watches Secrets: what changes wakes the run, or the time does.
    let patch = json!({"metadata": {"annotations": {"test": "again"}}});
    world.runs().patch("r", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    world.finish("r", &mut tekton).await;
    let claims = claims(&world, "default", "r").await;
    assert_eq!(claims.execution_url.as_deref(), Some("http://runs"));
    assert_eq!(claims.execution_token.unwrap().expose_secret(), "t0ken");
    assert_eq!(claims.event_url, None);
}

#[tokio::test]
async fn steps_of_a_managed_tenant() {
    let world = World::running();
    let spec = json!({"namespaceTemplate": {"metadata": {"name": "acme"}}});
    world.create_tenant_of("demo", spec).await;
    world.create_workflow("w", json!([{"name": "a", "image": "i", "command": "c"}])).await;
    world.create_run("r", "w").await;
    world.finish("r", &mut Tekton::new(world.client.clone())).await;
    let api: Api<PipelineRun> = Api::namespaced(world.client.clone(), "acme");
    let spec = api.get("r").await.unwrap().spec;
    let template = spec.task_run_template.unwrap();
    assert_eq!(template.service_account_name.as_deref(), Some("demo-untrusted"));
    let accounts: Api<ServiceAccount> = Api::namespaced(world.client.clone(), "acme");
    let account = accounts.get("demo-untrusted").await.unwrap();
    assert_eq!(account.automount_service_account_token, Some(false));
    let pipeline = spec.pipeline_spec.unwrap();
    let step = &pipeline.tasks[0].task_spec.as_ref().unwrap().steps[1];
    let room = step.compute_resources.clone().unwrap();
    assert_eq!(room.limits, room.requests);
    assert_eq!(room.limits.unwrap()["ephemeral-storage"].0, "20Gi");
    assert_eq!(step.image_pull_policy.as_deref(), Some("Always"));
    let claims = claims(&world, "acme", "r").await;
    assert_eq!(claims.namespace_name.as_deref(), Some("acme"));
    assert_eq!((claims.execution_url, claims.execution_token.is_none()), (None, true));
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
