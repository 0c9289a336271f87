//! How steps end: by what they report, by their TaskRuns, and by what becomes of these.

use kube::Api;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use relay_core::{Action, ConditionOutcome, Journal as _, ProcessState, WhenCondition};
use relay_model::tekton::{PIPELINE_RUN_LABEL, PipelineRun, TaskRun, TaskRunSpec};
use relay_model::v1beta1::{LogReference, RunStatus};
use relay_store::ConfigMapJournal;
use serde_json::json;

use crate::interference::asking;
use crate::tekton::{Ending, Tekton, data};
use crate::world::{World, summary};

/// Ends a PipelineRun as Tekton does.
pub(crate) async fn end_pipeline(world: &World, status: &str, reason: &str, child: Option<&str>) {
    let children: Vec<_> = child
        .map(|task| json!({"kind": "TaskRun", "name": "r-gone", "pipelineTaskName": task}))
        .into_iter()
        .collect();
    let condition = json!({"type": "Succeeded", "status": status, "reason": reason});
    let patch = json!({"status": {"conditions": [condition], "childReferences": children}});
    let api: Api<PipelineRun> = Api::default_namespaced(world.client.clone());
    api.patch_status("r", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
}

#[tokio::test]
async fn a_pipeline_run_that_others_end_is_no_success() {
    for (name, reason, expected) in [
        (
            "cancelled",
            "Cancelled",
            ["ask: False Cancelled", "do: False Cancelled", "run: False Cancelled"],
        ),
        (
            "timed out",
            "PipelineRunTimeout",
            ["ask: False TimedOut", "do: False TimedOut", "run: False TimedOut"],
        ),
        (
            "anything else",
            "CouldntGetTask",
            ["ask: False NotStarted", "do: False NotStarted", "run: False PipelineFailed"],
        ),
    ] {
        let (world, mut tekton) = asking().await;
        end_pipeline(&world, "False", reason, None).await;
        let status = world.finish("r", &mut tekton).await;
        assert_eq!(summary(&status), expected, "{name}");
    }
}

#[tokio::test]
async fn a_task_run_that_is_lost_is_no_success() {
    for (name, lost, expected, exit_code) in [
        ("with a report", None, ["a: False Failed", "run: False StepFailed"], 1),
        ("without one", Some("x"), ["a: False Lost", "run: False StepFailed"], -1),
    ] {
        let mut world = World::running();
        world.create_tenant("demo").await;
        world.create_workflow("w", json!([{"name": "a", "image": "i", "command": "c"}])).await;
        world.create_run("r", "w").await;
        let mut nobody = Tekton { only: Some("none".to_owned()), ..tekton(&world, lost) };
        let started = |status: &RunStatus| !status.steps.is_empty();
        world.until("r", &mut nobody, started).await;
        world.stop();
        tekton(&world, lost).advance().await;
        let tasks: Api<TaskRun> = Api::default_namespaced(world.client.clone());
        let task = tasks.list(&ListParams::default()).await.unwrap().items.remove(0);
        let pipeline_task = task.labels()["tekton.dev/pipelineTask"].clone();
        tasks.delete(&task.name_any(), &DeleteParams::default()).await.unwrap();
        end_pipeline(&world, "True", "Completed", Some(&pipeline_task)).await;
        let world = world.start();
        let status = world.finish("r", &mut nobody).await;
        assert_eq!(summary(&status), expected, "{name}");
        let record = data(&world.client, "r-mutable").await;
        let record = record.iter().find(|(key, _)| key.ends_with(".status")).unwrap().1;
        assert!(record.contains(&format!("\"ExitCode\":{exit_code},")), "{name}: {record}");
    }
}

fn tekton(world: &World, lost: Option<&'static str>) -> Tekton {
    let ending = Ending { exit_code: 1, lost, ..Ending::default() };
    Tekton::new(world.client.clone()).ending("a", ending)
}

/// A step's own report, as the metadata API stores it.
async fn report(world: &World, step: &str, exit_code: Option<i64>) {
    let action = Action::step("r".parse().unwrap(), step.parse().unwrap());
    let journal = ConfigMapJournal::new(world.client.clone(), "default", "r-mutable", action);
    let timestamp = jiff::Timestamp::now();
    let outcome = match exit_code {
        Some(_) => ConditionOutcome::Satisfied,
        None => ConditionOutcome::NotSatisfied,
    };
    let status = relay_core::StepStatus {
        process: exit_code.map(|exit_code| ProcessState { exit_code, timestamp }),
        when: Some(WhenCondition { outcome, timestamp }),
    };
    journal.set_status(status).await.unwrap();
}

#[tokio::test]
async fn what_steps_report_ends_them() {
    let world = World::running();
    world.create_tenant("demo").await;
    let steps = json!([
        {"name": "a", "image": "i", "command": "c"},
        {"name": "b", "image": "i", "command": "c", "dependsOn": ["a"]},
        {"name": "c", "image": "i", "command": "c", "dependsOn": ["a"]},
    ]);
    world.create_workflow("w", steps).await;
    world.create_run("r", "w").await;
    let mut nobody = Tekton { only: Some("none".to_owned()), ..Tekton::new(world.client.clone()) };
    world.until("r", &mut nobody, |status| !status.steps.is_empty()).await;
    report(&world, "a", Some(0)).await;
    let completed = |step: usize| {
        move |status: &RunStatus| status.steps[step].condition("Completed").unwrap().is_true()
    };
    let status = world.until("r", &mut nobody, completed(0)).await;
    assert!(status.steps[0].condition("Succeeded").unwrap().is_true());
    assert!(!status.is_completed() && !completed(1)(&status));
    report(&world, "b", Some(3)).await;
    report(&world, "c", None).await;
    let status = world.finish("r", &mut nobody).await;
    assert_eq!(
        summary(&status),
        [
            "a: True Succeeded",
            "b: False Failed",
            "c: False ConditionFalse",
            "run: False StepFailed"
        ]
    );
    assert!(status.steps[2].condition("Skipped").unwrap().is_true());
}

#[tokio::test]
async fn a_task_run_has_the_last_word_and_names_its_pod() {
    for (name, succeeded, reason, expected) in [
        ("it agrees", "True", "Succeeded", ["a: True Succeeded", "run: True"]),
        (
            "it was cut off",
            "False",
            "TaskRunTimeout",
            ["a: False TimedOut", "run: False StepFailed"],
        ),
    ] {
        let world = World::running();
        world.create_tenant("demo").await;
        world.create_workflow("w", json!([{"name": "a", "image": "i", "command": "c"}])).await;
        world.create_run("r", "w").await;
        let mut nobody = tekton(&world, None);
        nobody.only = Some("none".to_owned());
        world.until("r", &mut nobody, |status| !status.steps.is_empty()).await;
        let pipelines: Api<PipelineRun> = Api::default_namespaced(world.client.clone());
        let pipeline = pipelines.get("r").await.unwrap();
        let task = pipeline.spec.pipeline_spec.as_ref().unwrap().tasks[0].name.clone();
        let tasks: Api<TaskRun> = Api::default_namespaced(world.client.clone());
        let mut made = TaskRun::new("r-a", TaskRunSpec::default());
        made.metadata.labels = Some(
            [
                ("controller.relay.sh/run-id", "r"),
                (PIPELINE_RUN_LABEL, "r"),
                ("tekton.dev/pipelineTask", &task),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        );
        made.metadata.annotations = pipeline.metadata.annotations;
        tasks.create(&PostParams::default(), &made).await.unwrap();
        let tell = async |succeeded: &str, reason: &str| {
            let condition = json!({"type": "Succeeded", "status": succeeded, "reason": reason});
            let patch = json!({"status": {"conditions": [condition], "podName": "r-a-pod"}});
            let params = PatchParams::default();
            tasks.patch_status("r-a", &params, &Patch::Merge(&patch)).await.unwrap();
        };
        tell("Unknown", "Running").await;
        report(&world, "a", Some(0)).await;
        let reported = |status: &RunStatus| {
            status.steps[0].condition("Completed").unwrap().is_true() && !status.is_completed()
        };
        let status = world.until("r", &mut nobody, reported).await;
        let log = LogReference { name: Some("r-a-pod".to_owned()), context: None };
        assert_eq!(status.steps[0].logs, [log], "{name}");
        tell(succeeded, reason).await;
        let status = world.finish("r", &mut nobody).await;
        assert_eq!(summary(&status), expected, "{name}");
    }
}
