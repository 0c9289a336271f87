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

    /// Ends when no process is left in the group.
    pub(super) async fn gone(&self) {
        const LONGEST: Duration = Duration::from_millis(50);
        let mut pause = Duration::from_millis(1);
        while self.is_alive() {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST);
        }
    }

    /// Kills what the program has left behind and sees it gone, so that nothing of a step
    /// runs while its successors do.
    pub(super) async fn sweep(mut self) {
        // Orphans whose new parent does not care for them stay in the group as zombies.
        const PATIENCE: Duration = Duration::from_secs(1);
        if self.is_alive() {
            self.kill();
            drop(tokio::time::timeout(PATIENCE, self.gone()).await);
        }
        self.leader = None;
    }

    fn is_alive(&self) -> bool {
        self.leader.is_some_and(|leader| killpg(leader, None) != Err(Errno::ESRCH))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
