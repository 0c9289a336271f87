use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kube_memory::{MemoryCluster, Verb};
use relay_model::tekton::PipelineRunStatus;

use crate::scene::{Scene, Task, eventually, message, reason};

fn skipped(status: &PipelineRunStatus) -> BTreeMap<&str, &str> {
    let tasks = status.skipped_tasks.iter();
    tasks.map(|task| (task.name.as_str(), task.reason.as_str())).collect()
}

#[tokio::test]
async fn two_steps_and_a_gate() {
    let scene = Scene::new().await;
    let running = scene.start();
    scene.resolve_gates(|_| Some("run"));
    scene
        .run(vec![
            Task::command("first", &["echo", "one"]).ignored(),
            Task::gate("second").after(&["first"]),
            Task::script("second", "echo two").gated().ignored(),
        ])
        .await;
    let status = scene.end().await;
    assert_eq!(reason(&status.conditions), "Succeeded");
    assert!(status.start_time.is_some() && status.completion_time.is_some());
    let children: Vec<_> =
        status.child_references.iter().map(|child| child.name.as_str()).collect();
    assert_eq!(children, ["r-first", "r-gate-second", "r-second"]);
    assert_eq!(status.child_references[1].api_version, "tekton.dev/v1beta1");
    assert_eq!(scene.output("first").await, "one\n");
    assert_eq!(scene.output("second").await, "two\n");

    let second = scene.task_end("second").await;
    assert_eq!(second.steps[0].terminated.as_ref().unwrap().exit_code, 0);
    assert_eq!(second.pod_name.as_deref(), Some("r-second-pod"));
    eventually("clean", async || scene.is_clean().then_some(())).await;
    running.stop().await;
}

#[tokio::test]
async fn branches_of_a_diamond_overlap() {
    let scene = Scene::new().await;
    let running = scene.start();
    // Each waits until the other is there.
    let meet = |mine: &str, other: &str| {
        let dir = scene.path().display();
        format!("touch {dir}/{mine}; until [ -e {dir}/{other} ]; do sleep 0.01; done")
    };
    scene
        .run(vec![
            Task::script("top", "true"),
            Task::script("left", &meet("left", "right")).after(&["top"]),
            Task::script("right", &meet("right", "left")).after(&["top"]),
            Task::script("bottom", "echo done").after(&["left", "right"]),
        ])
        .await;
    assert_eq!(reason(&scene.end().await.conditions), "Succeeded");
    assert_eq!(scene.output("bottom").await, "done\n");
    running.stop().await;
}

#[tokio::test]
async fn an_ignored_failure_does_not_stop_the_others() {
    let scene = Scene::new().await;
    let running = scene.start();
    scene
        .run(vec![
            Task::script("bad", "exit 3").ignored(),
            Task::script("behind", "echo behind").after(&["bad"]),
            Task::script("other", "sleep 0.2; echo other"),
        ])
        .await;
    let status = scene.end().await;
    assert_eq!(reason(&status.conditions), "Completed");
    assert_eq!(
        message(&status.conditions),
        "Tasks Completed: 3 (Failed: 1 (Ignored: 1), Cancelled 0), Skipped: 0"
    );
    let bad = scene.task_end("bad").await;
    assert_eq!(reason(&bad.conditions), "FailureIgnored");
    assert_eq!(bad.steps[0].terminated.as_ref().unwrap().exit_code, 3);
    assert_eq!(scene.output("behind").await, "behind\n");
    running.stop().await;
}

#[tokio::test]
async fn a_failure_stops_what_has_not_started() {
    let scene = Scene::new().await;
    let running = scene.start();
    scene
        .run(vec![
            Task::script("bad", "exit 1"),
            Task::script("behind", "true").after(&["bad"]),
            Task::script("other", "sleep 0.5; echo other"),
        ])
        .await;
    let status = scene.end().await;
    assert_eq!(reason(&status.conditions), "Failed");
    assert_eq!(skipped(&status), BTreeMap::from([("behind", "PipelineRun was stopping")]));
    // What runs may end.
    assert_eq!(scene.output("other").await, "other\n");
    assert_eq!(reason(&scene.task_end("bad").await.conditions), "Failed");
    running.stop().await;
}

