//! What is made for a run, and with what rights its steps run.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt as _};
use relay_core::{Action, Claims, RunId, StepName, TokenVerifier as _};
use relay_model::tekton::{PipelineRun, Task};
use relay_model::v1beta1::{Run, RunSpec};
use relay_reconcile::Context;
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::tekton::{Tekton, data};
use crate::world::{World, summary};

use crate::run::answer;

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

#[tokio::test]
async fn steps_are_given_the_authority_of_the_metadata_api() {
    let mut world = World::still();
    let mut context = Context::clone(&world.context);
    context.settings.metadata_api_ca = Some("PEM".to_owned());
    world.context = Arc::new(context);
    let world = world.start();
    world.create_tenant("demo").await;
    world.create_workflow("w", json!([{"name": "a", "image": "i", "command": "c"}])).await;
    world.create_run("r", "w").await;
    world.finish("r", &mut Tekton::new(world.client.clone())).await;
    let api: Api<PipelineRun> = Api::default_namespaced(world.client.clone());
    let tasks = api.get("r").await.unwrap().spec.pipeline_spec.unwrap().tasks;
    let steps = &tasks[0].task_spec.as_ref().unwrap().steps;
    let given = |step: usize| {
        let mut variables = steps[step].env.iter();
        variables.find(|variable| variable.name == "METADATA_API_CA")?.value.as_deref()
    };
    assert_eq!((given(0), given(1)), (Some("PEM"), Some("PEM")), "both have the same environment");
}

#[tokio::test]
async fn labels_names_and_states_that_go_along() {
    let mut world = World::still();
    // Everything is too large to be embedded.
    let mut context = Context::clone(&world.context);
    context.settings.max_embedded = 0;
    world.context = Arc::new(context);
    let world = world.start();
    world.create_tenant("demo").await;
    world.create_workflow("w", json!([{"name": "a Step", "image": "i", "input": ["x"]}])).await;
    let name = "4f0c1d2e-0000-4000-8000-123456789abc";
    let tools = [
        "app.kubernetes.io/managed-by",
        "argocd.argoproj.io/instance",
        "helm.sh/chart",
        "meta.helm.sh/release-name",
        "kubectl.kubernetes.io/last-applied-configuration",
    ];
    let theirs = ["app.kubernetes.io/name", "nothelm.sh/x", "helm.sh", "team"];
    let all: BTreeMap<_, _> =
        tools.iter().chain(&theirs).map(|key| ((*key).to_owned(), "v".to_owned())).collect();
    let spec = json!({
        "workflowRef": {"name": "w"},
        "state": {"steps": {"a Step": {"s": 1}, "unknown": {"approval": "approved"}, "../x": {"s": 1}}},
    });
    let mut run = Run::new(name, serde_json::from_value::<RunSpec>(spec).unwrap());
    run.metadata.labels = Some(all.clone());
    run.metadata.annotations = Some(all);
    world.runs().create(&PostParams::default(), &run).await.unwrap();
    let mut tekton = Tekton::new(world.client.clone());
    world.until(name, &mut tekton, |status| !status.steps.is_empty()).await;

    let api: Api<PipelineRun> = Api::default_namespaced(world.client.clone());
    let pipeline = api.get(name).await.unwrap();
    for (kind, of_it) in [("label", pipeline.labels()), ("annotation", pipeline.annotations())] {
        for key in tools {
            assert!(!of_it.contains_key(key), "{kind} {key}");
        }
        for key in theirs {
            assert_eq!(of_it.get(key).map(String::as_str), Some("v"), "{kind} {key}");
        }
    }
    let id = RunId::new(name).unwrap();
    let hash =
        |step: &str| Action::step(id.clone(), StepName::new(step).unwrap()).hash().to_string();
    let tasks: Api<Task> = Api::default_namespaced(world.client.clone());
    let [task] = &tasks.list(&ListParams::default()).await.unwrap().items[..] else {
        panic!("one step, one Task");
    };
    assert_eq!(task.name_any(), format!("f0c1d2e-0000-4000-800-{}", hash("a Step")));
    assert_eq!(task.spec.workspaces[0].mount_path.as_deref(), Some("/var/lib/puppet/relay"));
    let mutable = data(&world.client, &relay_model::name::derived(name, "-mutable")).await;
    let states: BTreeMap<_, _> =
        mutable.iter().filter(|(key, _)| key.contains(".state.")).collect();
    let expected = [
        (format!("steps.{}.state.s", hash("a Step")), "1"),
        (format!("steps.{}.state.approval", hash("unknown")), "\"approved\""),
    ];
    let expected: BTreeMap<_, _> = expected.into_iter().collect();
    let found: BTreeMap<_, _> =
        states.into_iter().map(|(key, value)| (key.clone(), value.as_str())).collect();
    assert_eq!(found, expected);
}

pub(crate) fn secret(name: &str, value: &str) -> serde_json::Value {
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
async fn a_run_starts_with_the_sink_that_there_is() {
    let source = |secret: &str| json!({"secretKeyRef": {"name": secret, "key": "token"}});
    for (name, secret, url, token) in [
        ("all is there", "sink", Some("http://runs"), Some("t0ken")),
        ("the token is missing", "missing", None, None),
    ] {
        let world = World::running();
        let given = json!({"metadata": {"name": "sink"}, "stringData": {"token": "t0ken"}});
        world.create_secret("default", given).await;
        let spec = json!({
            "triggerEventSink": {"api": {"url": "http://events", "tokenFrom": source("none")}},
            "workflowExecutionSink": {"api": {"url": "http://runs", "tokenFrom": source(secret)}},
        });
        world.create_tenant_of("demo", spec).await;
        world.create_workflow("w", json!([{"name": "a", "image": "i", "command": "c"}])).await;
        world.create_run("r", "w").await;
        let mut tekton = Tekton::new(world.client.clone());
        world.finish("r", &mut tekton).await;
        let claims = claims(&world, "default", "r").await;
        assert_eq!(claims.execution_url.as_deref(), url, "{name}");
        let found = claims.execution_token.map(|token| token.expose_secret().to_owned());
        assert_eq!(found.as_deref(), token, "{name}");
        assert_eq!(claims.event_url, None, "{name}");
    }
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
