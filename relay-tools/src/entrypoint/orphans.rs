//! Processes that have left their step.
//!
//! A step is a process group, and a process can leave it: `setsid` does, and every daemon. When the
//! parent of such a process has ended it belongs to the first process of the machine, and nothing
//! tells any more where it came from. A program that runs steps can have it otherwise with
//! [`adopt_orphans`]: then orphans become children of that program, and each step, when it ends,
//! kills those of another session that carry its mark in their environment. The rest, jobs of an
//! interactive shell and what has hidden its environment, ends with the program.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getsid};

/// The variable with the mark of a step.
pub(super) const MARK: &str = "RELAY_STEP_ID";
/// How long a process that was killed may take to go: some are not ours to kill, or hang in the
/// kernel.
const PATIENCE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// While this lives, descendants of this process that have lost their parent become its children.
/// Dropped, it kills all children that this process did not have before: nothing may be left that
/// somebody waits for.
#[derive(Debug)]
pub struct Adoption {
    before: BTreeSet<Pid>,
}

/// Makes this process the parent of its descendants' orphans.
///
/// For programs that do nothing but run steps: a library does not become a parent unasked, and
/// other children of the process would end with the steps.
///
/// # Errors
/// Whatever the system reports; orphans of steps then belong to the first process, as ever.
pub fn adopt_orphans() -> io::Result<Adoption> {
    become_parent(true)?;
    Ok(Adoption { before: children() })
}

impl Drop for Adoption {
    fn drop(&mut self) {
        let mut rounds = Rounds::default();
        while !rounds.kill(|child| !self.before.contains(&child)) && rounds.may_go_on() {
            std::thread::sleep(rounds.pause());
        }
        // It could be turned on, so it can be turned off.
        let _ = become_parent(false);
    }
}

/// Kills the orphans that carry this mark and sees them gone, if this process gets them.
pub(super) async fn sweep(mark: &OsStr) {
    let mut rounds = Rounds::default();
    while is_parent() && !rounds.kill(|child| carries(child, mark)) && rounds.may_go_on() {
        tokio::time::sleep(rounds.pause()).await;
    }
}

/// Takes the children of a group that have ended off the list of processes. Its first one must have
/// been waited for.
pub(super) fn reap(group: Pid) {
    let members = Pid::from_raw(-group.as_raw());
    while is_parent()
        && !matches!(
            waitpid(members, Some(WaitPidFlag::WNOHANG)),
            Ok(WaitStatus::StillAlive) | Err(_)
        )
    {}
}

#[cfg(target_os = "linux")]
fn become_parent(wanted: bool) -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(wanted)?)
}

#[cfg(target_os = "linux")]
fn is_parent() -> bool {
    nix::sys::prctl::get_child_subreaper().unwrap_or(false)
}

#[cfg(not(target_os = "linux"))]
fn become_parent(_: bool) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
fn is_parent() -> bool {
    false
}

/// Orphans have children, which become orphans when they are killed.
#[derive(Debug)]
struct Rounds {
    begin: Instant,
    pause: Duration,
    /// Killed, and not gone yet.
    dying: BTreeSet<Pid>,
}

impl Default for Rounds {
    fn default() -> Self {
        let pause = Duration::from_millis(1);
        Self { begin: Instant::now(), pause, dying: BTreeSet::new() }
    }
}

impl Rounds {
    /// Kills the children that this holds for. Whether there was none, and all from before are gone.
    fn kill(&mut self, is_meant: impl Fn(Pid) -> bool) -> bool {
        let meant = children().into_iter().filter(|child| !self.dying.contains(child));
        let meant: Vec<_> = meant.filter(|child| is_meant(*child)).collect();
        for child in &meant {
            // Fails when it is gone already, or not ours to kill.
            let _ = kill(*child, Signal::SIGKILL);
        }
        self.dying.extend(&meant);
        self.dying.retain(|child| {
            matches!(waitpid(*child, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive))
        });
        meant.is_empty() && self.dying.is_empty()
    }

    fn may_go_on(&self) -> bool {
        self.begin.elapsed() < PATIENCE
    }

    fn pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        pause
    }
}

/// The children of this process; none where the kernel does not tell.
fn children() -> BTreeSet<Pid> {
    // Each thread has its own.
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return BTreeSet::new() };
    let lists = threads.flatten().filter_map(|thread| {
        // Fails when the thread has ended meanwhile, and another one has its children.
        std::fs::read_to_string(thread.path().join("children")).ok()
    });
    let numbers = lists.flat_map(|list| {
        list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()
    });
    numbers.map(Pid::from_raw).collect()
}

/// Whether a process has left our session with this mark; one that has ended has none.
fn carries(process: Pid, mark: &OsStr) -> bool {
    // The first processes of other steps have not, and there may be hundreds.
    if getsid(Some(process)) == getsid(None) {
        return false;
    }
    let Ok(environment) = std::fs::read(format!("/proc/{process}/environ")) else { return false };
    let mut variables = environment.split(|byte| *byte == 0);
    variables.any(|variable| {
        let value = variable.strip_prefix(MARK.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        value == Some(mark.as_bytes())
    })
}