#[tokio::test]
async fn gates_decide() {
    let scene = Scene::new().await;
    let running = scene.start();
    scene.resolve_gates(|step| Some(if step == "no" { "skip" } else { "run" }));
    scene
        .run(vec![
            Task::gate("no"),
            Task::script("no", "echo no").gated(),
            Task::gate("next").after(&["no"]),
            Task::script("next", "echo next").gated(),
        ])
        .await;
    let status = scene.end().await;
    assert_eq!(reason(&status.conditions), "Completed");
    assert_eq!(skipped(&status), BTreeMap::from([("no", "When Expressions evaluated to false")]));
    assert_eq!(scene.task_names().await, ["r-next"]);
    running.stop().await;
}

#[tokio::test]
async fn a_graph_that_goes_in_circles_is_refused() {
    let scene = Scene::new().await;
    let running = scene.start();
    scene
        .run(vec![Task::script("a", "true").after(&["b"]), Task::script("b", "true").after(&["a"])])
        .await;
    let status = scene.end().await;
    assert_eq!(reason(&status.conditions), "PipelineInvalidGraph");
    assert!(scene.task_names().await.is_empty());
    running.stop().await;
}

#[tokio::test]
async fn an_executor_goes_on_where_another_ended() {
    let scene = Scene::new().await;
    let first = scene.start();
    scene.resolve_gates(|step| (step != "late").then_some("run"));
    scene
        .run(vec![
            Task::script("early", "echo early"),
            Task::gate("late").after(&["early"]),
            Task::script("late", "echo late").gated(),
            Task::script("long", "exec sleep 600").ignored(),
            Task::script("last", "echo last").after(&["late", "long"]),
        ])
        .await;
    scene.task_end("early").await;
    eventually("the gate", async || scene.custom().get_opt("r-gate-late").await.unwrap()).await;
    eventually("the start", async || {
        let run = scene.tasks().get_opt("r-long").await.unwrap()?;
        run.status?.start_time
    })
    .await;
    first.kill();

    let second = scene.start();
    scene.resolve_gates(|_| Some("run"));
    let status = scene.end().await;
    assert_eq!(reason(&status.conditions), "Completed");
    assert_eq!(scene.output("early").await, "early\n");
    assert_eq!(scene.output("last").await, "last\n");
    let long = scene.task_end("long").await;
    assert!(message(&long.conditions).contains("without a word"));
    second.stop().await;
}

#[tokio::test]
async fn faults_do_no_harm() {
    let cluster = MemoryCluster::new();
    let faulty = cluster.with_faults(|request| {
        let writes = matches!(request.verb, Verb::Create | Verb::Patch);
        match request.number % 5 {
            0 if writes => Some(kube_memory::Fault::status(503, "ServiceUnavailable", "later")),
            1 if writes => Some(kube_memory::Fault::reset().after_the_write()),
            2 if request.verb == Verb::Watch => Some(kube_memory::Fault::reset()),
            _ => None,
        }
    });
    let scene = Scene::on(cluster).await;
    let running = scene.start_on(faulty.client("default"));
    scene.resolve_gates(|_| Some("run"));
    let mut tasks = vec![Task::script("s0", "echo 0")];
    for index in 1..10 {
        let (name, before) = (format!("s{index}"), format!("s{}", index - 1));
        tasks.push(Task::gate(&name).after(&[&before]));
        tasks.push(Task::script(&name, &format!("echo {index}")).gated());
    }
    scene.run(tasks).await;
    assert_eq!(reason(&scene.end().await.conditions), "Succeeded");
    for index in 0..10 {
        assert_eq!(scene.output(&format!("s{index}")).await, format!("{index}\n"));
    }
    running.stop().await;
}

#[tokio::test]
async fn nothing_is_written_once_all_is_over() {
    let scene = Scene::new().await;
    let running = scene.start();
    scene.run(vec![Task::script("a", "true")]).await;
    scene.end().await;
    let writes = scene.cluster.writes();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(scene.cluster.writes(), writes);
    running.stop().await;
    let again = scene.start();
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(scene.cluster.writes(), writes, "after {:?}", begun.elapsed());
    again.stop().await;
}
