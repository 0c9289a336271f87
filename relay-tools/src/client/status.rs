//! What a step tells about itself with `PUT /status`.

use jiff::Timestamp;
use serde::Serialize;

/// The whole status. Each report replaces the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// How the program ended; `None` while it has not.
    pub process_state: Option<ProcessState>,
    /// What became of the step's condition.
    pub when_condition: WhenCondition,
}

/// The end of a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProcessState {
    /// Its exit code, −1 if a signal ended it.
    pub exit_code: i32,
    /// When.
    pub timestamp: Timestamp,
}

/// The state of a step's condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WhenCondition {
    /// Since when.
    pub timestamp: Timestamp,
    /// Which.
    #[serde(rename = "when_condition_status")]
    pub status: WhenStatus,
}

impl WhenCondition {
    /// A condition that takes this state now.
    pub fn now(status: WhenStatus) -> Self {
        Self { timestamp: Timestamp::now(), status }
    }
}

/// The states of a condition that a step reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum WhenStatus {
    /// The step waits for its turn.
    #[serde(rename = "WhenConditionEvaluating")]
    Evaluating,
    /// The condition could not be decided: the step has failed.
    #[serde(rename = "WhenConditionFailure")]
    Failure,
    /// The step is skipped.
    #[serde(rename = "WhenConditionNotSatisfied")]
    NotSatisfied,
    /// The step runs.
    #[serde(rename = "WhenConditionSatisfied")]
    Satisfied,
}
