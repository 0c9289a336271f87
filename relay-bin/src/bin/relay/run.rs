//! `relay run`.

use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;

use clap::Args;
use futures::StreamExt as _;
use jiff::SignedDuration;
use relay_core::Value;
use relay_local::{Answer, Engine, EngineError, Event, EventKind, Run};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::preparation::{Prepared, Unprepared, prepare};
use crate::print::Times;
use crate::{Out, print};

/// Nothing was started.
const NOT_STARTED: u8 = 2;
/// A second signal came before the steps had ended.
const CANCELLED: u8 = 130;

/// What `relay run` is told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The workflow file
    pub(crate) file: PathBuf,
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
    #[arg(long, value_name = "STEP", conflicts_with = "approve")]
    pub(crate) reject: Vec<String>,
    /// A program in the place of an image, for steps that name only that; may be repeated
    #[arg(long = "image", value_name = "IMAGE=PROGRAM", value_parser = program)]
    pub(crate) images: Vec<(String, PathBuf)>,
    /// How long the run may take, such as 1h30m
    #[arg(long, value_name = "DURATION")]
    pub(crate) timeout: Option<SignedDuration>,
    /// How long each step may take
    #[arg(long, value_name = "DURATION")]
    pub(crate) step_timeout: Option<SignedDuration>,
    /// How long an approval waits: 1h where somebody can be asked, otherwise not at all
    #[arg(long, value_name = "DURATION")]
    pub(crate) approval_timeout: Option<SignedDuration>,
}

impl Options {
    /// Whether there is somebody to ask.
    pub(crate) fn asks(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE; the value may be empty".to_owned()),
    }
}

fn json_pair(text: &str) -> Result<(String, Value), String> {
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

/// Runs a file; the exit code.
pub(crate) async fn run(options: &Options, out: Out) -> u8 {
    let (prepared, warnings) = match prepare(options).await {
        Ok(prepared) => prepared,
        Err(unprepared) => {
            match unprepared {
                Unprepared::Message(message) => print::error(&message),
                Unprepared::Findings(file, findings) => {
                    // There is nobody left to tell that standard error is gone.
                    let _ = print::findings(&file, &findings, &mut io::stderr().lock());
                }
            }
            return NOT_STARTED;
        }
    };
    let file = options.file.display().to_string();
    let _ = print::findings(&file, &warnings, &mut io::stderr().lock());
    if prepared.steps.is_empty() {
        let _ = writeln!(io::stderr(), "nothing to do: the workflow has no steps");
        return 0;
    }
    match carry_out(prepared, options, out).await {
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

async fn carry_out(prepared: Prepared, options: &Options, out: Out) -> Result<u8, EngineError> {
    let ni = std::env::current_exe().map_err(|source| EngineError::Machine {
        doing: "find the program itself, which steps use as ni",
        source,
    })?;
    let mut engine = Engine::new(ni).with_secrets(prepared.secrets.clone());
    for (image, program) in &options.images {
        engine = engine.with_image(image, program);
    }
    // From here on a signal ends what was started, and not just this program.
    let mut signals = Signals::new()?;
    let mut run = engine.start(prepared.submission.clone()).await?;
    let name = run.name().to_owned();
    let followed = follow(&mut run, &mut signals, &prepared, options, out).await?;
    let Some(times) = followed else { return Ok(CANCELLED) };
    let finished = run.finish().await?;
    if out == Out::Text {
        // There is nobody left to tell that standard error is gone.
        let _ = print::summary(&finished, &name, &times, &mut io::stderr().lock());
    }
    Ok(finished.outcome.exit_code())
}

/// Prints events until the run has ended. A signal cancels it, and so does an output that nobody
/// reads any more; a second signal does not wait for the steps.
async fn follow(
    run: &mut Run,
    signals: &mut Signals,
    prepared: &Prepared,
    options: &Options,
    out: Out,
) -> Result<Option<Times>, EngineError> {
    let width = prepared.steps.iter().map(String::len).max().unwrap_or_default();
    let mut times = Times::default();
    let mut questions = Questions::new(options.asks());
    let mut cancelled = false;
    loop {
        let event = tokio::select! {
            event = next(run) => event,
            (step, answer) = questions.answered() => {
                run.answer(&step, answer).await?;
                continue;
            }
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
        if let EventKind::Waiting { step } = &event.kind
            && !options.approve.iter().chain(&options.reject).any(|known| **known == **step)
        {
            let question = prepared.questions.get(&**step).map(String::as_str);
            questions.ask(step, question.unwrap_or_default());
        }
        if show(&event, out, width).is_err() && !cancelled {
            cancelled = true;
            run.cancel().await?;
        }
    }
}

/// Questions to the person at the terminal, one at a time.
struct Questions {
    asked: Option<mpsc::UnboundedSender<(String, String)>>,
    answers: mpsc::UnboundedReceiver<(String, Answer)>,
}

impl Questions {
    fn new(asks: bool) -> Self {
        let (asked, mut questions) = mpsc::unbounded_channel::<(String, String)>();
        let (sender, answers) = mpsc::unbounded_channel();
        if asks {
            // A thread of its own: reading a line cannot be given up, and must not hold up the end.
            std::thread::spawn(move || {
                while let Some((step, question)) = questions.blocking_recv() {
                    let Ok(answer) = ask(&step, &question) else { return };
                    if sender.send((step, answer)).is_err() {
                        return;
                    }
                }
            });
        }
        Self { asked: asks.then_some(asked), answers }
    }

    fn ask(&self, step: &str, question: &str) {
        if let Some(asked) = &self.asked {
            // Fails only when standard input has ended, and then nobody answers.
            let _ = asked.send((step.to_owned(), question.to_owned()));
        }
    }

    async fn answered(&mut self) -> (String, Answer) {
        match self.answers.recv().await {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

fn ask(step: &str, question: &str) -> io::Result<Answer> {
    let question = if question.is_empty() { "Approve?" } else { question };
    let mut terminal = io::stderr();
    write!(terminal, "{step}: {question} [y/N] ")?;
    terminal.flush()?;
    let mut line = String::new();
    if io::stdin().read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let yes = matches!(line.trim().to_lowercase().as_str(), "y" | "yes");
    Ok(if yes { Answer::Approved } else { Answer::Rejected })
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
