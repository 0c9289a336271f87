//! `relay run`.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use relay_core::Value;
use relay_local::{Engine, EngineError, Event, EventKind, Phase};
use relay_model::workflow_file::Finding;
use tokio::sync::oneshot;

use crate::advice::advice;
use crate::echo::Typing;
use crate::follow::{Followed, follow};
use crate::preparation::{Prepared, Unprepared, prepare};
use crate::screen::{Screen, Terminal};
use crate::signals::Signals;
use crate::summary::Summary;
use crate::{Globals, Out, print, summary};

/// Nothing was started.
const NOT_STARTED: u8 = 2;
/// A signal came before anything was started, or a second one, or one to quit, before the steps had
/// ended.
const CANCELLED: u8 = 130;

/// What `relay run` is told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The workflow file
    #[arg(value_name = "FILE", required_unless_present = "named", conflicts_with = "named")]
    file: Option<PathBuf>,
    /// The workflow file, as older commands name it
    #[arg(short = 'f', long = "file", value_name = "FILE", id = "named")]
    named: Option<PathBuf>,
    /// The value of a parameter; may be repeated, the value may be empty
    #[arg(short, long = "parameter", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) parameters: Vec<(String, String)>,
    /// The value of a parameter as JSON, of any type
    #[arg(long = "parameter-json", value_name = "NAME=JSON", value_parser = json_pair)]
    pub(crate) typed_parameters: Vec<(String, Value)>,
    /// A file with secrets and connections
    #[arg(long, value_name = "FILE")]
    pub(crate) values: Option<PathBuf>,
    /// A secret to type in, or to read as a line of standard input; may be repeated
    #[arg(long = "secret", value_name = "NAME")]
    pub(crate) secrets: Vec<String>,
    /// Accept this approval when it is asked for; may be repeated
    #[arg(long, value_name = "STEP")]
    pub(crate) approve: Vec<String>,
    /// Reject this approval when it is asked for; may be repeated
    #[arg(long, value_name = "STEP")]
    pub(crate) reject: Vec<String>,
    /// A program in the place of an image, for steps that name only that; may be repeated
    #[arg(long = "image", value_name = "IMAGE=PROGRAM", value_parser = program)]
    pub(crate) images: Vec<(String, PathBuf)>,
    /// How long the run may take, such as 1h30m
    #[arg(long, value_name = "DURATION", value_parser = limit, allow_hyphen_values = true)]
    pub(crate) timeout: Option<SignedDuration>,
    /// How long each step may take
    #[arg(long, value_name = "DURATION", value_parser = limit, allow_hyphen_values = true)]
    pub(crate) step_timeout: Option<SignedDuration>,
    /// How long an approval waits: 1h where somebody can be asked, otherwise not at all
    #[arg(long, value_name = "DURATION", value_parser = wait, allow_hyphen_values = true)]
    pub(crate) approval_timeout: Option<SignedDuration>,
}

impl Options {
    /// The workflow file.
    pub(crate) fn file(&self) -> &Path {
        self.file.as_deref().or(self.named.as_deref()).unwrap_or(Path::new(""))
    }
}

/// Whether there is somebody to ask.
pub(crate) fn asks() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE; the value may be empty".to_owned()),
    }
}

pub(crate) fn json_pair(text: &str) -> Result<(String, Value), String> {
    let (name, json) = pair(text)?;
    let value = Value::from_json(&json).map_err(|error| format!("not JSON: {error}"))?;
    Ok((name, value))
}

fn program(text: &str) -> Result<(String, PathBuf), String> {
    let (image, program) = pair(text)?;
    let path = PathBuf::from(&program);
    // A bare name is looked up in the PATH of the step.
    if !program.contains('/') {
        return Ok((image, path));
    }
    std::path::absolute(&path).map(|path| (image, path)).map_err(|error| error.to_string())
}

/// How long something may take.
pub(crate) fn limit(text: &str) -> Result<SignedDuration, String> {
    let limit = duration(text)?;
    if limit.is_positive() {
        return Ok(limit);
    }
    Err("it must be longer than nothing; leave the option out where there is no limit".to_owned())
}

/// How long something is waited for, which may be not at all.
pub(crate) fn wait(text: &str) -> Result<SignedDuration, String> {
    let wait = duration(text)?;
    if wait.is_negative() {
        return Err("it must not be negative; 0s does not wait at all".to_owned());
    }
    Ok(wait)
}

fn duration(text: &str) -> Result<SignedDuration, String> {
    text.parse().map_err(|error| format!("write a duration such as 90s or 1h30m: {error}"))
}

