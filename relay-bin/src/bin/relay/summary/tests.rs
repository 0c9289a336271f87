use relay_core::Value as Data;
use relay_local::EventKind;

use super::*;
use crate::advice::advice;
use crate::outline::{Outline, Step};
use crate::print::event_json;

fn at(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap()
}

fn step(name: &str, succeeded: bool, skipped: bool, reason: &str, message: &str) -> StepStatus {
    let condition = |kind, is| Condition::new(kind, Some(is), at(0));
    StepStatus {
        name: name.to_owned(),
        conditions: vec![
            condition("Completed", true),
            condition("Skipped", skipped),
            condition("Succeeded", succeeded).because(reason, message),
        ],
        ..StepStatus::default()
    }
}

fn output(name: &str, value: impl Into<Data>) -> OutputStatus {
    OutputStatus { name: name.to_owned(), sensitive: false, value: value.into(), omitted: None }
}

/// A run of three steps, one of each ending.
fn status() -> RunStatus {
    let mut build = step("build", true, false, "Succeeded", "");
    build.outputs = vec![
        output("file", "app.tar"),
        output("lines", "a\nb"),
        output("long", "x".repeat(1000)),
        OutputStatus { sensitive: true, ..output("password", Data::Null) },
        OutputStatus { omitted: Some("40000 bytes".to_owned()), ..output("huge", Data::Null) },
    ];
    RunStatus {
        conditions: vec![
            Condition::new("Completed", Some(true), at(0)),
            Condition::new("Succeeded", Some(false), at(0)).because("Failed", "failed: unit"),
        ],
        steps: vec![
            build,
            step("unit", false, false, "Failed", "exit code 3"),
            step("report", true, true, "DependencyNotSucceeded", "step \"unit\" did not succeed"),
        ],
        ..RunStatus::default()
    }
}

fn times() -> Times {
    let mut times = Times::default();
    let started = |step: &str| EventKind::Started { step: step.into() };
    let succeeded = |step: &str| EventKind::Succeeded { step: step.into() };
    for (time, kind) in [
        (0, started("build")),
        (1_250, succeeded("build")),
        (1_300, started("unit")),
        // How it ended does not matter for the time.
        (75_300, succeeded("unit")),
    ] {
        times.see(&Event::new(at(time), "r-1", kind));
    }
    times
}

fn text(paint: Paint) -> String {
    let steps = ["build", "unit", "report"].into_iter().zip([2, 4, 7]);
    let steps = steps.map(|(name, line)| Step {
        name: name.to_owned(),
        waits_for: Vec::new(),
        line,
        question: None,
    });
    let outline = Outline { file: "w.yaml".to_owned(), steps: steps.collect() };
    let advise = |step: &str, failed: bool, reason: &str, message: &str| {
        advice(step, failed, reason, message, &outline.place(step))
    };
    let (status, times) = (status(), times());
    let summary = Summary { phase: Phase::Ended(Outcome::Failed), status: &status, times: &times };
    let mut out = Vec::new();
    summary.text("r-1", &advise, paint, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn for_people() {
    let expected = format!(
        r#"
build   succeeded  1.25s
        file = "app.tar"
        lines = "a\nb"
        long = "{}… (cut, 1002 characters; `--out json` shows all)
        password = ***
        huge = (40000 bytes)
unit    failed     1m 14s  exit code 3
report  skipped    step "unit" did not succeed
run r-1 failed in 1m 15s (failed: unit)
next: see what "unit" wrote above, in lines that begin with "unit |", and change the step (w.yaml:4); the exit code of a script is that of its last line
"#,
        "x".repeat(199)
    );
    assert_eq!(text(Paint { colours: false }), expected);
    let coloured = text(Paint { colours: true });
    assert_ne!(coloured, expected);
    assert_eq!(console::strip_ansi_codes(&coloured), expected);
}

#[test]
fn for_programs() {
    let (status, times) = (status(), times());
    let summary = Summary { phase: Phase::Ended(Outcome::Failed), status: &status, times: &times };
    let message = "failed: unit".to_owned();
    let last = EventKind::Finished { outcome: Outcome::Failed, message };
    let json = summary.json(event_json(&Event::new(at(0), "r-1", last)));
    assert_eq!(
        json,
        json!({
            "time": "1970-01-01T00:00:00Z",
            "run": "r-1",
            "event": "finished",
            "outcome": "failed",
            "message": "failed: unit",
            "durationMs": 75_300,
            "steps": [
                {
                    "name": "build",
                    "state": "succeeded",
                    "reason": "Succeeded",
                    "message": "",
                    "durationMs": 1_250,
                    "outputs": [
                        {"name": "file", "value": "app.tar"},
                        {"name": "lines", "value": "a\nb"},
                        {"name": "long", "value": "x".repeat(1000)},
                        {"name": "password", "sensitive": true, "value": "***"},
                        {"name": "huge", "omitted": "40000 bytes"},
                    ],
                },
                {
                    "name": "unit",
                    "state": "failed",
                    "reason": "Failed",
                    "message": "exit code 3",
                    "durationMs": 74_000,
                    "outputs": [],
                },
                {
                    "name": "report",
                    "state": "skipped",
                    "reason": "DependencyNotSucceeded",
                    "message": "step \"unit\" did not succeed",
                    "durationMs": 0,
                    "outputs": [],
                },
            ],
        })
    );
}

/// As `relay status` shows it.
#[test]
fn while_it_goes_on() {
    let condition = |kind, is| Condition::new(kind, is, at(0));
    let step = |name: &str, began: bool, conditions| StepStatus {
        name: name.to_owned(),
        start_time: began.then(|| Time(at(1_000))),
        conditions,
        ..StepStatus::default()
    };
    let mut done = step("done", true, vec![condition("Completed", Some(true))]);
    done.conditions.push(condition("Succeeded", Some(true)));
    done.completion_time = Some(Time(at(4_000)));
    let asks = condition("Completed", None).because("WaitingForApproval", "");
    let status = RunStatus {
        start_time: Some(Time(at(0))),
        conditions: vec![
            condition("Completed", Some(false))
                .because("WaitingForApproval", "waiting for an answer: ask"),
        ],
        steps: vec![
            done,
            step("busy", true, vec![condition("Completed", Some(false))]),
            step("ask", false, vec![asks]),
            step("later", false, Vec::new()),
        ],
        ..RunStatus::default()
    };
    let times = Times::of(&status, at(61_000));
    let summary = Summary { phase: Phase::of(&status), status: &status, times: &times };
    let mut out = Vec::new();
    let advise = crate::advice::cluster_advice("r-1");
    summary.text("r-1", &advise, Paint { colours: false }, &mut out).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "\ndone   succeeded  3.00s\nbusy   running    1m\nask    waiting    waits for an answer\n\
         later  waiting\nrun r-1 waiting in 1m 1s (waiting for an answer: ask)\n\
         next: answer \"ask\": relay approve r-1 ask, or relay reject r-1 ask\n"
    );
    let states = summary.json(json!({}))["steps"].as_array().unwrap().clone();
    let states: Vec<_> = states.iter().map(|step| step["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["succeeded", "running", "waiting", "waiting"]);
}
