//! `ni log`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::{Args, Subcommand};

use super::Printed;

/// Lines go to the output of the step only; nothing is sent to the API.
#[derive(Debug, Subcommand)]
pub(super) enum Log {
    /// Print to standard output
    Info(Words),
    /// Print to standard error
    Warn(Words),
    /// Print to standard error
    Error(Words),
    /// Print to standard error and fail
    Fatal(Words),
}

#[derive(Debug, Args)]
pub(super) struct Words {
    /// What to print, joined by blanks
    #[arg(required = true)]
    words: Vec<OsString>,
}

impl Log {
    pub(super) fn run(self) -> Printed {
        match self {
            Self::Info(words) => Printed::stdout(words.line()),
            Self::Warn(words) | Self::Error(words) => words.complaint(0),
            Self::Fatal(words) => words.complaint(1),
        }
    }
}

impl Words {
    fn line(&self) -> Vec<u8> {
        let words: Vec<_> = self.words.iter().map(|word| word.as_bytes()).collect();
        let mut line = words.join(&b' ');
        line.push(b'\n');
        line
    }

    fn complaint(&self, code: u8) -> Printed {
        Printed { stderr: self.line(), code, ..Printed::default() }
    }
}
