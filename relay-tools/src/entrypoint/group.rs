//! A program and everything that it started.

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal as Number, killpg};
use nix::unistd::Pid;

use super::Signal;

/// A process group. What is left of it when this goes out of scope is killed.
///
/// The group is named by its first process, and that number is not given to another process
/// while any member lives. So a signal can only go astray if all numbers are used up between
/// the last look and the signal.
#[derive(Debug)]
pub(super) struct Group {
    leader: Option<Pid>,
}

impl Group {
    /// The group whose first process is `leader`, which has been started as such.
    pub(super) fn led_by(leader: Option<u32>) -> Self {
        Self { leader: leader.and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw) }
    }

    pub(super) fn send(&self, signal: Signal) {
        self.signal(match signal {
            Signal::Interrupt => Number::SIGINT,
            Signal::Quit => Number::SIGQUIT,
            Signal::Terminate => Number::SIGTERM,
        });
    }

    pub(super) fn kill(&self) {
        self.signal(Number::SIGKILL);
    }

    fn signal(&self, number: Number) {
        if let Some(leader) = self.leader {
            // Fails when nobody is left, which is as good.
            let _ = killpg(leader, number);
        }
    }

    /// Ends when no process of the group lives any more. Its first one must have been waited for.
    pub(super) async fn gone(&self) {
        const LONGEST: Duration = Duration::from_millis(50);
        let mut pause = Duration::from_millis(1);
        while self.is_alive() {
            self.leader.into_iter().for_each(super::orphans::reap);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST);
        }
    }

    /// Kills what the program has left behind and sees it gone, so that nothing of a step
    /// runs while its successors do.
    pub(super) async fn sweep(mut self) {
        // Some may not be ours to kill, or hang in the kernel.
        const PATIENCE: Duration = Duration::from_secs(1);
        self.kill();
        drop(tokio::time::timeout(PATIENCE, self.gone()).await);
        self.leader = None;
    }

    fn is_alive(&self) -> bool {
        self.leader.is_some_and(|leader| {
            killpg(leader, None) != Err(Errno::ESRCH) && !is_left_to_zombies(leader)
        })
    }
}

/// Whether all processes of a group have ended and just wait for parents that do not look, as
/// the first process of a container often does not. Signals reach them like living ones.
/// False where there is no `/proc` as Linux has it.
fn is_left_to_zombies(group: Pid) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else { return false };
    let mut members = processes.flatten().filter_map(|process| {
        process.file_name().to_str()?.parse::<u32>().ok()?;
        let stat = std::fs::read(process.path().join("stat")).ok()?;
        Stat::parse(&String::from_utf8_lossy(&stat)).filter(|stat| stat.group == group.as_raw())
    });
    // Where none is seen, there is no telling.
    members.next().is_some_and(|first| first.is_over && members.all(|member| member.is_over))
}

/// What `/proc/PID/stat` says of a process.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    group: i32,
    is_over: bool,
}

impl Stat {
    fn parse(line: &str) -> Option<Self> {
        // The name in front may hold anything, brackets too.
        let (_, fields) = line.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace();
        let state = fields.next()?;
        let group = fields.nth(1)?.parse().ok()?;
        let threads: u32 = fields.nth(14)?.parse().ok()?;
        // A process whose first thread has ended looks like a zombie while the others go on.
        Some(Self { group, is_over: matches!(state, "Z" | "X" | "x") && threads <= 1 })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    use super::*;

    #[test]
    fn stat_lines() {
        let rest = "5 5 0 -1 4194304 90 0 0 0 0 0 0 0 20 0";
        for (name, line, expected) in [
            ("asleep", format!("7 (sleep) S 1 {rest} 1 0 99"), Some((5, false))),
            ("a zombie", format!("7 (sleep) Z 1 {rest} 1 0 99"), Some((5, true))),
            ("dead", format!("7 (sleep) X 1 {rest} 0 0 99"), Some((5, true))),
            ("a first thread gone", format!("7 (many) Z 1 {rest} 3 0 99"), Some((5, false))),
            ("a name to mislead", format!("7 (a) Z 1 9 (b) R 1 {rest} 1 0 9"), Some((5, false))),
            ("cut off", "7 (sleep) Z 1 5".to_owned(), None),
            ("no brackets", "7 sleep Z 1 5".to_owned(), None),
            ("no number", format!("7 (sleep) Z 1 x{rest} 1 0 99"), None),
            ("empty", String::new(), None),
        ] {
            let stat = Stat::parse(&line);
            assert_eq!(stat.map(|stat| (stat.group, stat.is_over)), expected, "{name}");
        }
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn zombies_do_not_count_as_living() {
        let mut living = Command::new("sleep").arg("60").process_group(0).spawn().unwrap();
        let group = Group::led_by(Some(living.id()));
        assert!(group.is_alive());
        // Nobody looks for it until the group has been seen to be gone.
        group.kill();
        tokio::time::timeout(Duration::from_secs(20), group.gone()).await.unwrap();
        assert_eq!(group.leader.map(|leader| killpg(leader, None)), Some(Ok(())));
        living.wait().unwrap();
    }
}
