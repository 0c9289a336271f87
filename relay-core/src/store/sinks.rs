use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::value::Map;

/// Takes the events of one trigger.
#[async_trait]
pub trait EventSink: Send + Sync + fmt::Debug {
    /// Hands an event over.
    ///
    /// # Errors
    ///
    /// When it was not taken.
    async fn emit(&self, event: Event) -> Result<(), StoreError>;
}

/// Something that happened, as a trigger tells it.
#[derive(Clone, PartialEq)]
pub struct Event {
    /// What is told.
    pub data: Map,
    /// Two events of one key are one event.
    pub key: Option<String>,
}

/// Names the members only: what comes from outside may hold secrets.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("data", &self.data.keys()).field("key", &self.key).finish()
    }
}

/// Starts runs of other workflows for one caller.
#[async_trait]
pub trait RunLauncher: Send + Sync + fmt::Debug {
    /// Starts a run of this workflow. A parameter that is null has no value.
    ///
    /// # Errors
    ///
    /// When it was not started.
    async fn launch(&self, workflow: &str, parameters: Map) -> Result<LaunchedRun, StoreError>;
}

/// A run that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchedRun {
    /// Its number among the runs of its workflow.
    pub number: i64,
    /// Where people can look at it.
    pub url: Option<String>,
}

/// Takes the output of one caller: the sink knows whose it is.
#[async_trait]
pub trait LogSink: Send + Sync + fmt::Debug {
    /// Begins a log, such as `stdout`, and gives its id; `None` where logs are not kept.
    ///
    /// # Errors
    ///
    /// When the sink fails; likewise below.
    async fn create(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// Adds a message to a log that this caller began, and gives its id; `None` where logs are not
    /// kept.
    ///
    /// # Errors
    ///
    /// Also [`StoreError::Refused`] where this caller has no such log.
    async fn append(&self, log: &str, message: LogMessage) -> Result<Option<String>, StoreError>;
}

/// A message of a log: a line, as a rule.
#[derive(Clone, PartialEq, Eq)]
pub struct LogMessage {
    /// What the payload is; empty where nothing was said.
    pub media_type: String,
    /// What was written.
    pub payload: Vec<u8>,
    /// When, if that was said.
    pub timestamp: Option<Timestamp>,
}

/// Shows the size of the payload only: programs print what they should not.
impl fmt::Debug for LogMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogMessage")
            .field("media_type", &self.media_type)
            .field("payload", &self.payload.len())
            .field("timestamp", &self.timestamp)
            .finish()
    }
}
