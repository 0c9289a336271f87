use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::action::StepName;
use crate::value::Value;

/// What happened in a run: outputs, statuses, state, messages, decorators. Everything written goes
/// to the calling action; outputs and statuses of all steps of the run can be read.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use relay_core::{Journal, MemoryJournal};
///
/// let run = MemoryJournal::new();
/// let build = run.for_step("build".parse()?);
/// build.set_output("artifact", "app.tar".into()).await?;
///
/// let deploy = run.for_step("deploy".parse()?);
/// let output = deploy.output(&"build".parse()?, "artifact").await?;
/// assert_eq!(output.map(|output| output.value), Some("app.tar".into()));
/// # Ok(()) }
/// ```
#[async_trait]
pub trait Journal: Send + Sync + fmt::Debug {
    /// An output of a step of this run.
    ///
    /// # Errors
    ///
    /// When the store fails or holds something damaged; likewise below.
    async fn output(&self, step: &StepName, name: &str) -> Result<Option<Output>, StoreError>;

    /// All outputs of this run, by step and name.
    async fn outputs(&self) -> Result<BTreeMap<StepName, BTreeMap<String, Output>>, StoreError>;

    /// Sets an output of the calling step; what is known of its sensitivity stays.
    ///
    /// # Errors
    ///
    /// Also [`StoreError::TooLarge`] and [`StoreError::Refused`]; likewise for the other writes.
    async fn set_output(&self, name: &str, value: Value) -> Result<(), StoreError>;

    /// Marks an output of the calling step, which may come later, as sensitive or not.
    async fn set_output_sensitive(&self, name: &str, sensitive: bool) -> Result<(), StoreError>;

    /// The state of this name of the calling action: what was set in the `Run`.
    async fn state(&self, name: &str) -> Result<Option<Value>, StoreError>;

    /// The status of a step of this run, as far as it was reported.
    async fn status(&self, step: &StepName) -> Result<Option<StepStatus>, StoreError>;

    /// Replaces the status of the calling step.
    async fn set_status(&self, status: StepStatus) -> Result<(), StoreError>;

    /// Adds a message to the calling step.
    async fn add_message(&self, message: Message) -> Result<(), StoreError>;

    /// Sets a decorator of the calling step.
    async fn set_decorator(&self, name: &str, decorator: Decorator) -> Result<(), StoreError>;
}

/// An output of a step.
#[derive(Clone, PartialEq)]
pub struct Output {
    /// The value.
    pub value: Value,
    /// Whether it was marked sensitive, if anything was said of it.
    pub sensitive: Option<bool>,
}

/// Shows the kind of the value only: it may be sensitive, also before anything was said of it.
impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("value", &self.value.kind())
            .field("sensitive", &self.sensitive)
            .finish()
    }
}

/// What a step reported of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepStatus {
    /// How its program ended, once it has.
    pub process: Option<ProcessState>,
    /// What became of its conditions.
    pub when: Option<WhenCondition>,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessState {
    /// The exit code; −1 where a signal ended it.
    pub exit_code: i64,
    /// When.
    pub timestamp: Timestamp,
}

/// What became of the conditions of a step, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WhenCondition {
    /// The outcome so far.
    pub outcome: ConditionOutcome,
    /// When it was reported.
    pub timestamp: Timestamp,
}

/// The when-status of a step, by the names of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConditionOutcome {
    /// They are still waited for.
    #[serde(rename = "WhenConditionEvaluating")]
    Evaluating,
    /// They could not be evaluated: the step is skipped.
    #[serde(rename = "WhenConditionFailure")]
    Failure,
    /// One is not met: the step is skipped.
    #[serde(rename = "WhenConditionNotSatisfied")]
    NotSatisfied,
    /// All are met: the step runs.
    #[serde(rename = "WhenConditionSatisfied")]
    Satisfied,
    /// Nothing is known.
    #[serde(rename = "WhenConditionUnknown")]
    Unknown,
}

impl ConditionOutcome {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Evaluating => "WhenConditionEvaluating",
            Self::Failure => "WhenConditionFailure",
            Self::NotSatisfied => "WhenConditionNotSatisfied",
            Self::Satisfied => "WhenConditionSatisfied",
            Self::Unknown => "WhenConditionUnknown",
        }
    }
}