/// Runs a file; the exit code.
pub(crate) async fn run(options: Arc<Options>, globals: Globals) -> u8 {
    // From here on a signal ends what was started, and not just this program.
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return failed(&error),
    };
    let typing = Typing::keep();
    let prepared = tokio::select! {
        prepared = prepare_apart(Arc::clone(&options), globals.yes) => prepared,
        _ = signals.next() => Err(Unprepared::Interrupted),
    };
    let out = globals.out;
    let (prepared, warnings) = match prepared {
        Ok(prepared) => prepared,
        Err(unprepared) => {
            match unprepared {
                Unprepared::Message(message) => print::error(&message),
                Unprepared::Findings(file, findings) => {
                    // There is nobody left to tell that nobody reads.
                    let _ = print::run_findings(&file, &findings, out);
                }
                Unprepared::Interrupted => {
                    typing.give_up();
                    return CANCELLED;
                }
            }
            return NOT_STARTED;
        }
    };
    let file = options.file().display().to_string();
    let _ = print::run_findings(&file, &warnings, out);
    if prepared.outline.steps.is_empty() {
        let written = match out {
            Out::Text => {
                // There is nobody left to tell that standard error is gone.
                let _ = writeln!(io::stderr(), "nothing to do: the workflow has no steps");
                Ok(())
            }
            Out::Json => writeln!(io::stdout(), "{}", summary::nothing_to_do(Timestamp::now())),
        };
        return print::unwritten(written.err()).unwrap_or(0);
    }
    let done = carry_out(prepared, &options, globals, &mut signals).await;
    done.unwrap_or_else(|error| failed(&error))
}

/// Tells an error of the engine; the exit code.
fn failed(error: &EngineError) -> u8 {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    print::error(&format!("{error}{}", cause.unwrap_or_default()));
    match error {
        EngineError::Lost => 1,
        _ => NOT_STARTED,
    }
}

/// Prepares on a thread of its own: files and what is typed may be waited for in ways that cannot be
/// given up, and must not hold up the answer to a signal.
async fn prepare_apart(
    options: Arc<Options>,
    yes: bool,
) -> Result<(Prepared, Vec<Finding>), Unprepared> {
    let (done, prepared) = oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let prepared = match runtime {
            Ok(runtime) => runtime.block_on(prepare(&options, yes)),
            Err(error) => Err(Unprepared::Message(format!("could not start: {error}"))),
        };
        // Fails when nobody waits any more.
        drop(done.send(prepared));
    });
    let lost = |_| Err(Unprepared::Message("the preparation was lost".to_owned()));
    prepared.await.unwrap_or_else(lost)
}

async fn carry_out(
    prepared: Prepared,
    options: &Options,
    globals: Globals,
    signals: &mut Signals,
) -> Result<u8, EngineError> {
    let out = globals.out;
    let ni = std::env::current_exe().map_err(|source| EngineError::Machine {
        doing: "find the program itself, which steps use as ni",
        source,
    })?;
    let mut engine = Engine::new(ni).with_secrets(prepared.secrets.clone());
    for (image, program) in &options.images {
        engine = engine.with_image(image, program);
    }
    // Dropped after the run.
    let adoption = relay_local::executor::adopt_orphans();
    if let Err(error) = &adoption {
        tracing::warn!(%error, "a process that leaves its step will outlive it");
    }
    let mut run = engine.start(prepared.submission.clone()).await?;
    let name = run.name().to_owned();
    let terminal = Terminal::detect(out, globals.talks());
    let screen = Screen::new(&prepared.outline, out, terminal);
    let followed = follow(&mut run, signals, screen, &prepared, asks()).await?;
    let Some(Followed { times, last, unwritten }) = followed else { return Ok(CANCELLED) };
    let finished = run.finish().await?;
    let (outcome, status) = (finished.outcome, &finished.status);
    let summary = Summary { phase: Phase::Ended(outcome), status, times: &times };
    let message = String::new();
    let last = last.unwrap_or_else(|| {
        Event::new(Timestamp::now(), name.as_str(), EventKind::Finished { outcome, message })
    });
    let advice = |step: &str, failed: bool, reason: &str, message: &str| {
        advice(step, failed, reason, message, &prepared.outline.place(step))
    };
    let last = print::event_json(&last);
    let written = summary.print(&name, &advice, terminal.stderr, out, last);
    Ok(print::unwritten(unwritten.or(written.err())).unwrap_or(outcome.exit_code()))
}
