//! What people and programs see.

use std::io::{self, ErrorKind, Write};

use relay_local::{Event, EventKind, Stream};
use relay_model::workflow_file::{Finding, Level};
use serde_json::{Value, json};

use crate::Out;
use crate::files::Checked;

/// An error of the command line itself.
pub(crate) fn error(message: &str) {
    // There is nobody left to tell that standard error is gone.
    let _ = writeln!(io::stderr(), "error: {message}");
}

/// Tells that standard output could not be written; the exit code. Nobody is told who has stopped
/// reading.
pub(crate) fn unwritten(problem: Option<io::Error>) -> Option<u8> {
    let problem = problem.filter(|problem| problem.kind() != ErrorKind::BrokenPipe)?;
    error(&format!("standard output could not be written: {problem}"));
    Some(1)
}

/// Something good to know, past what programs read.
pub(crate) fn note(message: &str) {
    // As above.
    let _ = writeln!(io::stderr(), "{message}");
}

/// The script with which a shell completes commands; the exit code. Commands that help does not
/// show are not completed either.
pub(crate) fn completion(shell: clap_complete::Shell, command: &clap::Command) -> u8 {
    let mut command = shown(command).version(env!("CARGO_PKG_VERSION"));
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "relay", &mut script);
    printed(io::stdout().write_all(&script))
}

/// A command as help shows it.
fn shown(command: &clap::Command) -> clap::Command {
    let below = command.get_subcommands().filter(|command| !command.is_hide_set());
    let name = command.get_name().to_owned();
    let about = command.get_about().cloned().unwrap_or_default();
    clap::Command::new(name)
        .about(about)
        .args(command.get_arguments())
        .subcommands(below.map(shown))
}

/// The version; the exit code.
pub(crate) fn version(out: Out) -> u8 {
    let version = env!("CARGO_PKG_VERSION");
    let line = match out {
        Out::Text => format!("relay {version}"),
        Out::Json => json!({"version": version}).to_string(),
    };
    printed(writeln!(io::stdout(), "{line}"))
}

/// The exit code of a command that only prints.
pub(crate) fn printed(written: io::Result<()>) -> u8 {
    match written {
        Ok(()) => 0,
        Err(problem) => {
            error(&format!("cannot print: {problem}"));
            2
        }
    }
}

/// Findings of a file that is to be run: lines for people, or objects among the events.
pub(crate) fn run_findings(file: &str, list: &[Finding], out: Out) -> io::Result<()> {
    if out == Out::Text {
        return findings(file, list, &mut io::stderr().lock());
    }
    let mut stdout = io::stdout().lock();
    for finding in list {
        writeln!(stdout, "{}", finding_event(file, finding))?;
    }
    stdout.flush()
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

/// A finding of a run for programs: an object among the events.
pub(crate) fn finding_event(file: &str, finding: &Finding) -> Value {
    let mut object = finding_json(file, finding);
    if let Value::Object(members) = &mut object {
        members.insert("event".to_owned(), "finding".into());
    }
    object
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
