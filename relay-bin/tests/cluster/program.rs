use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::pty::Terminal;
use crate::world::{Ran, World};

const FILE: &str = "\
parameters: {word: {default: otter}}
steps:
- {name: build, image: x, input: ['true'], spec: {w: !Parameter word}}
- {name: gate, type: approval, dependsOn: build}
- {name: ship, image: x, dependsOn: gate, input: [exit 3]}
- {name: long, image: x, when: \"${parameters.word == 'whale'}\", input: [sleep 600]}
";

/// From nothing to runs that have ended, with one command after the other.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the API server of $KUBECONFIG"]
async fn a_workflow_from_its_file_to_the_end_of_its_runs() {
    let world = World::new().await;
    world.start().await;
    let file = world.path("deploy.yaml");
    std::fs::write(&file, FILE).unwrap();
    let file = file.to_str().unwrap();
    let none = world.relay(&["status"]).await;
    assert!(none.stdout.starts_with("there are no runs in namespace \"relay-"), "{none:?}");

    let applied = world.relay(&["apply", file]).await;
    assert_eq!(
        (applied.code, applied.stdout.as_str()),
        (0, "Tenant deploy created\nWorkflow deploy created\n")
    );
    let again = world.relay(&["apply", file, "--out", "json"]).await;
    let again: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!((&again[0]["kind"], &again[0]["result"]), (&"Workflow".into(), &"unchanged".into()));

    // A run that is waited for, and answered meanwhile.
    let waiting = world.spawn(&["workflow", "run", "deploy", "--wait", "--out", "json"]);
    let run = until(&world, "waiting").await;
    let wrong = world.relay(&["approve", &run, "gaet"]).await;
    assert_eq!(wrong.code, 1);
    assert!(wrong.stderr.ends_with("has no step \"gaet\"; did you mean \"gate\"?\n"), "{wrong:?}");
    let approved = world.relay(&["approve", &run, "gate"]).await;
    assert_eq!((approved.code, approved.stdout), (0, format!("gate of run {run} approved\n")));
    let waited = tokio::task::spawn_blocking(|| waiting.wait_with_output().unwrap().into());
    let waited: Ran = waited.await.unwrap();
    assert_eq!((waited.code, waited.stderr.as_str()), (1, ""), "{waited:?}");
    let events: Vec<Value> =
        waited.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let find = |step: &str, event: &str| {
        let found = events.iter().position(|e| e["step"] == step && e["event"] == event);
        found.unwrap_or_else(|| panic!("{step} never {event}: {}", waited.stdout))
    };
    let places = [
        find("build", "succeeded"),
        find("gate", "waiting"),
        find("gate", "succeeded"),
        find("ship", "failed"),
    ];
    assert!(places.is_sorted(), "{}", waited.stdout);
    find("long", "skipped");
    let last = events.last().unwrap();
    assert_eq!((&last["event"], &last["outcome"]), (&"finished".into(), &"failed".into()));
    assert_eq!(last["steps"][2]["message"], "exit code 3", "{last}");

    let shown = world.relay(&["status", &run]).await;
    assert_eq!(shown.code, 0);
    let advice = format!("next: see what \"ship\" wrote: relay logs {run} ship\n");
    assert!(shown.stdout.ends_with(&advice), "{}", shown.stdout);
    // There are no pods here.
    let log = world.relay(&["logs", &run, "ship"]).await;
    assert_eq!((log.code, log.stdout.as_str()), (1, ""));
    assert_eq!(log.stderr, "step \"ship\" has no log: its pod is gone, or there never was one\n");

    // One that is cancelled, and one that is rejected.
    let made =
        world.relay(&["workflow", "run", "deploy", "-p", "word=whale", "--out", "json"]).await;
    let made: Value = serde_json::from_str(&made.stdout).unwrap();
    assert_eq!(made["namespace"], world.namespace.as_str());
    let run = made["run"].as_str().unwrap();
    until(&world, "waiting").await;
    // Whoever stops looking does not end it.
    for arguments in [&["logs", run, "-f"][..], &["workflow", "run", "deploy", "--wait"]] {
        let looking = world.spawn(arguments);
        tokio::time::sleep(Duration::from_secs(2)).await;
        kill(Pid::from_raw(i32::try_from(looking.id()).unwrap()), Signal::SIGINT).unwrap();
        let left = tokio::task::spawn_blocking(|| looking.wait_with_output().unwrap().into());
        let left: Ran = left.await.unwrap();
        assert_eq!(left.code, 130, "{left:?}");
        assert!(!left.stderr.contains("error"), "{left:?}");
    }
    let list = world.relay(&["status", "--out", "json"]).await;
    let list: Vec<Value> = serde_json::from_str(&list.stdout).unwrap();
    let other = list.iter().find(|other| other["state"] == "waiting" && other["run"] != run);
    let other = other.unwrap()["run"].as_str().unwrap();
    assert_eq!(world.relay(&["cancel", other]).await.code, 0);
    assert_eq!(until(&world, "cancelled").await, other);
    let cancelled = world.relay(&["cancel", run]).await;
    assert_eq!((cancelled.code, cancelled.stdout), (0, format!("run {run} is being cancelled\n")));
    until_of(&world, run, "cancelled").await;
    let late = world.relay(&["cancel", run]).await;
    assert_eq!((late.code, late.stderr), (1, format!("error: run {run:?} has ended already\n")));

    let made = world.relay(&["workflow", "run", "deploy"]).await;
    let run = made.stdout.split(' ').nth(1).unwrap().to_owned();
    assert_eq!(until(&world, "waiting").await, run);
    let rejected = world.relay(&["reject", &run, "gate"]).await;
    assert_eq!((rejected.code, rejected.stdout), (0, format!("gate of run {run} rejected\n")));
    assert_eq!(until(&world, "rejected").await, run);

    let list = world.relay(&["status"]).await;
    // Those of one second are in no order of time.
    let mut states: Vec<_> =
        list.stdout.lines().skip(1).map(|line| line.split_whitespace().nth(2).unwrap()).collect();
    states.sort_unstable();
    let expected = ["cancelled", "cancelled", "failed", "rejected"];
    assert_eq!(states, expected, "{}", list.stdout);
    world.end().await;
}

/// What a person sees who follows a run, and answers what it asks.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the API server of $KUBECONFIG"]
async fn whoever_follows_a_run_on_a_terminal_is_asked() {
    let world = World::new().await;
    world.start().await;
    let file = world.path("deploy.yaml");
    std::fs::write(&file, FILE).unwrap();
    assert_eq!(world.relay(&["apply", file.to_str().unwrap()]).await.code, 0);
    let made = world.relay(&["workflow", "run", "deploy"]).await;
    let run = made.stdout.split(' ').nth(1).unwrap().to_owned();
    let following = ["-n", &world.namespace, "status", &run, "-f"];
    let left = tokio::task::block_in_place(|| {
        let terminal = Terminal::start(24, 80, &following);
        terminal.expect("gate: Approve? [y/N]");
        terminal.type_in("y\n");
        terminal.end()
    });
    assert_eq!(left.code, 1, "{}", left.text());
    assert!(left.text().contains("exit code 3"), "{}", left.text());

    // Where nobody can be asked it says how to answer.
    let waiting = world.spawn(&["workflow", "run", "deploy", "--wait"]);
    let run = until(&world, "waiting").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.relay(&["reject", &run, "gate"]).await.code, 0);
    let waited = tokio::task::spawn_blocking(|| waiting.wait_with_output().unwrap().into());
    let waited: Ran = waited.await.unwrap();
    let how = format!("relay approve {run} gate, or relay reject {run} gate");
    assert!(waited.code == 3 && waited.stderr.contains(&how), "{waited:?}");

    // Other names of the same.
    let json =
        async |arguments: &[&str]| world.relay(&[arguments, &["--out", "json"]].concat()).await;
    let list: Value = serde_json::from_str(&json(&["runs", "list"]).await.stdout).unwrap();
    let list = list.as_array().unwrap();
    assert!(list.len() == 2 && list.iter().any(|run| run["state"] == "rejected"), "{list:?}");
    let shown = json(&["runs", "show", &run]).await;
    assert_eq!((shown.code, shown.stdout), (0, json(&["status", &run]).await.stdout));
    world.end().await;
}

/// Waits until some run is in this state; its name.
async fn until(world: &World, state: &str) -> String {
    until_any(world, |run| run["state"] == state).await
}

/// Waits until this run is in this state.
async fn until_of(world: &World, name: &str, state: &str) {
    until_any(world, |run| run["run"] == name && run["state"] == state).await;
}

async fn until_any(world: &World, is_meant: impl Fn(&Value) -> bool) -> String {
    for _ in 0..300 {
        let list = world.relay(&["status", "--out", "json"]).await;
        let list: Vec<Value> = serde_json::from_str(&list.stdout).unwrap();
        if let Some(run) = list.iter().find(|run| is_meant(run)) {
            return run["run"].as_str().unwrap().to_owned();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no run is as it should be: {:?}", world.relay(&["status"]).await);
}
