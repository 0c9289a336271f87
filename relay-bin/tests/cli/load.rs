//! Much of everything.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use crate::relay::{events_of, relay};

fn workflow(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.yaml");
    std::fs::write(&file, text).unwrap();
    (folder, file)
}

/// How much memory a process has, in KiB.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn ten_megabytes_of_log_through_a_slow_reader() {
    const LINES: usize = 100_000;
    let line = "x".repeat(92);
    let (_folder, file) = workflow(&format!(
        "steps:\n- name: a\n  image: x\n  input: ['awk \"BEGIN {{ for (i = 0; i < {LINES}; i++) \
         printf \\\"%06d {line}\\n\\\", i }}\"']\n"
    ));
    for out in ["text", "json"] {
        let mut run = relay();
        run.arg("run").arg(&file).args(["--out", out]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = run.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut first = lines.next().unwrap();
        if out == "json" {
            assert!(first.contains("started"), "{first}");
            first = lines.next().unwrap();
        }
        assert!(first.contains("000000 xxx"), "{first}");
        // The step waits while nobody reads, and what it has written is not collected.
        std::thread::sleep(Duration::from_millis(300));
        let before = resident(child.id());
        let mut most = before;
        for number in 1..LINES {
            let line = lines.next().unwrap();
            assert!(line.contains(&format!("{number:06} xxx")), "{out}: {number}: {line}");
            if number % 5_000 == 0 {
                std::thread::sleep(Duration::from_millis(20));
                most = most.max(resident(child.id()));
            }
        }
        let rest: Vec<_> = lines.collect();
        assert_eq!(rest.len(), if out == "json" { 2 } else { 0 }, "{out}: {rest:?}");
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert!(most < before + 16 * 1024, "{out}: from {before} to {most} KiB");
    }
}

#[test]
fn a_reader_that_stands_still_does_not_hold_up_a_signal() {
    let (_folder, file) = workflow("steps: [{name: a, image: x, input: [\"yes\"]}]");
    let mut run = relay();
    run.arg("run").arg(&file).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = run.spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    for _ in 0..2 {
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
        std::thread::sleep(Duration::from_millis(300));
    }
    // Nobody reads to the end.
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(stdout);
}

#[test]
fn a_reader_that_goes_away_ends_the_run() {
    let (_folder, file) = workflow("steps: [{name: a, image: x, input: [\"yes\"]}]");
    let mut run = relay();
    run.arg("run").arg(&file).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = run.spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    drop(stdout);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn two_hundred_steps_side_by_side() {
    let mut steps = "steps:\n".to_owned();
    let mut names = Vec::new();
    for index in 0..200 {
        // Each waits for a file of the last one: none goes on before all have begun.
        steps.push_str(&format!(
            "- {{name: s{index}, image: x, env: {{DIR: \"${{parameters.dir}}\"}}, input: \
             ['touch \"$DIR/{index}\"; while [ \"$(ls \"$DIR\" | wc -l)\" -lt 200 ]; do sleep 0.5; done']}}\n"
        ));
        names.push(format!("s{index}"));
    }
    let meet = tempfile::tempdir().unwrap();
    let dir = meet.path().display();
    let events = events_of(&format!("parameters: {{dir: {{default: '{dir}'}}}}\n{steps}"));
    assert_eq!(events.code, 0);
    for name in names {
        assert_eq!(events.end(&name), "succeeded");
    }
}

#[test]
fn large_outputs_reach_the_next_step() {
    let events = events_of(
        "steps:\n\
         - {name: a, image: x, input: ['ni output set -k big -v \"$(head -c 100000 /dev/zero | tr \"\\0\" x)\"']}\n\
         - {name: b, image: x, spec: {v: '${outputs.a.big}'}, input: [\"ni get -p '{.v}' | wc -c\"]}\n",
    );
    assert_eq!(events.code, 0);
    assert_eq!(events.log("b"), ["100000"]);
    let output = &events.last()["steps"][0]["outputs"][0];
    assert_eq!(output["name"], "big");
    assert!(output["omitted"].as_str().unwrap().contains("too many to show"), "{output}");
}

#[test]
fn the_cause_of_a_failure_is_named() {
    let (_folder, file) = workflow(
        "steps:\n\
         - {name: missing, image: x, command: /no/such/program}\n\
         - {name: signal, image: x, input: ['kill -9 $$']}\n\
         - {name: slow, image: x, input: [sleep 600]}\n\
         - {name: code, image: x, input: [exit 5]}\n\
         - {name: interpreter, image: x, input: ['#!/no/such/shell', x]}\n",
    );
    let mut run = relay();
    run.arg("run").arg(&file).args(["--step-timeout", "1s"]);
    let ran = run.output().unwrap();
    assert_eq!(ran.status.code(), Some(1));
    let stderr = String::from_utf8(ran.stderr).unwrap();
    for (step, cause) in [
        ("missing", "/no/such/program"),
        ("signal", "ended by signal 9 (SIGKILL)"),
        ("slow", "the step exceeded its time"),
        ("code", "exit code 5"),
        ("interpreter", "/no/such/shell: no such interpreter"),
    ] {
        let line = stderr.lines().find(|line| line.starts_with(step)).unwrap();
        assert!(line.contains("failed") && line.contains(cause), "{stderr}");
        assert!(
            stderr.lines().any(|l| l.starts_with("next: ") && l.contains(&format!("\"{step}"))),
            "{stderr}"
        );
    }
}