impl StepStatus {
    /// The properties that expressions see (`expressions.md` §5): `skipped`, `failed` and
    /// `succeeded`. `None` while unknown, and for every other property.
    #[must_use]
    pub fn property(&self, property: &str) -> Option<bool> {
        let skipped = match self.when.map(|when| when.outcome) {
            Some(ConditionOutcome::NotSatisfied | ConditionOutcome::Failure) => Some(true),
            Some(ConditionOutcome::Satisfied) => Some(false),
            _ => None,
        };
        let succeeded = if skipped == Some(true) {
            None
        } else {
            self.process.map(|process| process.exit_code == 0)
        };
        match (property, skipped) {
            ("skipped", known) => known,
            ("failed" | "succeeded", Some(true)) => Some(false),
            ("succeeded", _) => succeeded,
            ("failed", _) => succeeded.map(|succeeded| !succeeded),
            _ => None,
        }
    }
}

/// A message about a step, written by the metadata API and the operator, read in `Run.status`.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// What it is about.
    pub source: MessageSource,
    /// When it was written.
    pub time: Timestamp,
    /// The text, at most [`Message::MAX_DETAILS`] bytes.
    pub details: String,
}

impl Message {
    /// The longest text, in bytes, that `Run.status` takes.
    pub const MAX_DETAILS: usize = 1024;

    /// A message with its text cut to [`Message::MAX_DETAILS`].
    #[must_use]
    pub fn new(source: MessageSource, time: Timestamp, details: &str) -> Self {
        let cut = details.floor_char_boundary(Self::MAX_DETAILS);
        Self { source, time, details: details.get(..cut).unwrap_or_default().to_owned() }
    }
}

/// What a message is about.
#[derive(Clone, Debug, PartialEq)]
pub enum MessageSource {
    /// The evaluation of these conditions.
    WhenEvaluation {
        /// The tree before evaluation.
        expression: Value,
    },
    /// The check of this spec against a schema.
    SpecValidation {
        /// The tree before evaluation.
        expression: Value,
    },
    /// Something else that happened to the step.
    Log,
}

/// Something to show beside a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decorator {
    /// A link.
    Link {
        /// What it leads to.
        description: String,
        /// Where.
        uri: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_follow_condition_and_exit_code() {
        use ConditionOutcome::{Evaluating, Failure, NotSatisfied, Satisfied};
        let timestamp = Timestamp::UNIX_EPOCH;
        for (outcome, exit_code, skipped, failed, succeeded) in [
            (None, None, None, None, None),
            (Some(Evaluating), None, None, None, None),
            (Some(NotSatisfied), None, Some(true), Some(false), Some(false)),
            (Some(Failure), Some(0), Some(true), Some(false), Some(false)),
            (Some(Satisfied), None, Some(false), None, None),
            (Some(Satisfied), Some(0), Some(false), Some(false), Some(true)),
            (Some(Satisfied), Some(3), Some(false), Some(true), Some(false)),
            (None, Some(-1), None, Some(true), Some(false)),
        ] {
            let status = StepStatus {
                when: outcome.map(|outcome| WhenCondition { outcome, timestamp }),
                process: exit_code.map(|exit_code| ProcessState { exit_code, timestamp }),
            };
            let name = format!("{outcome:?} {exit_code:?}");
            assert_eq!(status.property("skipped"), skipped, "{name}");
            assert_eq!(status.property("failed"), failed, "{name}");
            assert_eq!(status.property("succeeded"), succeeded, "{name}");
            assert_eq!(status.property("foo"), None, "{name}");
        }
    }

    #[test]
    fn details_are_cut_between_characters() {
        let message = Message::new(MessageSource::Log, Timestamp::UNIX_EPOCH, &"ä".repeat(600));
        assert_eq!(message.details.len(), 1024);
        let odd = format!("x{}", "ä".repeat(600));
        assert_eq!(
            Message::new(MessageSource::Log, Timestamp::UNIX_EPOCH, &odd).details.len(),
            1023
        );
    }
}
