//! What people and programs see.

use std::collections::HashMap;
use std::io::{self, Write};

use jiff::{SignedDuration, Timestamp};
use relay_local::{Event, EventKind, Finished, Stream};
use relay_model::v1beta1::{Condition, StepStatus};
use relay_model::workflow_file::{Finding, Level};
use serde_json::{Value, json};

use crate::files::Checked;

/// An error of the command line itself.
pub(crate) fn error(message: &str) {
    // There is nobody left to tell that standard error is gone.
    let _ = writeln!(io::stderr(), "error: {message}");
}

/// Findings, a line each.
pub(crate) fn findings(file: &str, findings: &[Finding], out: &mut dyn Write) -> io::Result<()> {
    for finding in findings {
        writeln!(out, "{}", finding.in_file(file))?;
    }
    Ok(())
}

/// `FILE: 1 error, 2 warnings`.
pub(crate) fn totals(checked: &Checked, out: &mut dyn Write) -> io::Result<()> {
    let counted = |count: usize, what: &str| match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        _ => Some(format!("{count} {what}s")),
    };
    let counts = [
        counted(checked.count(Level::Error), "error"),
        counted(checked.count(Level::Warning), "warning"),
    ];
    let counts: Vec<_> = counts.into_iter().flatten().collect();
    let text = if counts.is_empty() { "ok".to_owned() } else { counts.join(", ") };
    writeln!(out, "{}: {text}", checked.name)
}

/// A finding for programs.
pub(crate) fn finding_json(file: &str, finding: &Finding) -> Value {
    json!({
        "file": file,
        "line": finding.line,
        "column": finding.column,
        "level": finding.level,
        "code": finding.code,
        "message": finding.message,
    })
}

/// An event for programs (`clients.md` §7).
pub(crate) fn event_json(event: &Event) -> Value {
    let (name, more) = match &event.kind {
        EventKind::Started { .. } => ("started", json!({})),
        EventKind::Output { stream, text, .. } => {
            let stream = match stream {
                Stream::Stdout => "stdout",
                Stream::Stderr => "stderr",
            };
            ("output", json!({"stream": stream, "text": text}))
        }
        EventKind::Waiting { .. } => ("waiting", json!({})),
        EventKind::Succeeded { .. } => ("succeeded", json!({"exitCode": 0})),
        EventKind::Failed { exit_code, reason, message, .. } => {
            ("failed", json!({"exitCode": exit_code, "reason": reason, "message": message}))
        }
        EventKind::Skipped { reason, message, .. } => {
            ("skipped", json!({"reason": reason, "message": message}))
        }
        EventKind::Finished { outcome, message } => {
            ("finished", json!({"outcome": outcome.to_string(), "message": message}))
        }
        _ => ("other", json!({})),
    };
    let mut object = json!({"time": event.time, "run": *event.run, "event": name});
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        if let Some(step) = event.kind.step() {
            object.insert("step".to_owned(), step.into());
        }
        object.extend(more);
    }
    object
}

/// A line of a step's log, where the event is one.
pub(crate) fn log_line(event: &Event, width: usize) -> Option<String> {
    match &event.kind {
        EventKind::Output { step, text, .. } => Some(format!("{step:<width$} | {text}")),
        EventKind::Waiting { step } => Some(format!("{step:<width$} | waits for an answer")),
        _ => None,
    }
}

/// When the steps of a run began and ended, from its events: a status has whole seconds only.
#[derive(Debug, Default)]
pub(crate) struct Times {
    steps: HashMap<String, (Timestamp, Timestamp)>,
    run: Option<(Timestamp, Timestamp)>,
}

impl Times {
    pub(crate) fn see(&mut self, event: &Event) {
        let time = event.time;
        self.run = Some((self.run.map_or(time, |(start, _)| start), time));
        if let Some(step) = event.kind.step() {
            let (_, end) = self.steps.entry(step.to_owned()).or_insert((time, time));
            *end = time;
        }
    }
}

/// A line for each step, and one for the run.
pub(crate) fn summary(
    finished: &Finished,
    run: &str,
    times: &Times,
    out: &mut dyn Write,
) -> io::Result<()> {
    let status = &finished.status;
    let width = status.steps.iter().map(|step| step.name.len()).max().unwrap_or_default();
    writeln!(out)?;
    for step in &status.steps {
        let took = times.steps.get(&step.name).map(duration).unwrap_or_default();
        let (word, detail) = step_result(step, &took);
        let line = format!("{:<width$}  {word:<9}  {detail}", step.name);
        writeln!(out, "{}", line.trim_end())?;
    }
    let took = times.run.as_ref().map(|times| format!(" in {}", duration(times)));
    let succeeded = status.condition("Succeeded");
    let why = succeeded.and_then(|condition| condition.message.as_ref());
    let why = why.map(|message| format!(" ({message})")).unwrap_or_default();
    writeln!(out, "run {run} {}{}{why}", finished.outcome, took.unwrap_or_default())
}

fn step_result(step: &StepStatus, took: &str) -> (&'static str, String) {
    let succeeded = step.condition("Succeeded");
    let skipped = step.condition("Skipped").is_some_and(Condition::is_true);
    let message = succeeded.and_then(|condition| condition.message.clone()).unwrap_or_default();
    if skipped {
        ("skipped", message)
    } else if succeeded.is_some_and(Condition::is_true) {
        ("succeeded", took.to_owned())
    } else {
        ("failed", format!("{took}  {message}").trim_start().to_owned())
    }
}

fn duration((start, end): &(Timestamp, Timestamp)) -> String {
    let duration = end.duration_since(*start);
    if duration < SignedDuration::from_secs(10) {
        return format!("{:.2}s", duration.as_secs_f64());
    }
    format!("{:#}", SignedDuration::from_secs(duration.as_secs()))
}
