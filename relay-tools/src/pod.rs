//! The program that runs in every pod of a step.
//!
//! A first container calls it with `initialize`, which copies the tools into a volume; the
//! step's container then calls the copy with `-entrypoint PROGRAM -- ARGUMENTS…`. Unlike the
//! rest of the crate it belongs to the process: it catches signals and prints.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio::io::AsyncWriteExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::client::chain;
use crate::entrypoint::{
    Chunk, Ended, Entrypoint, EntrypointError, Invocation, Signal, Stream, TOOLS_DIR,
};

const USAGE: i32 = 2;

/// Runs the tools with the arguments of the process, without its name, and returns the exit
/// code: that of the step's program, 128 + signal if a signal ended it, 126 or 127 if it could
/// not be started, 1 if the step failed before. An empty command line does nothing.
pub async fn run(args: impl IntoIterator<Item = OsString>) -> i32 {
    let args: Vec<OsString> = args.into_iter().collect();
    if args.first().is_some_and(|first| first == "initialize") {
        let done =
            std::env::current_exe().and_then(|own| install(&own, Path::new(TOOLS_DIR)).map(|()| 0));
        return match done {
            Ok(code) => code,
            Err(error) => complain(&error.to_string(), 1).await,
        };
    }
    match Invocation::parse(args) {
        Ok(None) => 0,
        Ok(Some(invocation)) => step(invocation).await,
        Err(error) => complain(&error.to_string(), USAGE).await,
    }
}

/// Copies `tools` into `dir` as `entrypoint`, executable for everybody, and the `ni` that lies
/// beside it, if there is one, as `ni`. Each file appears complete or not at all, and replaces
/// an older one.
///
/// # Errors
/// Whatever the file system reports.
pub fn install(tools: &Path, dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    copy(tools, dir, OsStr::new("entrypoint"))?;
    let ni = tools.with_file_name("ni");
    if ni.is_file() {
        copy(&ni, dir, OsStr::new("ni"))?;
    }
    Ok(())
}

fn copy(from: &Path, dir: &Path, name: &OsStr) -> io::Result<()> {
    let mut draft = OsString::from(".");
    draft.push(name);
    draft.push(format!(".{}", std::process::id()));
    let draft = dir.join(draft);
    std::fs::copy(from, &draft)?;
    std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o555))?;
    std::fs::rename(&draft, dir.join(name))
}

async fn step(invocation: Invocation) -> i32 {
    let entrypoint = match Entrypoint::new(invocation).settings(|name| std::env::var_os(name)) {
        Ok(entrypoint) => entrypoint,
        Err(error) => return complain(&error.chain(), 1).await,
    };
    let signals = match forwarded() {
        Ok(signals) => signals,
        Err(error) => return complain(&error.to_string(), 1).await,
    };
    let (output, chunks) = mpsc::channel(16);
    let step = entrypoint
        .inherit_env(true)
        .path_last(TOOLS_DIR)
        .signals(signals)
        .run(output, CancellationToken::new());
    let (ended, ()) = tokio::join!(step, print(chunks));
    match ended {
        Ok(ended) => finish(&ended).await,
        Err(error) => {
            let code = match &error {
                EntrypointError::Unreported { ended, .. } => finish(ended).await,
                EntrypointError::Unobserved(_) => 1,
            };
            // Success that nobody knows of is none.
            complain(&chain(&error), code.max(1)).await
        }
    }
}

async fn finish(ended: &Ended) -> i32 {
    match ended.reason() {
        None => ended.exit_code(),
        Some(reason) => complain(reason, ended.exit_code()).await,
    }
}

/// The signals of the process that are meant for the program.
fn forwarded() -> io::Result<mpsc::Receiver<Signal>> {
    let (sender, receiver) = mpsc::channel(8);
    for (kind, meaning) in [
        (SignalKind::interrupt(), Signal::Interrupt),
        (SignalKind::quit(), Signal::Quit),
        (SignalKind::terminate(), Signal::Terminate),
    ] {
        let mut incoming = signal(kind)?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while incoming.recv().await.is_some() {
                if sender.send(meaning).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(receiver)
}

async fn print(mut chunks: mpsc::Receiver<Chunk>) {
    let (mut stdout, mut stderr) = (tokio::io::stdout(), tokio::io::stderr());
    while let Some(Chunk { stream, bytes }) = chunks.recv().await {
        // Nobody to read it is no reason to stop the step.
        drop(match stream {
            Stream::Stdout => write(&mut stdout, &bytes).await,
            Stream::Stderr => write(&mut stderr, &bytes).await,
        });
    }
}

async fn write(to: &mut (impl AsyncWriteExt + Unpin), bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes).await?;
    to.flush().await
}

async fn complain(message: &str, code: i32) -> i32 {
    let line = format!("relay: {message}\n");
    drop(write(&mut tokio::io::stderr(), line.as_bytes()).await);
    code
}
