//! `relay dev`: for those who write steps.

use std::ffi::OsString;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;

use clap::Args;
use relay_core::{Action, Claims, Hs256Key, RunId, StepName, TokenSigner as _};
use relay_local::NiDirectory;
use relay_metadata::sample::Sample;
use relay_metadata::{Router, TokenAuthenticator};
use secrecy::ExposeSecret as _;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::print;

const EXAMPLES: &str = "\
Examples:
  relay dev metadata -i sample.yaml ni get -p '{.greeting}'
                                                run a command as the step `default` of run `1`
  relay dev metadata -i sample.yaml -r 42 -s build -- ./step.sh --fast
  relay dev metadata -i sample.yaml             serve, and print the address for another terminal";

/// Options of `relay dev metadata`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Metadata {
    /// The sample file: connections, secrets, and runs with their steps
    #[arg(short, long, value_name = "FILE")]
    input: PathBuf,

    /// The run to play
    #[arg(short, long, default_value = "1")]
    run: String,

    /// The step of it to play
    #[arg(short, long, default_value = "default")]
    step: String,

    /// What to run, with `ni` in its path; without it, the address is printed and the API served until it is interrupted
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// Serves the API to one step of a sample file: to a command, whose exit code is passed on, or to
/// whoever is given the address. Exit code 2 where nothing was started.
pub(crate) async fn metadata(options: &Metadata) -> u8 {
    match start(options).await {
        Ok(code) => code,
        Err(problem) => {
            print::error(&problem);
            2
        }
    }
}

async fn start(options: &Metadata) -> Result<u8, String> {
    let file = options.input.display();
    let text = std::fs::read_to_string(&options.input)
        .map_err(|error| format!("could not read {file}: {error}"))?;
    let sample = Sample::from_yaml(&text).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(|problem| format!("{file}:{problem}")).collect();
        lines.join("\n")
    })?;
    let step = step(options, &sample)?;

    let failed = |error: &dyn std::error::Error| format!("could not serve: {error}");
    let key = Arc::new(Hs256Key::generate());
    let token = key.sign(&Claims::for_action(&step)).await.map_err(|error| failed(&error))?;
    let authenticator = TokenAuthenticator::new(key, Arc::new(sample.callers()));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.map_err(|error| failed(&error))?;
    let address = listener.local_addr().map_err(|error| failed(&error))?;
    let url = format!("http://:{}@{address}", token.expose_secret());

    let (stop, stopped) = oneshot::channel::<()>();
    let router = Router::new(Arc::new(authenticator));
    let server = tokio::spawn(router.serve(listener, async { drop(stopped.await) }));
    let code = match options.command.split_first() {
        Some((program, arguments)) => {
            let tools = std::env::current_exe().and_then(|relay| NiDirectory::of(&relay));
            let tools = tools.map_err(|error| format!("could not install ni: {error}"))?;
            run(program, arguments, &url, &tools).await
        }
        None => wait(&url).await,
    };
    drop(stop);
    // What still hangs on the API hangs on a command that is gone.
    server.abort();
    code
}

/// The step to play, which has to be in the file.
fn step(options: &Metadata, sample: &Sample) -> Result<Action, String> {
    let run: RunId = options.run.parse().map_err(|error| format!("--run: {error}"))?;
    let name: StepName = options.step.parse().map_err(|error| format!("--step: {error}"))?;
    let step = Action::step(run, name);
    if sample.actions().any(|action| action == step) {
        return Ok(step);
    }
    let known: Vec<_> = sample
        .actions()
        .filter_map(|action| match action {
            Action::Step { run, name } => Some(format!("  --run '{run}' --step '{name}'")),
            Action::Trigger { .. } => None,
        })
        .collect();
    let file = options.input.display();
    let there = match known.as_slice() {
        [] => "it has no steps".to_owned(),
        known => format!("it has\n{}", known.join("\n")),
    };
    Err(format!("{file} has no step {:?} in run {:?}; {there}", options.step, options.run))
}

/// Runs the command. It shares the terminal, so an interrupt reaches it without help; a request to
/// end is passed on.
async fn run(
    program: &OsString,
    arguments: &[OsString],
    url: &str,
    tools: &NiDirectory,
) -> Result<u8, String> {
    let on = |kind| signal(kind).map_err(|error| format!("could not wait for signals: {error}"));
    let mut interrupt = on(SignalKind::interrupt())?;
    let mut terminate = on(SignalKind::terminate())?;
    let mut child = Command::new(program)
        .args(arguments)
        .env("METADATA_API_URL", url)
        .env("PATH", tools.search_path())
        .spawn()
        .map_err(|error| format!("could not run {}: {error}", program.display()))?;
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    loop {
        tokio::select! {
            ended = child.wait() => {
                let ended = ended.map_err(|error| format!("could not wait: {error}"))?;
                return Ok(code(ended));
            }
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {
                if let Some(id) = id {
                    let process = nix::unistd::Pid::from_raw(id);
                    let _ = nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGTERM);
                }
            }
        }
    }
}

/// The exit code as shells have it: 128 and the signal where one ended the command.
fn code(ended: ExitStatus) -> u8 {
    let signalled = || ended.signal().map(|signal| signal.saturating_add(128));
    ended.code().or_else(signalled).and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

async fn wait(url: &str) -> Result<u8, String> {
    let on = |kind| signal(kind).map_err(|error| format!("could not wait for signals: {error}"));
    let mut interrupt = on(SignalKind::interrupt())?;
    let mut terminate = on(SignalKind::terminate())?;
    let mut out = std::io::stdout();
    writeln!(out, "export METADATA_API_URL='{url}'")
        .and_then(|()| out.flush())
        .map_err(|error| format!("could not print the address: {error}"))?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(0)
}
