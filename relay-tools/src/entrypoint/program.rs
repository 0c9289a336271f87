//! Starting, watching and ending the program.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::environment::Variables;
use super::group::Group;
use super::lookup::{self, LookupError};
use super::output::{self, Chunk, Stream};
use super::{Ended, EntrypointError, Interrupts, Invocation};

const NOT_FOUND: i32 = 127;
const NOT_RUNNABLE: i32 = 126;

pub(super) struct Program<'a> {
    pub(super) invocation: &'a Invocation,
    pub(super) variables: &'a Variables,
    pub(super) working_dir: Option<&'a Path>,
    /// What all its processes carry.
    pub(super) mark: Option<&'a OsStr>,
    pub(super) grace: Duration,
}

impl Program<'_> {
    pub(super) async fn run(
        &self,
        sink: &mpsc::Sender<Chunk>,
        interrupts: &mut Interrupts,
    ) -> Result<Ended, EntrypointError> {
        let mut child = match self.start().await {
            Ok(child) => child,
            Err(ended) => return Ok(ended),
        };
        let group = Group::led_by(child.id());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());

        let gone = CancellationToken::new();
        let cancelled = interrupts.cancelled();
        let copying = async {
            tokio::select! {
                _ = async { tokio::join!(
                    output::copy(Stream::Stdout, stdout, sink, &gone),
                    output::copy(Stream::Stderr, stderr, sink, &gone),
                ) } => {}
                // A receiver that has stopped reading must not hold up a cancelled step.
                () = async {
                    gone.cancelled().await;
                    cancelled.cancelled().await;
                    tokio::time::sleep(output::LINGER).await;
                } => {}
            }
        };
        let watching = async {
            let ended = self.watch(&mut child, &group, interrupts).await;
            group.sweep().await;
            if let Some(mark) = self.mark {
                super::orphans::sweep(mark).await;
            }
            gone.cancel();
            ended
        };
        let (ended, ()) = tokio::join!(watching, copying);
        ended.map_err(EntrypointError::Unobserved)
    }

    async fn watch(
        &self,
        child: &mut Child,
        group: &Group,
        interrupts: &mut Interrupts,
    ) -> io::Result<Ended> {
        let cancelled = interrupts.cancelled();
        loop {
            tokio::select! {
                biased;
                status = child.wait() => return status.map(by_itself),
                () = cancelled.cancelled() => break,
                signal = interrupts.signal() => group.send(signal),
            }
        }
        group.send(super::Signal::Terminate);
        let calm = tokio::time::timeout(self.grace, async {
            let status = child.wait().await;
            // Its children get the same time to end as it had.
            group.gone().await;
            status
        });
        let status = match calm.await {
            Ok(status) => status?,
            Err(_) => {
                group.kill();
                child.wait().await?
            }
        };
        Ok(Ended::Cancelled { program: Some(status.code().unwrap_or(-1)) })
    }

    async fn start(&self) -> Result<Child, Ended> {
        // How often a busy file is tried again, 10 ms apart: another thread has forked while
        // the script was being written, and holds it open until its own program starts.
        const BUSY: u32 = 200;
        if let Some(dir) = self.working_dir
            && !dir.is_dir()
        {
            let reason = format!("the working directory {} is not there", dir.display());
            return Err(could_not_start(reason, NOT_RUNNABLE));
        }
        let path = self.locate()?;
        let mut command = Command::new(&path);
        command
            .args(&self.invocation.args)
            .env_clear()
            .envs(self.variables)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(mark) = self.mark {
            command.env(super::orphans::MARK, mark);
        }
        if let Some(dir) = self.working_dir {
            command.current_dir(dir);
        }
        let mut tries = 0;
        loop {
            match command.spawn() {
                Ok(child) => return Ok(child),
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && tries < BUSY => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => {
                    let code = match error.kind() {
                        ErrorKind::NotFound => NOT_FOUND,
                        _ => NOT_RUNNABLE,
                    };
                    let reason = match error.kind() {
                        // The file itself may well be there.
                        ErrorKind::NotFound => match interpreter(&path) {
                            Some(name) => format!("{name}: no such interpreter of a script"),
                            None => format!("{}: no such program", path.display()),
                        },
                        ErrorKind::ArgumentListTooLong => self.too_large(&path),
                        _ => format!("{}: {error}", path.display()),
                    };
                    return Err(could_not_start(reason, code));
                }
            }
        }
    }

    /// Looks a bare name up in the program's own `PATH`, not in ours.
    fn locate(&self) -> Result<PathBuf, Ended> {
        let program = &self.invocation.program;
        if !lookup::is_bare(program) {
            return Ok(self.working_dir.map_or_else(|| program.clone(), |dir| dir.join(program)));
        }
        let search = self.variables.get(OsStr::new("PATH")).map(OsString::as_os_str);
        lookup::find_program(program, search, self.working_dir).map_err(|error| {
            let code = match error {
                LookupError::NotInPath(_) | LookupError::NotThere(_) => NOT_FOUND,
                LookupError::NotExecutable(_) | LookupError::NotExecutableInPath(_) => NOT_RUNNABLE,
            };
            could_not_start(error.to_string(), code)
        })
    }

    /// Why a program cannot have what it is to be given. A value may be secret, a name is not.
    fn too_large(&self, path: &Path) -> String {
        let sizes = self.variables.iter().map(|(name, value)| (name.len() + value.len() + 2, name));
        let arguments: usize = self.invocation.args.iter().map(|argument| argument.len() + 1).sum();
        let all = arguments + sizes.clone().map(|(size, _)| size).sum::<usize>();
        let mut reason = format!(
            "{}: its arguments and environment are too large for a program: {all} bytes",
            path.display()
        );
        if let Some((size, name)) = sizes.max() {
            let name = name.display();
            reason.push_str(&format!("; the largest variable is {name} with {size} bytes"));
        }
        reason
    }
}

/// The interpreter that a script names in its first line; `None` where there is no script.
fn interpreter(path: &Path) -> Option<String> {
    // The kernel reads no further.
    const LINE: u64 = 256;
    let mut line = Vec::new();
    let file = std::fs::File::open(path).ok()?;
    BufReader::new(file.take(LINE)).read_until(b'\n', &mut line).ok()?;
    let line = String::from_utf8_lossy(&line);
    line.strip_prefix("#!")?.split_whitespace().next().map(str::to_owned)
}

fn could_not_start(reason: String, code: i32) -> Ended {
    Ended::CouldNotStart { reason, code }
}

fn by_itself(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Exited { code },
        (None, signal) => Ended::Signalled { signal: signal.unwrap_or_default() },
    }
}
