//! The program that runs in every pod of a step.
//!
//! A first container calls it with `initialize`, which copies it into a volume; the step's
//! container then calls the copy with `-entrypoint PROGRAM -- ARGUMENTS…`, and the step's program
//! finds it as `ni` in its `PATH`. Unlike the rest of the crate it belongs to the process: it
//! catches signals, prints, and adopts orphans where it is the first process of a container.
//!
//! It is one static file for every Linux image, so nothing here may ask the image's C library
//! anything; `resolver` says how names are looked up without it.

mod init;
mod install;
mod resolver;
mod shipping;

pub use install::install;

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::signal::unix::{Signal as Incoming, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::client::chain;
use crate::entrypoint::{
    Chunk, Ended, Entrypoint, EntrypointError, Invocation, Signal, Stream, TOOLS_DIR,
};
use crate::ni;
use shipping::Shipping;

const FAILED: i32 = 1;
const USAGE: i32 = 2;

/// Is the program, with a command line that begins with its name. The exit code is that of the
/// step's program, 128 + signal if a signal ended it, 126 or 127 if it could not be started, and
/// 1 if the step failed before. Without a program there is nothing to do, and that is a success;
/// so is a sub-command that is not known, since pods of another version may bring one.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args: Vec<OsString> = args.into_iter().collect();
    let name = if args.is_empty() { OsString::new() } else { args.remove(0) };
    resolver::use_built_in_sources();
    let code = if Path::new(&name).file_name().is_some_and(|name| name == "ni") {
        on_runtime(async {
            let (mut stdout, mut stderr) = (io::stdout(), io::stderr());
            let line = std::iter::once(name).chain(args);
            ni::run(line, &ni::Settings::from_env(), &mut stdout, &mut stderr).await.into()
        })
    } else if init::is_first_process() && args.first().is_some_and(|arg| arg != "initialize") {
        on_runtime(async {
            match init::run(&args).await {
                Ok(code) => code,
                Err(error) => complain(error.to_string(), FAILED).await,
            }
        })
    } else {
        on_runtime(run(args))
    };
    // A shell would cut the same bits off.
    u8::try_from(code & 0xff).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn on_runtime(work: impl Future<Output = i32>) -> i32 {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(_) => FAILED,
    }
}

/// Runs the tools with the arguments of the process, without its name, and returns the exit
/// code that [`main`] tells of.
pub async fn run(args: impl IntoIterator<Item = OsString>) -> i32 {
    let args: Vec<OsString> = args.into_iter().collect();
    match args.first().and_then(|first| first.to_str()) {
        Some("initialize") => {
            let own = std::env::current_exe();
            match own.and_then(|own| install(&own, Path::new(TOOLS_DIR))) {
                Ok(()) => 0,
                Err(error) => complain(format!("{TOOLS_DIR}: {error}"), FAILED).await,
            }
        }
        Some(other) if !other.starts_with('-') => {
            complain(format!("{other:?} is no sub-command; nothing is done"), 0).await
        }
        _ => match Invocation::parse(args) {
            Ok(None) => 0,
            Ok(Some(invocation)) => step(invocation).await,
            Err(error) => complain(error.to_string(), USAGE).await,
        },
    }
}

async fn step(invocation: Invocation) -> i32 {
    // How long logs may take to leave when the program has ended.
    const LAST_LOGS: Duration = Duration::from_secs(10);
    let entrypoint = match Entrypoint::new(invocation).settings(|name| std::env::var_os(name)) {
        Ok(entrypoint) => entrypoint,
        Err(error) => return complain(error.chain(), FAILED).await,
    };
    let signals = match forwarded() {
        Ok(signals) => signals,
        Err(error) => return complain(error.to_string(), FAILED).await,
    };
    let wanted = shipping::is_wanted(std::env::var_os("RELAY_ENABLE_SECURE_LOGGING").as_deref());
    let client = entrypoint.api().filter(|_| wanted);
    let shipping = client.map(|client| Shipping::start(&client, shipping::Limits::default()));
    let (output, chunks) = mpsc::channel(16);
    let step = entrypoint
        .inherit_env(true)
        .path_last(TOOLS_DIR)
        .signals(signals)
        .run(output, CancellationToken::new());
    let printing = async {
        print(chunks, shipping.as_ref()).await;
        if let Some(shipping) = shipping {
            shipping.finish(LAST_LOGS).await;
        }
    };
    let (ended, ()) = tokio::join!(step, printing);
    match ended {
        Ok(ended) => finish(&ended).await,
        Err(error) => {
            let code = match &error {
                EntrypointError::Unreported { ended, .. } => finish(ended).await,
                EntrypointError::Unobserved(_) => FAILED,
            };
            // The code of the container is what tells of the program when the report does not.
            complain(chain(&error), code).await
        }
    }
}

async fn finish(ended: &Ended) -> i32 {
    match ended.reason() {
        None => ended.exit_code(),
        Some(reason) => complain(reason.to_owned(), ended.exit_code()).await,
    }
}

/// The signals of the process that are meant for the program.
fn forwarded() -> io::Result<mpsc::Receiver<Signal>> {
    // These would end the step without a word, and nobody means them for it.
    for kind in [
        SignalKind::hangup(),
        SignalKind::user_defined1(),
        SignalKind::user_defined2(),
        SignalKind::alarm(),
    ] {
        drop(signal(kind)?);
    }
    let (sender, receiver) = mpsc::channel(8);
    for (kind, meaning) in [
        (SignalKind::interrupt(), Signal::Interrupt),
        (SignalKind::quit(), Signal::Quit),
        (SignalKind::terminate(), Signal::Terminate),
    ] {
        tokio::spawn(forward(signal(kind)?, meaning, sender.clone()));
    }
    Ok(receiver)
}

async fn forward(mut incoming: Incoming, meaning: Signal, to: mpsc::Sender<Signal>) {
    while incoming.recv().await.is_some() {
        if to.send(meaning).await.is_err() {
            return;
        }
    }
}

async fn print(mut chunks: mpsc::Receiver<Chunk>, shipping: Option<&Shipping>) {
    let (mut stdout, mut stderr) = (tokio::io::stdout(), tokio::io::stderr());
    while let Some(chunk) = chunks.recv().await {
        if let Some(shipping) = shipping {
            shipping.take(&chunk);
        }
        // Nobody to read it is no reason to stop the step.
        drop(match chunk.stream {
            Stream::Stdout => write(&mut stdout, &chunk.bytes).await,
            Stream::Stderr => write(&mut stderr, &chunk.bytes).await,
        });
    }
}

async fn write(to: &mut (impl AsyncWriteExt + Unpin), bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes).await?;
    to.flush().await
}

async fn complain(message: String, code: i32) -> i32 {
    let line = format!("relay: {message}\n");
    drop(write(&mut tokio::io::stderr(), line.as_bytes()).await);
    code
}
