//! How a step ended.

use crate::client::ClientError;

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// Its condition is not met; the program was not started.
    Skipped,
    /// Its condition could not be decided; the program was not started.
    ConditionsFailed {
        /// Why.
        reason: String,
    },
    /// Its environment could not be had in full; the program was not started.
    EnvironmentFailed {
        /// Why, with every reference that has no value.
        reason: String,
    },
    /// The program could not be started.
    CouldNotStart {
        /// Why.
        reason: String,
        /// 127 if there is no such program, 126 if it is there and cannot be run.
        code: i32,
    },
    /// The program ended by itself.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// A signal that we did not send ended the program.
    Signalled {
        /// The number of the signal.
        signal: i32,
    },
    /// The step was cancelled.
    Cancelled {
        /// How the program ended then: its exit code, −1 if by a signal; `None` if it had not
        /// been started.
        program: Option<i32>,
    },
}

impl Ended {
    /// The exit code by which a shell would know this end: 128 + signal for programs ended by a
    /// signal, which includes cancelled ones (143), 0 for a skipped step, 1 for a step that
    /// failed before its program.
    pub const fn exit_code(&self) -> i32 {
        match self {
            Self::Skipped => 0,
            Self::ConditionsFailed { .. } | Self::EnvironmentFailed { .. } => 1,
            Self::CouldNotStart { code, .. } | Self::Exited { code } => *code,
            Self::Signalled { signal } => 128 + *signal,
            Self::Cancelled { .. } => 128 + nix::libc::SIGTERM,
        }
    }

    /// Why the program was not run, if it should have been.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::ConditionsFailed { reason }
            | Self::EnvironmentFailed { reason }
            | Self::CouldNotStart { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// The exit code for the record; `None` where only the condition is recorded.
    pub(super) const fn recorded(&self) -> Option<i32> {
        match self {
            Self::Skipped | Self::ConditionsFailed { .. } => None,
            Self::EnvironmentFailed { .. } => Some(1),
            Self::CouldNotStart { code, .. }
            | Self::Exited { code }
            | Self::Cancelled { program: Some(code) } => Some(*code),
            Self::Signalled { .. } | Self::Cancelled { program: None } => Some(-1),
        }
    }
}

/// A step whose end could not be put on record or not be observed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntrypointError {
    /// The step has ended, but the API did not take the report.
    #[error("the end of the step could not be reported")]
    Unreported {
        /// How it ended.
        ended: Ended,
        /// Why the report failed.
        #[source]
        source: ClientError,
    },
    /// The operating system could not say how the program ended. It has been killed.
    #[error("the program could not be awaited")]
    Unobserved(#[source] std::io::Error),
}
