//! A workflow with everything in it.

use std::time::Duration;

use relay_model::v1beta1::RunStatus;
use serde_json::json;

use crate::cluster::{Cluster, image, outputs, summary};
use crate::pods::{Pods, log};

fn waits_for_answer(status: &RunStatus) -> bool {
    let completed = status.condition("Completed");
    completed.and_then(|condition| condition.reason.as_deref()) == Some("WaitingForApproval")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Tekton and a node: .ci/tekton"]
async fn outputs_conditions_failures_approvals_and_secrets() {
    let cluster = Cluster::new("whole").await;
    cluster.secret("password", "hunter2").await;
    let pods = Pods::watch(&cluster, "whole");
    let image = image();
    let build = "set -e\n\
                 [ \"$PASSWORD\" = hunter2 ]\n\
                 sleep 1\n\
                 who=$(ni get -p '{.who}')\n\
                 echo building for $who\n\
                 ni output set -k greeting -v \"hello $who\" >/dev/null";
    let steps = json!([
        {
            "name": "build", "image": image, "input": [build],
            "spec": {"who": "${parameters.who}"}, "env": {"PASSWORD": "${secrets.password}"},
        },
        {
            "name": "deploy", "image": image, "command": "sh",
            "args": ["-c", "ni output set -k said -v \"$(ni get -p '{.text}')!\"; exit 0"],
            "spec": {"text": "${outputs.build.greeting}"},
            "when": ["${outputs.build.greeting == 'hello otter'}"],
        },
        {
            "name": "elsewhere", "image": image, "command": "true",
            "when": ["${outputs.build.greeting == 'hello'}"],
        },
        {"name": "broken", "image": image, "command": "sh", "args": ["-c", "echo bad >&2; exit 7"]},
        {"name": "behind", "image": image, "command": "true", "dependsOn": ["broken"]},
        {"name": "release", "image": "", "dependsOn": ["deploy"]},
        {"name": "ship", "image": image, "command": "true", "dependsOn": ["release"]},
    ]);
    cluster.start("whole", json!({}), steps).await;

    cluster.until("whole", waits_for_answer).await;
    let asked = pods.elapsed();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(pods.appeared("ship"), None, "nothing runs before the answer");
    cluster.want("whole", json!({"steps": {"release": {"approval": "approved"}}})).await;
    let answered = pods.elapsed();
    let status = cluster.until("whole", RunStatus::is_completed).await;
    let ended = pods.elapsed();
    println!("{}", pods.table());
    let seconds = |at: Duration| at.as_secs_f64();
    println!(
        "asked at {:.2} s, answered at {:.2} s, ended at {:.2} s",
        seconds(asked),
        seconds(answered),
        seconds(ended)
    );
    assert_eq!(
        summary(&status),
        [
            "build: True Succeeded",
            "deploy: True Succeeded",
            "elsewhere: False ConditionFalse",
            "broken: False Failed",
            "behind: False DependencyNotSucceeded",
            "release: True Approved",
            "ship: True Succeeded",
            "run: False StepFailed",
        ]
    );
    let text = |text: &str| format!("\"{text}\"");
    assert_eq!(outputs(&status, "build"), [("greeting".to_owned(), text("hello otter"))]);
    assert_eq!(outputs(&status, "deploy"), [("said".to_owned(), text("hello otter!"))]);
    assert_eq!(log(&cluster, "whole", "build").await, "building for otter\n");
    assert_eq!(log(&cluster, "whole", "broken").await, "bad\n");

    // No pod before it has work, and none for what does not run.
    let first: Vec<_> = pods.seen().into_iter().map(|seen| seen.step).collect();
    for step in ["elsewhere", "behind", "release"] {
        assert!(!first.iter().any(|seen| seen == step), "{step} has a pod");
    }
    assert!(pods.appeared("deploy") >= pods.ended("build"), "deploy waits without a pod");
    assert!(pods.appeared("ship") >= Some(answered), "ship waits without a pod");
    cluster.remove().await;
}
