//! What a run says while it goes on (`clients.md` §7).

use std::sync::Arc;

use jiff::Timestamp;
pub use relay_tools::entrypoint::Stream;

use crate::outcome::Outcome;

/// Something that happened in a run. Events of one step come in order.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// When.
    pub time: Timestamp,
    /// In which run.
    pub run: Arc<str>,
    /// What.
    pub kind: EventKind,
}

impl Event {
    /// An event, for what shows them.
    pub fn new(time: Timestamp, run: impl Into<Arc<str>>, kind: EventKind) -> Self {
        Self { time, run: run.into(), kind }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// A step began.
    Started {
        /// The step.
        step: Arc<str>,
    },
    /// A step wrote a line, or a piece of a very long one.
    Output {
        /// The step.
        step: Arc<str>,
        /// Where it wrote.
        stream: Stream,
        /// The line, without its end; what is no UTF-8 is replaced.
        text: String,
    },
    /// An approval waits for an answer.
    Waiting {
        /// The step.
        step: Arc<str>,
    },
    /// A step succeeded.
    Succeeded {
        /// The step.
        step: Arc<str>,
    },
    /// A step failed.
    Failed {
        /// The step.
        step: Arc<str>,
        /// How its program ended, if it ran; −1 where a signal ended it.
        exit_code: Option<i64>,
        /// Why, in one word.
        reason: String,
        /// Why, for people.
        message: String,
    },
    /// A step was skipped.
    Skipped {
        /// The step.
        step: Arc<str>,
        /// Why, in one word.
        reason: String,
        /// Why, for people.
        message: String,
    },
    /// The run has ended; the last event.
    Finished {
        /// How.
        outcome: Outcome,
        /// Why, for people; empty where there is nothing to say.
        message: String,
    },
}

impl EventKind {
    /// The step that it is about.
    #[must_use]
    pub fn step(&self) -> Option<&str> {
        match self {
            Self::Started { step }
            | Self::Output { step, .. }
            | Self::Waiting { step }
            | Self::Succeeded { step }
            | Self::Failed { step, .. }
            | Self::Skipped { step, .. } => Some(step),
            Self::Finished { .. } => None,
        }
    }
}
