use std::io::Write as _;
use std::process::Stdio;

use crate::relay::{Ran, events, example, relay, run};

#[test]
fn secrets_are_masked_wherever_they_are_shown() {
    let values = example("values/secrets.yaml");
    let values = ["--values", values.to_str().unwrap()];
    let file = example("secrets.yaml");
    let text = run(&file, &values);
    assert_eq!(text.code, 0, "{}", text.stderr);
    assert!(text.stdout.contains("token has 11 characters, there are 2 names"), "{}", text.stdout);
    assert!(text.stdout.ends_with("look | token is ***\n"), "{}", text.stdout);
    assert!(text.stdout.contains("GET /v2/items as ***"), "a merge key gives way: {}", text.stdout);
    let json = run(&file, &[&values[..], &["--out", "json"]].concat());
    for secret in ["0p3n-sesame", "robot-17", "items.example"] {
        assert!(!format!("{text:?}{json:?}").contains(secret), "{secret}");
    }
}

#[test]
fn a_secret_is_masked_also_in_pieces_errors_and_outputs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.yaml");
    std::fs::write(
        &file,
        "steps:\n- name: a\n  image: x\n  env: {S: !Secret s}\n  input:\n\
         \x20 - printf '%s' \"$S\" | cut -c1-6 | tr -d '\\n'; sleep 0.05; printf '%s\\n' \"$S\" | cut -c7-\n\
         \x20 - ni output set -k leaked -v \"x $S x\"\n  - echo \"$S\" >&2\n\
         - name: b\n  image: x\n  dependsOn: a\n  when: ${outputs.a.leaked - 1}\n  input: [x]\n",
    )
    .unwrap();
    let mut child = relay()
        .arg("run")
        .arg(&file)
        .args(["--secret", "s", "--out", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"c0rrect-horse\n").unwrap();
    let ran: Ran = child.wait_with_output().unwrap().into();
    assert_eq!(ran.code, 1, "the condition is an error: {ran:?}");
    assert!(ran.stdout.contains(r#""text":"***""#), "{}", ran.stdout);
    assert!(!format!("{ran:?}").contains("c0rrect"), "{ran:?}");
}

#[test]
fn everything_that_lacks_is_said_at_once() {
    let ran = run(&example("secrets.yaml"), &[]);
    assert_eq!(ran.code, 2);
    for finding in [
        "error[missing-connection]: there is no connection type \"http\" with name \"items\"",
        "error[missing-secret]: there is no secret \"names\"",
        "error[missing-secret]: there is no secret \"token\"",
    ] {
        assert!(ran.stderr.contains(finding), "{}", ran.stderr);
    }
}

#[test]
fn approvals() {
    let file = example("approval.yaml");
    for (name, arguments, code, ends) in [
        (
            "approved",
            vec!["--approve", "ask"],
            0,
            ["succeeded", "succeeded", "skipped ConditionFalse"],
        ),
        (
            "rejected",
            vec!["--reject", "ask"],
            3,
            ["skipped Rejected", "skipped DependencyNotSucceeded", "succeeded"],
        ),
        (
            "nobody is asked",
            vec!["-p", "where=test"],
            0,
            ["skipped ConditionFalse", "skipped DependencyNotSucceeded", "skipped ConditionFalse"],
        ),
        (
            "nobody answers",
            vec![],
            3,
            ["skipped Expired", "skipped DependencyNotSucceeded", "succeeded"],
        ),
    ] {
        let events = events(&file, &arguments);
        assert_eq!(events.code, code, "{name}");
        for (step, end) in ["ask", "ship", "tell"].iter().zip(ends) {
            assert_eq!(events.end(step), end, "{name}: {step}");
        }
    }
    let unknown = run(&file, &["--approve", "build"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("its approvals are ask"), "{}", unknown.stderr);
}

#[test]
fn limits_images_and_typed_parameters() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.yaml");
    let write = |text: &str| std::fs::write(&file, text).unwrap();

    write(
        "steps: [{name: a, image: x, input: [sleep 600]}, {name: b, image: x, dependsOn: a, input: [x]}]",
    );
    let ran = events(&file, &["--step-timeout", "1s"]);
    assert_eq!(ran.code, 1);
    assert_eq!(ran.end("a"), "failed TimedOut");
    assert_eq!(ran.end("b"), "skipped DependencyNotSucceeded");
    let ran = events(&file, &["--timeout", "1s"]);
    assert_eq!(ran.code, 1);
    assert_eq!(ran.end("a"), "failed TimedOut");
    let step = &ran.last()["steps"][0];
    assert_eq!(step["reason"], "TimedOut", "{step}");
    assert_eq!(step["message"], "the run exceeded its time", "{step}");
    assert_eq!(run(&file, &["--timeout", "soon"]).code, 2);

    write("steps: [{name: a, image: acme/tool, args: [x, 'y z']}]");
    assert_eq!(run(&file, &[]).code, 2);
    let ran = events(&file, &["--image", "acme/tool=echo"]);
    assert_eq!((ran.code, ran.log("a")), (0, vec!["x y z"]));

    write(
        "parameters: {p: {}}\nsteps: [{name: a, image: x, spec: {n: \"${parameters.p[1]}\"}, \
         input: [ni get]}]",
    );
    let ran = events(&file, &["--parameter-json", "p=[1, {\"k\": true}]"]);
    assert_eq!((ran.code, ran.log("a")), (0, vec![r#"{"n":{"k":true}}"#]));
    assert_eq!(run(&file, &["--parameter-json", "p=[1"]).code, 2);
}

#[test]
fn programs_for_images_are_looked_for_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.yaml");
    std::fs::write(
        &file,
        "steps:\n- {name: first, image: x, input: [echo STARTED]}\n\
         - {name: lint, image: acme/lint}\n- {name: again, image: acme/lint}\n\
         - {name: slack, image: acme/slack}\n\
         - {name: own, image: acme/own, env: {PATH: /opt/acme}}\n",
    )
    .unwrap();
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "#!/bin/sh\n").unwrap();
    let slack = format!("acme/slack={}", plain.display());
    let images =
        ["--image", "acme/lint=no-such-lint", "--image", &slack, "--image", "acme/own=own"];
    let ran = run(&file, &[&images[..], &["--image", "acme/lnt=echo"]].concat());
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
    for (line, words) in [
        (3, "no-such-lint: no such program in PATH"),
        (4, "no-such-lint: no such program in PATH"),
        (5, "plain: not executable"),
    ] {
        let found = ran.stderr.lines().find(|found| found.contains(&format!("w.yaml:{line}:")));
        let found = found.unwrap_or_else(|| panic!("line {line}: {}", ran.stderr));
        assert!(found.contains("error[no-program]") && found.ends_with(words), "{found}");
    }
    assert!(ran.stderr.contains("warning[unused-image]: `--image acme/lnt=…`"), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("[no-program]").count(), 3, "{}", ran.stderr);

    std::fs::write(&file, "steps: [{name: a, image: x, input: [echo up]}]").unwrap();
    let ran = run(&file, &["--image", "x=no-such-program"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "a | up\n"));
    assert!(ran.stderr.contains("warning[unused-image]"), "{}", ran.stderr);
    std::fs::write(&file, "steps: [{name: a, image: x, args: [log, info, up]}]").unwrap();
    assert_eq!(run(&file, &["--image", "x=ni"]).stdout, "a | up\n", "it is in every step's PATH");
}

/// What a step wrote, in each form of the output.
fn objects(ran: &Ran) -> Vec<serde_json::Value> {
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn events_have_the_members_that_programs_look_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.yaml");
    std::fs::write(
        &file,
        "parameters: {unused: {default: 1}}\nsteps:\n\
         - {name: a, image: x, input: [echo out; echo err >&2, ni output set -k n -v 1 --json, \
            ni output set -k s -v hush --sensitive, exit 4]}\n\
         - {name: b, image: x, dependsOn: a, input: [x]}\n\
         - {name: c, type: approval}\n\
         - {name: d, image: x, input: ['true']}\n",
    )
    .unwrap();
    let ran = run(&file, &["--out", "json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    let events = objects(&ran);
    let find = |step: &str, event: &str| {
        let found = events.iter().find(|e| e["step"] == step && e["event"] == event);
        found.unwrap_or_else(|| panic!("{step} never {event}")).clone()
    };
    assert_eq!(events[0]["event"], "finding");
    assert_eq!(events[0]["code"], "unused-parameter");
    for event in &events[1..] {
        assert_eq!(event["run"], "w-1", "{event}");
        assert!(event["time"].as_str().unwrap().ends_with('Z'), "{event}");
    }
    assert!(find("a", "started")["stream"].is_null());
    let output = |text: &str| events.iter().find(|e| e["text"] == text).unwrap();
    assert_eq!((&output("out")["stream"], &output("out")["step"]), (&"stdout".into(), &"a".into()));
    assert_eq!(output("err")["stream"], "stderr");
    assert_eq!(find("a", "failed")["exitCode"], 4);
    assert_eq!(find("a", "failed")["reason"], "Failed");
    assert_eq!(find("b", "skipped")["reason"], "DependencyNotSucceeded");
    assert_eq!(find("c", "skipped")["reason"], "Expired");
    assert_eq!(find("d", "succeeded")["exitCode"], 0);
    find("c", "waiting");

    let last = events.last().unwrap();
    assert_eq!((&last["event"], &last["outcome"]), (&"finished".into(), &"failed".into()));
    assert!(last["durationMs"].as_u64().unwrap() > 0, "{last}");
    let steps = last["steps"].as_array().unwrap();
    let states: Vec<_> = steps.iter().map(|step| step["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["failed", "skipped", "skipped", "succeeded"]);
    assert_eq!(
        steps[0]["outputs"],
        serde_json::json!([
            {"name": "n", "value": 1},
            {"name": "s", "sensitive": true, "value": "***"},
        ])
    );
    assert!(!ran.stdout.contains("hush"), "{}", ran.stdout);
}

#[test]
fn what_stops_a_run_is_told_to_programs_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.yaml");
    std::fs::write(&file, "steps: [{name: a, image: x, input: [x]}, {}]").unwrap();
    let ran = run(&file, &["--out", "json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (2, ""));
    for finding in objects(&ran) {
        assert_eq!(finding["event"], "finding", "{finding}");
        assert_eq!(finding["level"], "error", "{finding}");
        assert!(finding["line"].is_u64() && finding["message"].is_string(), "{finding}");
    }
    std::fs::write(&file, "apiVersion: v1\n").unwrap();
    let ran = run(&file, &["--out", "json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!(objects(&ran)[0]["outcome"], "succeeded");
}

/// Whole, in parts, in pieces, on each stream, in an output, its name's neighbour, and in messages.
#[test]
fn a_secret_of_many_lines_is_masked_line_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let (file, values) = (folder.path().join("w.yaml"), folder.path().join("values.yaml"));
    std::fs::write(
        &values,
        "secrets:\n  key: |\n    -----BEGIN-----\n    b3BlbiBzZXNhbWU\n    -----END-----\n",
    )
    .unwrap();
    std::fs::write(
        &file,
        "steps:\n- name: a\n  image: x\n  env: {S: !Secret key}\n  spec: {s: !Secret key}\n  input:\n\
         \x20 - echo \"$S\"\n\
         \x20 - echo \"$S\" | sed -n 2p >&2\n\
         \x20 - ni get\n  - echo\n\
         \x20 - printf b3Blbi; sleep 0.1; printf 'BzZXNh'; sleep 0.1; echo bWU\n\
         \x20 - ni output set -k whole -v \"$S\"\n\
         \x20 - ni output set -k part -v \"$(echo \"$S\" | sed -n 2p)\"\n",
    )
    .unwrap();
    let values = ["--values", values.to_str().unwrap()];
    for out in ["text", "json"] {
        let ran = run(&file, &[&values[..], &["--out", out]].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(ran.stdout.contains("***"), "{out}: {}", ran.stdout);
        for piece in ["b3Blbi", "BEGIN", "END--"] {
            assert!(!format!("{ran:?}").contains(piece), "{out}: {piece} in {ran:?}");
        }
    }
    let left = crate::pty::Terminal::run(&file, &values).end();
    assert!(left.sent.contains("***") && !left.sent.contains("b3Blbi"), "{}", left.text());
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.yaml");
    for (name, text) in [
        ("a short one", "steps: [{name: a, image: x, input: [echo up]}]"),
        ("one that goes on", "steps: [{name: a, image: x, input: [echo up; sleep 600]}]"),
        ("nothing but an end", "steps: [{name: a, image: x, input: ['true']}]"),
    ] {
        std::fs::write(&file, text).unwrap();
        for out in ["text", "json"] {
            if (name, out) == ("nothing but an end", "text") {
                continue;
            }
            let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
            let mut command = relay();
            command.arg("run").arg(&file).args(["--out", out]).stdout(full);
            let ran: Ran = command.output().unwrap().into();
            assert_eq!(ran.code, 1, "{name}, {out}: {}", ran.stderr);
            let last = ran.stderr.lines().last().unwrap_or_default();
            let expected = "error: standard output could not be written: No space left on device";
            assert!(last.starts_with(expected), "{name}, {out}: {}", ran.stderr);
            assert_eq!(ran.stderr.matches("error:").count(), 1, "{name}, {out}: {}", ran.stderr);
        }
    }
    std::fs::write(&file, "steps: [{name: a, image: x, input: [echo up; sleep 600]}]").unwrap();
    let mut command = relay();
    command.arg("run").arg(&file).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let ran: Ran = child.wait_with_output().unwrap().into();
    assert!(!ran.stderr.contains("error:"), "who has stopped reading knows: {}", ran.stderr);
}
