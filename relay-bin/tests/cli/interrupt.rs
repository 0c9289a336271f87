use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::relay::relay;

/// Whatever is going on when the signal comes, the run ends.
#[test]
fn a_signal_at_any_moment_ends_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chain.yaml");
    let mut steps = "steps:\n- {name: s0, image: x, input: [sleep 0.01]}\n".to_owned();
    for index in 1..60 {
        let before = index - 1;
        steps.push_str(&format!(
            "- {{name: s{index}, image: x, dependsOn: s{before}, input: [sleep 0.01]}}\n"
        ));
    }
    std::fs::write(&file, steps).unwrap();
    for (index, signal) in
        [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().cycle().take(12).enumerate()
    {
        let mut run = relay();
        run.arg("run").arg(&file).args(["--out", "json"]);
        let mut child = run.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        lines.next().unwrap().unwrap();
        std::thread::sleep(Duration::from_millis(15 * u64::try_from(index).unwrap()));
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
        let last = lines.map(Result::unwrap).last().unwrap_or_default();
        let code = child.wait().unwrap().code();
        assert!(last.contains("finished"), "{signal} number {index}: {last}");
        assert!(matches!(code, Some(0 | 130)), "{signal} number {index}: {code:?}");
    }
}

#[test]
fn programs_are_told_of_an_end_that_does_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deaf.yaml");
    let script = "trap '' TERM INT; echo up; while :; do sleep 0.1; done";
    std::fs::write(&file, format!("steps:\n- name: a\n  image: x\n  input: [\"{script}\"]\n"))
        .unwrap();
    for signals in [&[Signal::SIGINT, Signal::SIGINT][..], &[Signal::SIGQUIT]] {
        let mut run = relay();
        run.arg("run").arg(&file).args(["--out", "json"]);
        let mut child = run.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        lines.find(|line| line.contains("\"up\"")).unwrap();
        for signal in signals {
            kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), *signal).unwrap();
            std::thread::sleep(Duration::from_millis(200));
        }
        let last: serde_json::Value = serde_json::from_str(&lines.last().unwrap()).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signals:?}");
        let told = (&last["event"], &last["outcome"], &last["run"]);
        assert_eq!(told, (&"finished".into(), &"cancelled".into(), &"deaf-1".into()), "{last}");
        assert_eq!(last["message"], "left before all steps had ended", "{last}");
    }
}

/// A file that never comes, and a secret.
#[test]
fn a_signal_ends_what_is_waited_for_before_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.yaml");
    std::fs::write(&file, "steps: [{name: a, image: x, input: [x]}]").unwrap();
    let file = file.to_str().unwrap();
    for arguments in [vec!["/dev/stdin"], vec![file, "--secret", "s"]] {
        let mut child = relay()
            .arg("run")
            .args(&arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(300));
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
        // Standard input stays open until the end.
        let stdin = child.stdin.take();
        let code = child.wait().unwrap().code();
        assert_eq!(code, Some(130), "{arguments:?}");
        drop(stdin);
    }
}

#[test]
fn an_interrupt_cancels_and_leaves_no_process() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("long.yaml");
    // A child of a child, in the same group.
    let script = "sh -c 'echo $$; exec sleep 600' & echo $$; wait";
    std::fs::write(&file, format!("steps:\n- name: a\n  image: x\n  input: [\"{script}\"]\n"))
        .unwrap();
    let mut child = relay()
        .arg("run")
        .arg(&file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let pids: Vec<i32> = lines
        .take(2)
        .map(|line| line.unwrap().rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    for pid in pids {
        // An orphan stays as a zombie until its new parent looks.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let is_gone = kill(Pid::from_raw(pid), None).is_err() || stat.contains(") Z ");
        assert!(is_gone, "process {pid} is still there: {stat}");
    }
}

/// A process that has left the group of its step, and the session, and what tells whose it is.
#[test]
fn what_leaves_its_step_ends_with_it_or_with_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.yaml");
    let number = |name: &str| -> Pid {
        let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
        Pid::from_raw(text.trim().parse().unwrap())
    };
    let is_gone = |pid: Pid| kill(pid, None).is_err();
    let daemon = |start: &str, name: &str| {
        let at = folder.path().join(name);
        let at = at.display();
        // The parent is gone when the step is.
        format!(
            "({start} setsid sh -c 'echo $$ > {at}.new; mv {at}.new {at}; sleep 600; :' &); \
             while [ ! -e {at} ]; do sleep 0.01; done"
        )
    };
    let (plain, bare) = (daemon("", "plain"), daemon("env -i PATH=$PATH", "bare"));
    let is_there = format!(
        "kill -0 $(cat {}) 2>/dev/null && echo there || echo gone",
        folder.path().join("plain").display()
    );
    let steps = serde_json::json!({"steps": [
        {"name": "a", "image": "x", "input": [plain, bare]},
        {"name": "b", "image": "x", "dependsOn": "a", "input": [is_there, "echo up; sleep 0.2", daemon("", "late")]},
        {"name": "c", "image": "x", "dependsOn": "b", "input": ["echo up; sleep 600"]},
    ]});
    std::fs::write(&file, steps.to_string()).unwrap();
    for signals in [&[Signal::SIGINT][..], &[Signal::SIGQUIT]] {
        for name in ["plain", "bare", "late"] {
            drop(std::fs::remove_file(folder.path().join(name)));
        }
        let mut run = relay();
        run.arg("run").arg(&file);
        let mut child = run.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert_eq!(lines.next().unwrap(), "b | gone", "of a step that has ended");
        lines.find(|line| line == "c | up").unwrap();
        for signal in signals {
            kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), *signal).unwrap();
        }
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signals:?}");
        for name in ["plain", "bare", "late"] {
            assert!(is_gone(number(name)), "{name}, {signals:?}");
        }
    }
}

#[test]
fn what_leaves_a_step_ends_when_it_is_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.yaml");
    let at = folder.path().join("daemon");
    let at = at.display();
    // Its parent lives until the step is cancelled.
    let script =
        format!("setsid sh -c 'trap : TERM; echo $$ > {at}; while :; do sleep 0.1; done' & wait");
    let after = format!("kill -0 $(cat {at}) 2>/dev/null && echo there || echo gone");
    let steps = serde_json::json!({"steps": [
        {"name": "a", "image": "x", "input": [script]},
        {"name": "b", "image": "x", "dependsOn": "a", "when": "${steps.a.failed}", "input": [after]},
    ]});
    std::fs::write(&file, steps.to_string()).unwrap();
    let ran = crate::relay::run(&file, &["--step-timeout", "1s"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, "b | gone\n"), "{}", ran.stderr);
}
