//! The ways in which steps and runs end.

use std::time::{Duration, Instant};

use relay_model::v1beta1::RunStatus;
use serde_json::json;

use crate::cluster::{Cluster, image, step, summary};
use crate::pods::{Pods, log};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Tekton and a node: .ci/tekton"]
async fn exit_codes_are_seen_by_tekton() {
    let cluster = Cluster::new("codes").await;
    let image = image();
    let steps = json!([
        {"name": "seven", "image": image, "command": "sh", "args": ["-c", "exit 7"]},
        {"name": "killed", "image": image, "command": "sh", "args": ["-c", "kill -9 $$"]},
        {"name": "missing", "image": image, "command": "/no/such/program"},
        {"name": "directory", "image": image, "command": "/tmp"},
        {"name": "good", "image": image, "command": "true"},
    ]);
    cluster.start("codes", json!({}), steps).await;
    let status = cluster.until("codes", RunStatus::is_completed).await;
    assert_eq!(
        summary(&status),
        [
            "seven: False Failed",
            "killed: False Failed",
            "missing: False Failed",
            "directory: False Failed",
            "good: True Succeeded",
            "run: False StepFailed",
        ]
    );
    for (step, code) in
        [("seven", 7), ("killed", 137), ("missing", 127), ("directory", 126), ("good", 0)]
    {
        let task = cluster.task_run("codes", step).await;
        let steps = task.data["status"]["steps"].as_array().unwrap();
        let step_step = steps.iter().find(|container| container["name"] == "step").unwrap();
        assert_eq!(step_step["terminated"]["exitCode"], code, "{step}: {step_step}");
    }
    let said = log(&cluster, "codes", "missing").await;
    assert!(said.contains("/no/such/program: no such program"), "{said}");
    cluster.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Tekton and a node: .ci/tekton"]
async fn a_cancelled_run_ends_soon_and_leaves_nothing_running() {
    let cluster = Cluster::new("cancelled").await;
    let pods = Pods::watch(&cluster, "cancelled");
    let image = image();
    let steps = json!([
        {"name": "long", "image": image, "command": "sleep", "args": ["600"]},
        {"name": "behind", "image": image, "command": "true", "dependsOn": ["long"]},
        {"name": "question", "image": ""},
    ]);
    cluster.start("cancelled", json!({}), steps).await;
    cluster
        .until("cancelled", |status| {
            status.steps.iter().any(|step| step.name == "long" && step.start_time.is_some())
        })
        .await;
    let started = Instant::now();
    cluster.want("cancelled", json!({"workflow": {"cancel": true}})).await;
    let status = cluster.until("cancelled", RunStatus::is_completed).await;
    assert!(started.elapsed() < Duration::from_secs(20));
    let told = started.elapsed();
    pods.until_gone(Duration::from_secs(25)).await;
    let gone = started.elapsed();
    println!(
        "cancelled after {:.2} s, no pod after {:.2} s\n{}",
        told.as_secs_f64(),
        gone.as_secs_f64(),
        pods.table()
    );
    let cancelled = status.condition("Cancelled").unwrap();
    assert!(cancelled.is_true(), "{cancelled:?}");
    assert_eq!(summary(&status).last().unwrap(), "run: False Cancelled");
    assert!(!step(&status, "behind").condition("Succeeded").unwrap().is_true());
    assert_eq!(pods.appeared("behind"), None);
    cluster.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Tekton and a node: .ci/tekton"]
async fn a_step_that_takes_too_long_is_ended() {
    let cluster = Cluster::new("late").await;
    let image = image();
    let steps = json!([
        {"name": "long", "image": image, "command": "sleep", "args": ["600"]},
        {"name": "other", "image": image, "command": "true"},
    ]);
    cluster.start("late", json!({"relay.sh/step-timeout": "15s"}), steps).await;
    let status = cluster.until("late", RunStatus::is_completed).await;
    assert_eq!(
        summary(&status),
        ["long: False TimedOut", "other: True Succeeded", "run: False StepFailed"]
    );
    cluster.remove().await;
}
