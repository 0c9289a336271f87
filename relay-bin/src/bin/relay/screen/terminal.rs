//! What the program may do where it prints to.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};

use super::paint::Paint;
use crate::Out;
use crate::echo::in_foreground;

/// What the program may do where it prints to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terminal {
    /// Standard output is a terminal, which a log must not disturb.
    pub(crate) shows_log: bool,
    /// The progress of all steps may be drawn, and drawn over.
    pub(crate) live: bool,
    /// Colours of standard output.
    pub(crate) stdout: Paint,
    /// Colours of standard error.
    pub(crate) stderr: Paint,
}

impl Terminal {
    /// What holds for this process. `chatty` says that others write to standard error as well.
    pub(crate) fn detect(out: Out, chatty: bool) -> Self {
        let streams = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let terminal = Self::decide(streams, out, chatty, |name| std::env::var_os(name));
        Self { live: terminal.live && in_foreground(), ..terminal }
    }

    fn decide(
        (stdout, stderr): (bool, bool),
        out: Out,
        chatty: bool,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let able = set("TERM").is_some_and(|term| term != "dumb");
        let colours = able && set("NO_COLOR").is_none();
        let ci = set("CI").is_some_and(|ci| ci != "false" && ci != "0");
        Self {
            shows_log: stdout && out == Out::Text,
            live: stdout && stderr && colours && !ci && !chatty && out == Out::Text,
            stdout: Paint { colours: stdout && colours && out == Out::Text },
            stderr: Paint { colours: stderr && colours },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_progress_is_drawn() {
        for (name, streams, out, chatty, variables, live, colours) in [
            ("a terminal", (true, true), Out::Text, false, &[("TERM", "xterm")][..], true, true),
            (
                "output elsewhere",
                (false, true),
                Out::Text,
                false,
                &[("TERM", "xterm")],
                false,
                false,
            ),
            (
                "errors elsewhere",
                (true, false),
                Out::Text,
                false,
                &[("TERM", "xterm")],
                false,
                true,
            ),
            ("for programs", (true, true), Out::Json, false, &[("TERM", "xterm")], false, false),
            (
                "a log on the same screen",
                (true, true),
                Out::Text,
                true,
                &[("TERM", "xterm")],
                false,
                true,
            ),
            ("a dumb terminal", (true, true), Out::Text, false, &[("TERM", "dumb")], false, false),
            ("no name of a terminal", (true, true), Out::Text, false, &[], false, false),
            (
                "no colours",
                (true, true),
                Out::Text,
                false,
                &[("TERM", "xterm"), ("NO_COLOR", "1")],
                false,
                false,
            ),
            (
                "an empty NO_COLOR",
                (true, true),
                Out::Text,
                false,
                &[("TERM", "xterm"), ("NO_COLOR", "")],
                true,
                true,
            ),
            (
                "CI",
                (true, true),
                Out::Text,
                false,
                &[("TERM", "xterm"), ("CI", "true")],
                false,
                true,
            ),
            (
                "no CI",
                (true, true),
                Out::Text,
                false,
                &[("TERM", "xterm"), ("CI", "false")],
                true,
                true,
            ),
        ] {
            let terminal = Terminal::decide(streams, out, chatty, |name| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).into())
            });
            assert_eq!((terminal.live, terminal.stdout.colours), (live, colours), "{name}");
        }
    }
}
