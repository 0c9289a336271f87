//! Names and numbers at their limits: they work, or the object says what is wrong with it.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt as _};
use relay_core::{Action, Decorator, Journal as _, Value};
use relay_model::tekton::{PipelineRun, Task};
use relay_model::v1beta1::{Run, RunStatus};
use relay_store::ConfigMapJournal;
use serde_json::json;

use crate::tekton::{Ending, Tekton};
use crate::world::{World, summary};

#[tokio::test]
async fn names() {
    let long = |end: &str| format!("{}{end}", "n".repeat(253 - end.len()));
    for (run, workflow, step) in [
        (long("a").as_str(), long("w").as_str(), "s"),
        ("1.2.3", "0", "with space"),
        ("r", "w", "größe/日本語 – 🦀"),
        ("r", "w", "it's \"quoted\" ${x}"),
        ("r", "w", "s".repeat(1_000).as_str()),
    ] {
        let world = World::running();
        world.create_tenant("demo").await;
        let steps = json!([
            {"name": step, "image": "i", "input": ["x"], "spec": {"ключ": "${parameters.who}"}},
            {"name": "after", "image": "i", "command": "c", "dependsOn": [step]},
        ]);
        world.create_workflow(workflow, steps).await;
        world.create_run(run, workflow).await;
        let mut tekton = Tekton::new(world.client.clone());
        let status = world.finish(run, &mut tekton).await;
        let expected = [format!("{step}: True Succeeded"), "after: True Succeeded".to_owned()];
        assert_eq!(summary(&status)[..2], expected, "{run} {workflow} {step}");
    }
}

