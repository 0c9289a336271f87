//! The traits that other programs plug in, cut along who owns the data: [`Definition`] is what the
//! author wrote, [`Journal`] what happened, [`SecretStore`] what nobody may see. What leaves the run goes
//! to an [`EventSink`], a [`LogSink`] or a [`RunLauncher`].
//!
//! Each instance is bound to one caller: an [`Authenticator`] makes a [`Caller`] of a request, and
//! the caller holds the stores that it may use. What it may not use is not there.

mod authenticator;
mod definition;
mod journal;
mod memory;
mod room;
mod secrets;
mod sinks;
mod values;

pub use authenticator::{AuthenticateError, Authenticator, Caller, Presented, Stores};
pub use definition::Definition;
pub use journal::{
    ConditionOutcome, Decorator, Journal, Message, MessageSource, Output, ProcessState, StepStatus,
    WhenCondition,
};
pub use memory::{MemoryDefinition, MemoryJournal, MemorySecrets};
pub use room::{MAX_CHOSEN, MAX_KEY, length_in_key};
pub use secrets::SecretStore;
pub use sinks::{Event, EventSink, LaunchedRun, LogMessage, LogSink, RunLauncher};

/// Why a store could not answer. "Not there" is no error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The name cannot be stored.
    #[error("{doing}: {problem}")]
    Refused {
        /// What was being done, and to what.
        doing: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The store does not let this caller do that.
    #[error("{doing}: not allowed")]
    Forbidden {
        /// What was being done, and to what.
        doing: String,
    },
    /// There is no room for the value.
    #[error("{doing}: the value needs {size} bytes, which is more than the store has left")]
    TooLarge {
        /// What was being done, and to what.
        doing: String,
        /// The size of what was to be stored.
        size: usize,
    },
    /// What is stored cannot be read.
    #[error("{doing}: the stored value is damaged: {problem}")]
    Damaged {
        /// What was being done, and to what.
        doing: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The store could not be reached, or failed.
    #[error("{doing}")]
    Backend {
        /// What was being done, and to what.
        doing: String,
        /// The failure.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
