use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::relay::relay;

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
        assert!(kill(Pid::from_raw(pid), None).is_err(), "process {pid} is still there");
    }
}
