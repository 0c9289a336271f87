use relay_core::Value as Data;
use relay_local::EventKind;

use super::*;
use crate::outline::Step;
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
    let (status, times) = (status(), times());
    let summary = Summary { outcome: Outcome::Failed, status: &status, times: &times };
    let mut out = Vec::new();
    summary.text("r-1", &outline, paint, &mut out).unwrap();
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
    let summary = Summary { outcome: Outcome::Failed, status: &status, times: &times };
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
