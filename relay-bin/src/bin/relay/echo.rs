//! What is typed while nothing is asked.

use std::io::{self, Write as _};

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};

/// Keeps the terminal from showing what is typed, `^C` included, since that would move what is
/// drawn. Dropped, it leaves the terminal as it was.
pub(crate) struct EchoOff {
    before: Termios,
}

impl EchoOff {
    /// `None` where standard error is not a terminal that this process has to itself.
    pub(crate) fn new() -> Option<Self> {
        let before = in_foreground().then(|| tcgetattr(io::stderr()).ok()).flatten()?;
        let mut quiet = before.clone();
        quiet.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(io::stderr(), SetArg::TCSANOW, &quiet).ok()?;
        Some(Self { before })
    }
}

impl Drop for EchoOff {
    fn drop(&mut self) {
        if in_foreground() {
            // There is nobody left to tell that the terminal is gone.
            let _ = tcsetattr(io::stderr(), SetArg::TCSANOW, &self.before);
        }
    }
}

/// The terminal that is typed into, as it was found. Who reads a secret from it may be left in the
/// midst of that.
pub(crate) struct Typing {
    before: Option<Termios>,
}

impl Typing {
    pub(crate) fn keep() -> Self {
        Self { before: tcgetattr(io::stdin()).ok() }
    }

    /// Leaves the terminal as it was found, on a new line.
    pub(crate) fn give_up(self) {
        if let Some(before) = &self.before
            && tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp())
        {
            // There is nobody left to tell that the terminal is gone.
            let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, before);
            let _ = writeln!(io::stderr());
        }
    }
}

/// Whether the terminal listens to this process. A job in the background is stopped when it
/// changes a terminal, and what it draws lands in the midst of something else.
pub(crate) fn in_foreground() -> bool {
    tcgetpgrp(io::stderr()).is_ok_and(|group| group == getpgrp())
}