#[tokio::test]
async fn tenants_with_long_names_are_kept_apart() {
    let world = World::running();
    let (a, b) = (format!("{}a", "t".repeat(252)), format!("{}b", "t".repeat(252)));
    world.create_tenant(&a).await;
    world.create_tenant(&b).await;
    for _ in 0..1_000 {
        if crate::tenant::policies(&world.client).await.len() == 10 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("{:?}", crate::tenant::policies(&world.client).await);
}

#[tokio::test]
async fn two_hundred_large_steps() {
    let world = World::running();
    world.create_tenant("demo").await;
    let mut steps = vec![json!({"name": "first", "image": "i", "command": "c"})];
    for step in 0..199 {
        let args = vec!["x".repeat(700)];
        let after = if step % 20 == 0 { json!(["first"]) } else { json!([]) };
        let step = format!("step-{step}");
        steps.push(
            json!({"name": step, "image": "i", "command": "c", "args": args, "dependsOn": after}),
        );
    }
    world.create_workflow("w", json!(steps)).await;
    world.create_run("r", "w").await;
    let mut tekton = Tekton::new(world.client.clone());
    let status = world.finish("r", &mut tekton).await;
    assert_eq!(summary(&status).last().unwrap(), "run: True");
    assert_eq!((status.steps.len(), tekton.ran.len()), (200, 200));

    let pipelines: Api<PipelineRun> = Api::default_namespaced(world.client.clone());
    let pipeline = pipelines.get("r").await.unwrap();
    let size = serde_json::to_vec(&pipeline.spec).unwrap().len();
    assert!(size < 256 << 10, "{size} bytes");
    let tasks: Api<Task> = Api::default_namespaced(world.client.clone());
    let made = tasks.list(&ListParams::default()).await.unwrap().items;
    assert_eq!(made.len(), 200);
    for task in &made {
        assert_eq!(task.owner_references()[0].name, "r-immutable");
        assert!(task.annotations().contains_key("relay.sh/token"));
        assert!(task.spec.metadata.is_none(), "Tekton knows no such field of a Task");
    }
    world.runs().delete("r", &DeleteParams::default()).await.unwrap();
    for _ in 0..1_000 {
        if tasks.list(&ListParams::default()).await.unwrap().items.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("Tasks are left");
}

#[tokio::test]
async fn five_hundred_outputs() {
    let world = World::running();
    world.create_tenant("demo").await;
    let steps = json!([
        {"name": "a", "image": "i", "command": "c"},
        {"name": "b", "image": "i", "command": "c", "when": "${outputs.a.'o-499' == 499}"},
    ]);
    world.create_workflow("w", steps).await;
    world.create_run("r", "w").await;
    let outputs: BTreeMap<_, _> =
        (0..500).map(|index| (format!("o-{index}"), Value::from(index))).collect();
    let mut tekton =
        Tekton::new(world.client.clone()).ending("a", Ending { outputs, ..Ending::default() });
    let status = world.finish("r", &mut tekton).await;
    assert_eq!(summary(&status), ["a: True Succeeded", "b: True Succeeded", "run: True"]);
    assert_eq!(status.steps[0].outputs.len(), 500);
}

/// A run that was given much, whose step gives back much: etcd would not take both.
async fn much(given: usize, outputs: usize, decorators: usize) -> RunStatus {
    let world = World::running();
    world.create_tenant("demo").await;
    world.create_workflow("w", json!([{"name": "a", "image": "i", "command": "c"}])).await;
    let spec = json!({"workflowRef": {"name": "w"}, "parameters": {"big": "x".repeat(given)}});
    let run = Run::new("r", serde_json::from_value(spec).unwrap());
    world.runs().create(&PostParams::default(), &run).await.unwrap();
    let outputs = (0..outputs).map(|index| (format!("o-{index}"), "x".repeat(12_000).into()));
    let ending = Ending { outputs: outputs.collect(), ..Ending::default() };
    let mut nobody = Tekton::new(world.client.clone());
    nobody.only = Some("none".to_owned());
    world.until("r", &mut nobody, |status| !status.steps.is_empty()).await;
    let action = Action::step("r".parse().unwrap(), "a".parse().unwrap());
    let journal = ConfigMapJournal::new(world.client.clone(), "default", "r-mutable", action);
    let uri = "x".repeat(20_000);
    for index in 0..decorators {
        let link = Decorator::Link { description: String::new(), uri: uri.clone() };
        journal.set_decorator(&format!("d-{index}"), link).await.unwrap();
    }
    let mut tekton = Tekton::new(world.client.clone()).ending("a", ending);
    world.finish("r", &mut tekton).await
}

#[tokio::test]
async fn a_run_with_more_than_etcd_takes_ends() {
    for (name, given, outputs, decorators) in
        [("outputs", 990_000, 60, 0), ("decorators", 990_000, 2, 40), ("all", 1_040_000, 4, 40)]
    {
        let status = much(given, outputs, decorators).await;
        assert_eq!(summary(&status), ["a: True Succeeded", "run: True"], "{name}");
        let step = &status.steps[0];
        assert_eq!(step.outputs.len(), outputs, "{name}");
        assert!(step.outputs.iter().any(|output| output.omitted.is_some()), "{name}");
    }
}

#[tokio::test]
async fn null_members_of_outputs_are_shown() {
    let world = World::running();
    world.create_tenant("demo").await;
    world.create_workflow("w", json!([{"name": "a", "image": "i", "command": "c"}])).await;
    world.create_run("r", "w").await;
    let value = Value::from_json(r#"{"a":null,"l":[1,null,{"b":null}]}"#).unwrap();
    let outputs = [("o".to_owned(), value.clone())].into();
    let mut tekton =
        Tekton::new(world.client.clone()).ending("a", Ending { outputs, ..Ending::default() });
    let status = world.finish("r", &mut tekton).await;
    assert_eq!(status.steps[0].outputs[0].value, value);
}

#[tokio::test]
async fn what_does_not_fit_says_so() {
    let big = "x".repeat(1 << 20);
    for (name, steps) in [
        ("a specification", json!([{"name": "a", "image": "i", "spec": {"x": big}}])),
        ("a script", json!([{"name": "a", "image": "i", "input": [big]}])),
    ] {
        let world = World::running();
        world.create_tenant("demo").await;
        world.create_workflow("big", steps).await;
        world.create_workflow("small", json!([{"name": "a", "image": "i", "command": "c"}])).await;
        world.create_run("big", "big").await;
        world.create_run("small", "small").await;
        let mut tekton = Tekton::new(world.client.clone());
        let status = world.finish("big", &mut tekton).await;
        let succeeded = status.condition("Succeeded").unwrap();
        assert_eq!(succeeded.reason.as_deref(), Some("InvalidRun"), "{name}");
        assert!(
            succeeded.message.as_deref().unwrap().contains("Too long"),
            "{name}: {succeeded:?}"
        );
        // One that does not fit stops no other one.
        assert_eq!(
            summary(&world.finish("small", &mut tekton).await),
            ["a: True Succeeded", "run: True"]
        );
    }
}

#[tokio::test]
async fn a_specification_of_nearly_half_a_mebibyte_works() {
    let world = World::running();
    world.create_tenant("demo").await;
    let big = "x".repeat(400 << 10);
    world.create_workflow("w", json!([{"name": "a", "image": "i", "spec": {"x": big}}])).await;
    world.create_run("r", "w").await;
    world.finish("r", &mut Tekton::new(world.client.clone())).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(world.client.clone());
    assert!(maps.get("r-immutable").await.is_ok());
}

#[tokio::test]
async fn names_that_cannot_be_say_so() {
    for step in ["../x", "", "a//b", "\u{7}"] {
        let world = World::running();
        world.create_tenant("demo").await;
        world.create_workflow("w", json!([{"name": step, "image": "i", "command": "c"}])).await;
        world.create_run("r", "w").await;
        let done = |status: &RunStatus| status.is_completed();
        let status = world.until("r", &mut Tekton::new(world.client.clone()), done).await;
        let succeeded = status.condition("Succeeded").unwrap();
        assert_eq!(succeeded.reason.as_deref(), Some("InvalidWorkflow"), "{step:?}");
    }
}
