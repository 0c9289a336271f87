use std::time::{Duration, Instant};

use kube::api::{ObjectMeta, PostParams};

use relay_local::executor::News;

use crate::scene::{Scene, Task, reason};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_steps_at_once() {
    relay_local::executor::raise_open_file_limit().unwrap();
    let scene = Scene::new().await;
    let running = scene.start();
    let file = scene.path().join("count");
    // Each leaves when all are there.
    let script = format!(
        "echo >> {file}; until [ $(wc -l < {file}) -ge 200 ]; do sleep 0.2; done; echo seen",
        file = file.display()
    );
    let mut tasks: Vec<_> =
        (0..200).map(|index| Task::script(&format!("s{index}"), &script).ignored()).collect();
    let names: Vec<_> = (0..200).map(|index| format!("s{index}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    tasks.push(Task::script("last", "true").after(&names));
    scene.run(tasks).await;
    assert_eq!(reason(&scene.end().await.conditions), "Succeeded");
    for name in names {
        assert_eq!(scene.output(name).await, "seen\n");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_than_there_are_places() {
    let mut scene = Scene::new().await;
    scene.options.max_parallel = 3;
    let running = scene.start();
    let file = scene.path().join("count");
    let script = format!("echo + >> {0}; sleep 0.1; echo - >> {0}", file.display());
    let tasks = (0..12).map(|index| Task::script(&format!("s{index}"), &script)).collect();
    scene.run(tasks).await;
    scene.end().await;
    let (mut now, mut most) = (0, 0);
    for line in std::fs::read_to_string(file).unwrap().lines() {
        now += if line == "+" { 1 } else { -1 };
        most = most.max(now);
    }
    assert!((2..=3).contains(&most), "{most}");
    running.stop().await;
}

/// A chain of gated steps: how long it takes.
async fn chain(steps: usize, script: bool) -> Duration {
    let scene = Scene::new().await;
    let running = scene.start();
    scene.resolve_gates(|_| Some("run"));
    let step = |name: &str| match script {
        true => Task::script(name, "true"),
        false => Task::command(name, &["true"]),
    };
    let mut tasks = vec![step("s0")];
    for index in 1..steps {
        let (name, before) = (format!("s{index}"), format!("s{}", index - 1));
        tasks.push(Task::gate(&name).after(&[&before]));
        tasks.push(step(&name).gated().ignored());
    }
    let begun = Instant::now();
    scene.run(tasks).await;
    // To ask for the PipelineRun itself would cost more than to run it.
    scene.task_end(&format!("s{}", steps - 1)).await;
    let status = scene.end().await;
    let taken = begun.elapsed();
    assert_eq!(reason(&status.conditions), "Succeeded");
    running.stop().await;
    taken
}

/// Figures, with `--release -- --ignored --nocapture --test-threads 1 scale`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes its time"]
async fn chains() {
    let begun = Instant::now();
    for _ in 0..100 {
        let mut command = tokio::process::Command::new("sh");
        command.args(["-c", "true"]).status().await.unwrap();
    }
    println!("100 bare `sh -c true`: {:?}", begun.elapsed());
    for script in [false, true] {
        for steps in [100, 100, 250, 500, 1000] {
            let taken = chain(steps, script).await;
            let each = taken / u32::try_from(steps).unwrap();
            println!("{steps} steps, script {script}: {taken:?}, {each:?} a step");
        }
    }
}

/// From the creation of a TaskRun to the first byte that its program writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes its time"]
async fn starts() {
    let mut scene = Scene::new().await;
    let (sender, mut output) = tokio::sync::mpsc::channel(1);
    scene.options.news = sender;
    let running = scene.start();
    let run = scene.run(vec![Task::command("s0", &["echo", "x"])]).await;
    let mut first_output = async || {
        while !matches!(output.recv().await.unwrap().news, News::Output { .. }) {}
    };
    first_output().await;
    drop(run);
    let mut task = scene.tasks().get("r-s0").await.unwrap();
    let mut times = Vec::new();
    for index in 0..200 {
        task.metadata = ObjectMeta {
            name: Some(format!("t{index}")),
            annotations: task.metadata.annotations,
            ..Default::default()
        };
        task.status = None;
        let begun = Instant::now();
        scene.tasks().create(&PostParams::default(), &task).await.unwrap();
        first_output().await;
        times.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    times.sort_unstable();
    println!("to the first output: median {:?}, worst of 200 {:?}", times[100], times[199]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_of_a_hundred() {
    chain(100, true).await;
}
