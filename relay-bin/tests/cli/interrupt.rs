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
