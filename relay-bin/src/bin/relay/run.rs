//! `relay run`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use futures::StreamExt as _;
use relay_core::Value;
use relay_local::{Engine, EngineError, Event, Run, Submission};
use relay_model::workflow_file::{Finding, Level, WorkflowFile};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::print::Times;
use crate::{Out, files, print};

/// Nothing was started.
const NOT_STARTED: u8 = 2;
/// A second signal came before the steps had ended.
const CANCELLED: u8 = 130;

/// Runs a file; the exit code.
pub(crate) async fn run(path: &Path, parameters: &[(String, String)], out: Out) -> u8 {
    let (file, values) = match prepare(path, parameters) {
        Ok(prepared) => prepared,
        Err(code) => return code,
    };
    let width = file.steps.iter().map(|step| step.name.len()).max().unwrap_or_default();
    if file.steps.is_empty() {
        // There is nobody left to tell that standard error is gone.
        let _ = writeln!(io::stderr(), "nothing to do: the workflow has no steps");
        return 0;
    }
    match carry_out(&file, values, out, width).await {
        Ok(code) => code,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            print::error(&format!("{error}{}", cause.unwrap_or_default()));
            match error {
                EngineError::Lost => 1,
                _ => NOT_STARTED,
            }
        }
    }
}

/// Everything that can be wrong is found before anything is started.
fn prepare(
    path: &Path,
    parameters: &[(String, String)],
) -> Result<(WorkflowFile, BTreeMap<String, Value>), u8> {
    let checked = match files::read(path) {
        Ok(checked) => checked,
        Err(message) => {
            print::error(&message);
            return Err(NOT_STARTED);
        }
    };
    let name = &checked.name;
    let mut findings = checked.parsed.findings.clone();
    let mut ready = None;
    if let Some(mut file) = checked.parsed.file {
        findings.extend(files::load_inputs(path, &mut file));
        findings.extend(files::check_programs(&file));
        match file.bind(parameters) {
            Ok(values) => ready = Some((file, values)),
            Err(missing) => findings.extend(missing),
        }
    }
    findings.sort_by_key(|finding: &Finding| (finding.line, finding.column));
    let wrong = findings.iter().any(|finding| finding.level == Level::Error);
    // There is nobody left to tell that standard error is gone.
    let _ = print::findings(name, &findings, &mut io::stderr().lock());
    match ready {
        Some(ready) if !wrong => Ok(ready),
        _ => Err(NOT_STARTED),
    }
}

async fn carry_out(
    file: &WorkflowFile,
    values: BTreeMap<String, Value>,
    out: Out,
    width: usize,
) -> Result<u8, EngineError> {
    let ni = std::env::current_exe().map_err(|source| EngineError::Machine {
        doing: "find the program itself, which steps use as ni",
        source,
    })?;
    let mut run = Engine::new(ni).start(Submission::new(file, values)).await?;
    let name = run.name().to_owned();
    let Some(times) = follow(&mut run, out, width).await? else { return Ok(CANCELLED) };
    let finished = run.finish().await?;
    if out == Out::Text {
        let _ = print::summary(&finished, &name, &times, &mut io::stderr().lock());
    }
    Ok(finished.outcome.exit_code())
}

/// Prints events until the run has ended. A signal cancels it, and so does an output that nobody
/// reads any more; a second signal does not wait for the steps.
async fn follow(run: &mut Run, out: Out, width: usize) -> Result<Option<Times>, EngineError> {
    let mut times = Times::default();
    let mut signals = Signals::new()?;
    let mut cancelled = false;
    loop {
        let event = tokio::select! {
            event = next(run) => event,
            () = signals.next() => {
                if std::mem::replace(&mut cancelled, true) {
                    return Ok(None);
                }
                run.cancel().await?;
                continue;
            }
        };
        let Some(event) = event else { return Ok(Some(times)) };
        times.see(&event);
        if show(&event, out, width).is_err() && !cancelled {
            cancelled = true;
            run.cancel().await?;
        }
    }
}

/// The signals that end a run.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> Result<Self, EngineError> {
        let listen = |kind| {
            signal(kind)
                .map_err(|source| EngineError::Machine { doing: "listen to signals", source })
        };
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(listen);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

async fn next(run: &mut Run) -> Option<Event> {
    run.events().next().await
}

fn show(event: &Event, out: Out, width: usize) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match out {
        Out::Json => writeln!(stdout, "{}", print::event_json(event))?,
        Out::Text => {
            if let Some(line) = print::log_line(event, width) {
                writeln!(stdout, "{line}")?;
            }
        }
    }
    stdout.flush()
}
