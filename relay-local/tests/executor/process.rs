use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::scene::{Scene, TOKEN, Task, eventually, message, reason};

#[tokio::test]
async fn a_step_has_its_surroundings() {
    let scene = Scene::new().await;
    let ni = scene.options.tools_dir.join("ni");
    std::fs::write(&ni, "#!/bin/sh\necho own ni\n").unwrap();
    std::fs::set_permissions(&ni, std::fs::Permissions::from_mode(0o755)).unwrap();
    scene.api.environment("FROM_API", "x y");
    let running = scene.start();
    let script = "ni; pwd; echo $HOME; echo $FROM_API-$OWN-$CI; echo $METADATA_API_URL; echo err >&2; \
         echo $RELAY_WORKSPACE";
    scene.run(vec![Task::script("s", script).env("OWN", "1")]).await;
    assert_eq!(reason(&scene.end().await.conditions), "Succeeded");
    let output = scene.output("s").await;
    assert!(output.contains("err\n"));
    let lines: Vec<_> = output.lines().filter(|line| *line != "err").collect();
    assert_eq!(lines[0], "own ni");
    let work = scene.work_dir();
    assert!(lines[1].starts_with(work.to_str().unwrap()) && lines[1].ends_with("/workspace"));
    assert_eq!(lines[2], std::env::var("HOME").unwrap());
    assert_eq!(lines[3], "x y-1-true");
    assert!(lines[4].starts_with("http://:") && lines[4].contains("@127.0.0.1:"), "{}", lines[4]);
    assert_eq!(lines[5], lines[1], "the workspace is where it starts");

    let calls = scene.api.calls();
    let lines: Vec<_> = calls.iter().map(|(line, _)| line.as_str()).collect();
    assert_eq!(lines, ["PUT /status", "GET /environment", "PUT /status"]);
    // `:TOKEN`, as the URL says.
    let expected = format!("Basic {}", base64(&format!(":{TOKEN}")));
    assert!(calls.iter().all(|(_, caller)| caller.as_deref() == Some(&expected)));
    running.stop().await;
}

fn base64(text: &str) -> String {
    use k8s_openapi::ByteString;
    let bytes = ByteString(text.as_bytes().to_vec());
    serde_json::to_value(bytes).unwrap().as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_step_without_gate_asks_for_its_condition() {
    let scene = Scene::new().await;
    scene.api.condition(false);
    let running = scene.start();
    scene.run(vec![Task::command("s", &["echo", "no"]).env("RELAY_GATED", "false")]).await;
    assert_eq!(reason(&scene.end().await.conditions), "Succeeded");
    assert_eq!(scene.output("s").await, "");
    let status = scene.task_end("s").await;
    assert_eq!(status.steps[0].terminated.as_ref().unwrap().exit_code, 0);
    running.stop().await;
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let mut scene = Scene::new().await;
    scene.options.images.insert("alpine:latest".to_owned(), "/bin/echo".into());
    let running = scene.start();
    scene
        .run(vec![
            Task::command("missing", &["no-such-program-anywhere"]).ignored(),
            Task::image("mapped").ignored(),
            Task::script("killed", "kill -9 $$").ignored(),
        ])
        .await;
    assert_eq!(reason(&scene.end().await.conditions), "Completed");
    let missing = scene.task_end("missing").await;
    assert_eq!(reason(&missing.conditions), "CouldNotStart");
    assert_eq!(message(&missing.conditions), "no-such-program-anywhere: no such program in PATH");
    assert_eq!(missing.steps[0].terminated.as_ref().unwrap().exit_code, 127);
    assert_eq!(scene.output("mapped").await, "\n");
    let killed = scene.task_end("killed").await;
    assert!(message(&killed.conditions).contains("signal 9"), "{killed:?}");
    running.stop().await;
}

#[tokio::test]
async fn an_image_alone_is_no_process() {
    let scene = Scene::new().await;
    let running = scene.start();
    scene.run(vec![Task::image("s")]).await;
    assert_eq!(reason(&scene.end().await.conditions), "Failed");
    let status = scene.task_end("s").await;
    assert_eq!(reason(&status.conditions), "CouldNotStart");
    assert!(message(&status.conditions).contains("image \"alpine:latest\""));
    running.stop().await;
}

#[tokio::test]
async fn a_token_for_another_namespace_is_no_use() {
    let mut scene = Scene::new().await;
    scene.sealed.push('x');
    let running = scene.start();
    scene.run(vec![Task::script("s", "echo ran")]).await;
    scene.end().await;
    let status = scene.task_end("s").await;
    assert_eq!(reason(&status.conditions), "CouldNotStart");
    assert!(message(&status.conditions).contains("token"), "{status:?}");
    assert_eq!(scene.output("s").await, "");
    running.stop().await;
}

#[tokio::test]
async fn much_output_arrives_whole() {
    let scene = Scene::new().await;
    let running = scene.start();
    let script = "i=0; while [ $i -lt 20000 ]; do echo line-$i; i=$((i+1)); done";
    scene.run(vec![Task::script("s", script)]).await;
    assert_eq!(reason(&scene.end().await.conditions), "Succeeded");
    let expected: String = (0..20_000).map(|index| format!("line-{index}\n")).collect();
    assert_eq!(scene.output("s").await, expected);
    running.stop().await;
}

#[tokio::test]
async fn directories_are_kept_on_request() {
    let mut scene = Scene::new().await;
    scene.options.keep = true;
    let running = scene.start();
    scene.run(vec![Task::script("s", "echo x > result")]).await;
    scene.end().await;
    running.stop().await;
    let directory = std::fs::read_dir(scene.work_dir()).unwrap().next().unwrap().unwrap().path();
    assert_eq!(std::fs::read_to_string(directory.join("workspace/result")).unwrap(), "x\n");
}

#[tokio::test]
async fn a_receiver_that_stands_still_does_not_hold_up_cancelling() {
    let mut scene = Scene::new().await;
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    scene.options.news = sender;
    scene.options.grace = Duration::from_millis(100);
    let running = scene.start();
    scene.run(vec![Task::command("s", &["yes"])]).await;
    eventually("the start", async || {
        scene.tasks().get_opt("r-s").await.unwrap()?.status?.start_time
    })
    .await;
    scene.cancel().await;
    assert_eq!(reason(&scene.task_end("s").await.conditions), "TaskRunCancelled");
    drop(receiver);
    running.stop().await;
}
