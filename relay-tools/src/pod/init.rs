//! The first process of a container.
//!
//! Orphans of the step become children of process 1, and stay zombies until it looks for them.
//! That duty does not go together with waiting for one child by its number, so here the tools run
//! as a child of themselves, and the first process does nothing but this.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};

pub(super) fn is_first_process() -> bool {
    std::process::id() == 1
}

/// Runs the tools as a child, passes signals on to it, buries whoever dies, and returns the
/// child's exit code.
///
/// # Errors
/// When the child cannot be started or signals cannot be caught.
pub(super) async fn run(args: &[OsString]) -> io::Result<i32> {
    // Before the child is there, so that none is missed.
    let mut deaths = signal(SignalKind::child())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let own = std::env::current_exe()?;
    let child = Command::new(own).arg0("entrypoint").args(args).spawn()?;
    let child = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    loop {
        let passed_on = tokio::select! {
            _ = deaths.recv() => match bury(child)? {
                Some(code) => return Ok(code),
                None => continue,
            },
            _ = interrupt.recv() => Signal::SIGINT,
            _ = quit.recv() => Signal::SIGQUIT,
            _ = terminate.recv() => Signal::SIGTERM,
        };
        // Fails when the child has just ended, which is seen next.
        let _ = kill(child, passed_on);
    }
}

/// Takes note of all that have ended; the exit code if `awaited` is among them.
fn bury(awaited: Pid) -> io::Result<Option<i32>> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == awaited => return Ok(Some(code)),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == awaited => {
                return Ok(Some(128 + signal as i32));
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(None),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
