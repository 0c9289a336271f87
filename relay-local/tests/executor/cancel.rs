use std::time::{Duration, Instant};

use kube::api::{DeleteParams, Patch, PatchParams};
use relay_reconcile::run::TaskEnding;
use serde_json::json;

use crate::scene::{Scene, Task, eventually, message, reason};

/// A step whose grandchild writes its number into a file and ignores polite requests.
fn family(scene: &Scene, name: &str) -> Task {
    let file = scene.path().join(name).display().to_string();
    let script = format!(
        "sh -c 'sh -c \"trap : TERM; echo \\$\\$ > {file}.new; mv {file}.new {file}; \
         while :; do sleep 0.05; done\" & wait' & wait"
    );
    Task::script(name, &script)
}

/// The number of the grandchild.
async fn grandchild(scene: &Scene, name: &str) -> nix::unistd::Pid {
    let file = scene.path().join(name);
    let text = eventually("the grandchild", async || std::fs::read_to_string(&file).ok()).await;
    nix::unistd::Pid::from_raw(text.trim().parse().unwrap())
}

fn is_alive(process: nix::unistd::Pid) -> bool {
    // Somebody's orphan stays as a zombie until its new parent looks.
    std::fs::read_to_string(format!("/proc/{process}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}

async fn gone(process: nix::unistd::Pid) {
    eventually("the end of the process", async || (!is_alive(process)).then_some(())).await;
}

async fn scene() -> Scene {
    let mut scene = Scene::new().await;
    scene.options.grace = Duration::from_millis(200);
    scene
}

#[tokio::test]
async fn cancelling_ends_children_of_children() {
    let scene = scene().await;
    let running = scene.start();
    scene
        .run(vec![
            family(&scene, "long").ignored(),
            Task::gate("asked"),
            Task::script("asked", "true").gated(),
            Task::script("behind", "true").after(&["long"]),
        ])
        .await;
    let process = grandchild(&scene, "long").await;
    assert!(is_alive(process));
    scene.cancel().await;
    let status = scene.end().await;
    assert_eq!(reason(&status.conditions), "Cancelled");
    gone(process).await;
    let long = scene.task_end("long").await;
    assert_eq!(reason(&long.conditions), "TaskRunCancelled");
    let ending = TaskEnding::of(&long).unwrap();
    assert_eq!((&*ending.reason, &*ending.message), ("Cancelled", "the run was cancelled"));
    let gate = scene.custom().get("r-gate-asked").await.unwrap();
    assert_eq!(gate.spec.status.as_deref(), Some("RunCancelled"));
    assert_eq!(scene.task_names().await, ["r-long"]);
    eventually("clean", async || scene.is_clean().then_some(())).await;
    running.stop().await;
}

#[tokio::test]
async fn what_is_cancelled_from_the_start_does_not_start() {
    let scene = scene().await;
    scene.run(vec![Task::script("a", "true")]).await;
    scene.cancel().await;
    let running = scene.start();
    assert_eq!(reason(&scene.end().await.conditions), "Cancelled");
    assert!(scene.task_names().await.is_empty());
    running.stop().await;
}

#[tokio::test]
async fn deleting_ends_the_process() {
    let scene = scene().await;
    let running = scene.start();
    scene
        .run(vec![family(&scene, "long").ignored(), Task::script("b", "true").after(&["long"])])
        .await;
    let process = grandchild(&scene, "long").await;
    scene.tasks().delete("r-long", &DeleteParams::default()).await.unwrap();
    gone(process).await;
    let status = scene.end().await;
    assert_eq!(reason(&status.conditions), "Cancelled");
    assert_eq!(status.skipped_tasks[0].reason, "PipelineRun was stopping");
    running.stop().await;
}

#[tokio::test]
async fn deleting_everything_ends_everything() {
    let scene = scene().await;
    let running = scene.start();
    scene.run(vec![family(&scene, "long"), Task::script("b", "true").after(&["long"])]).await;
    let process = grandchild(&scene, "long").await;
    scene.runs().delete("r", &DeleteParams::default()).await.unwrap();
    gone(process).await;
    eventually("clean", async || scene.is_clean().then_some(())).await;
    assert!(scene.task_names().await.is_empty());
    running.stop().await;
}

#[tokio::test]
async fn the_end_of_the_engine_ends_its_processes() {
    let scene = scene().await;
    let running = scene.start();
    scene.run(vec![family(&scene, "long")]).await;
    let process = grandchild(&scene, "long").await;
    running.stop().await;
    assert!(!is_alive(process));
    let long = scene.task_end("long").await;
    assert_eq!(reason(&long.conditions), "TaskRunCancelled");
    assert!(message(&long.conditions).contains("shut down"));
    assert!(scene.is_clean());
    // Whoever comes next draws the conclusion.
    assert_eq!(reason(&scene.status().await.conditions), "Running");
    let next = scene.start();
    assert_eq!(reason(&scene.end().await.conditions), "Cancelled");
    next.stop().await;
}

#[tokio::test]
async fn the_limit_of_a_step() {
    let scene = scene().await;
    let running = scene.start();
    scene
        .run(vec![
            family(&scene, "long").ignored().timeout("300ms"),
            Task::script("next", "echo next").after(&["long"]),
        ])
        .await;
    let process = grandchild(&scene, "long").await;
    let status = scene.end().await;
    assert_eq!(reason(&status.conditions), "Completed");
    let long = scene.task_end("long").await;
    assert_eq!(reason(&long.conditions), "TaskRunTimeout");
    assert_eq!(message(&long.conditions), "TaskRun \"r-long\" failed to finish within \"300ms\"");
    assert_eq!(scene.output("next").await, "next\n");
    gone(process).await;
    running.stop().await;
}

#[tokio::test]
async fn the_limit_of_a_pipeline() {
    let scene = scene().await;
    let running = scene.start();
    let begun = Instant::now();
    let tasks = vec![family(&scene, "long"), Task::script("next", "true").after(&["long"])];
    scene.run_with(tasks, json!({"pipeline": "600ms"})).await;
    let process = grandchild(&scene, "long").await;
    let status = scene.end().await;
    assert!(begun.elapsed() >= Duration::from_millis(600));
    assert_eq!(reason(&status.conditions), "PipelineRunTimeout");
    assert_eq!(status.skipped_tasks[0].reason, "PipelineRun timeout has been reached");
    let long = scene.task_end("long").await;
    assert_eq!(reason(&long.conditions), "TaskRunCancelled");
    assert_eq!(
        message(&long.conditions),
        "TaskRun \"r-long\" was cancelled. \
         TaskRun cancelled as the PipelineRun it belongs to has timed out."
    );
    let ending = TaskEnding::of(&long).unwrap();
    assert_eq!((&*ending.reason, &*ending.message), ("TimedOut", "the run exceeded its time"));
    gone(process).await;
    running.stop().await;
}

#[tokio::test]
async fn the_limit_of_a_custom_task() {
    let scene = scene().await;
    let running = scene.start();
    scene.run(vec![Task::gate("a").timeout("200ms")]).await;
    let gate = eventually("the gate", async || scene.custom().get_opt("r-gate-a").await.unwrap());
    assert_eq!(gate.await.spec.timeout.as_deref(), Some("200ms"));
    let write = async |status: serde_json::Value| {
        let patch = Patch::Merge(json!({"status": status}));
        scene.custom().patch_status("r-gate-a", &PatchParams::default(), &patch).await.unwrap();
    };
    let now = jiff::Timestamp::now().to_string();
    write(json!({
        "startTime": now, "conditions": [{"type": "Succeeded", "status": "Unknown"}],
    }))
    .await;
    eventually("the request", async || {
        (scene.custom().get("r-gate-a").await.unwrap().spec.status?.as_str() == "RunCancelled")
            .then_some(())
    })
    .await;
    write(json!({"conditions": [{"type": "Succeeded", "status": "False"}]})).await;
    assert_eq!(reason(&scene.end().await.conditions), "Failed");
    running.stop().await;
}

#[tokio::test]
async fn what_waits_for_a_place_can_be_cancelled() {
    let mut scene = scene().await;
    scene.options.max_parallel = 1;
    let running = scene.start();
    scene.run(vec![family(&scene, "a")]).await;
    let process = grandchild(&scene, "a").await;
    let mut waiting = scene.tasks().get("r-a").await.unwrap();
    waiting.metadata =
        kube::api::ObjectMeta { name: Some("lone".to_owned()), ..Default::default() };
    waiting.status = None;
    scene.tasks().create(&kube::api::PostParams::default(), &waiting).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(scene.tasks().get("lone").await.unwrap().status.is_none());
    let patch = Patch::Merge(json!({"spec": {"status": "TaskRunCancelled"}}));
    scene.tasks().patch("lone", &PatchParams::default(), &patch).await.unwrap();
    let status = eventually("the end", async || {
        scene.tasks().get("lone").await.unwrap().status.filter(|s| s.completion_time.is_some())
    })
    .await;
    assert_eq!(reason(&status.conditions), "TaskRunCancelled");
    assert!(is_alive(process));

    // One that waits when the engine ends is none of its business.
    waiting.metadata.name = Some("next".to_owned());
    scene.tasks().create(&kube::api::PostParams::default(), &waiting).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    running.stop().await;
    assert!(!is_alive(process));
    assert!(scene.tasks().get("next").await.unwrap().status.is_none());
}
