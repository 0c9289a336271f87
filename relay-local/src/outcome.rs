//! How a run ended (`workflow-file.md` §3.4).

use std::fmt;

use relay_model::tekton::GateReason;
use relay_model::v1beta1::{Condition, RunStatus};

/// How a run ended, in a word. One pure function of the status, which is the same in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Every step succeeded or was skipped for a good reason.
    Succeeded,
    /// A step failed, or its conditions could not be evaluated.
    Failed,
    /// An approval was rejected, or not answered in time.
    Rejected,
    /// The run was cancelled.
    Cancelled,
}

impl Outcome {
    /// The outcome of a run; `None` while it goes on.
    #[must_use]
    pub fn of(status: &RunStatus) -> Option<Self> {
        if !status.is_completed() {
            return None;
        }
        let cancelled = status.condition("Cancelled").is_some_and(Condition::is_true);
        let succeeded = status.condition("Succeeded").is_some_and(Condition::is_true);
        let skipped_for = |reasons: &[GateReason]| {
            status.steps.iter().any(|step| {
                let reason = step.condition("Succeeded").and_then(|c| c.reason.as_deref());
                reason.and_then(GateReason::parse).is_some_and(|reason| reasons.contains(&reason))
            })
        };
        Some(if cancelled && !succeeded {
            Self::Cancelled
        } else if !succeeded
            || skipped_for(&[GateReason::EvaluationError, GateReason::OutputMissing])
        {
            Self::Failed
        } else if skipped_for(&[GateReason::Rejected, GateReason::Expired]) {
            Self::Rejected
        } else {
            Self::Succeeded
        })
    }

    /// The exit code of `relay run` (`clients.md` §7).
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Succeeded => 0,
            Self::Failed => 1,
            Self::Rejected => 3,
            Self::Cancelled => 130,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        })
    }
}

/// Where a run is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Nobody has taken it up: there is no operator, or it has not come to it yet.
    Pending,
    /// It waits for something: a word, and for people what.
    Waiting {
        /// Such as `WaitingForApproval` or `WorkflowNotFound`.
        reason: String,
        /// For people.
        message: String,
    },
    /// Its steps are under way.
    Running,
    /// It has ended.
    Ended(Outcome),
}

impl Phase {
    /// Where a run with this status is.
    #[must_use]
    pub fn of(status: &RunStatus) -> Self {
        if let Some(outcome) = Outcome::of(status) {
            return Self::Ended(outcome);
        }
        let Some(completed) = status.condition("Completed") else { return Self::Pending };
        match &completed.reason {
            Some(reason) => Self::Waiting {
                reason: reason.clone(),
                message: completed.message.clone().unwrap_or_default(),
            },
            None => Self::Running,
        }
    }

    /// How it ended, if it did.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Ended(outcome) => Some(*outcome),
            _ => None,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending => f.write_str("pending"),
            Self::Waiting { .. } => f.write_str("waiting"),
            Self::Running => f.write_str("running"),
            Self::Ended(outcome) => outcome.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use relay_model::v1beta1::StepStatus;

    use super::*;

    #[test]
    fn phases() {
        let now = jiff::Timestamp::UNIX_EPOCH;
        let completed = |is, reason, message| {
            vec![Condition::new("Completed", Some(is), now).because(reason, message)]
        };
        let succeeded = Condition::new("Succeeded", Some(true), now);
        for (conditions, word, outcome) in [
            (vec![], "pending", None),
            (completed(false, "", ""), "running", None),
            (completed(false, "TenantNotFound", "there is none"), "waiting", None),
            (
                [completed(true, "", ""), vec![succeeded]].concat(),
                "succeeded",
                Some(Outcome::Succeeded),
            ),
        ] {
            let phase = Phase::of(&RunStatus { conditions, ..RunStatus::default() });
            assert_eq!((phase.to_string().as_str(), phase.outcome()), (word, outcome));
        }
    }

    #[test]
    fn outcomes() {
        let now = jiff::Timestamp::UNIX_EPOCH;
        let condition =
            |kind, status, reason| Condition::new(kind, status, now).because(reason, "");
        for (name, completed, cancelled, succeeded, reason, expected) in [
            ("goes on", false, None, None, "", None),
            ("good", true, None, Some(true), "Succeeded", Some(Outcome::Succeeded)),
            ("bad", true, None, Some(false), "Failed", Some(Outcome::Failed)),
            ("no output", true, None, Some(true), "OutputMissing", Some(Outcome::Failed)),
            ("type error", true, None, Some(true), "EvaluationError", Some(Outcome::Failed)),
            ("skipped", true, None, Some(true), "ConditionFalse", Some(Outcome::Succeeded)),
            ("rejected", true, None, Some(true), "Rejected", Some(Outcome::Rejected)),
            ("expired", true, None, Some(true), "Expired", Some(Outcome::Rejected)),
            ("failed and rejected", true, None, Some(false), "Rejected", Some(Outcome::Failed)),
            ("cancelled", true, Some(true), Some(false), "Cancelled", Some(Outcome::Cancelled)),
            ("too late to cancel", true, Some(true), Some(true), "", Some(Outcome::Succeeded)),
        ] {
            let status = RunStatus {
                conditions: vec![
                    condition("Completed", Some(completed), ""),
                    condition("Cancelled", cancelled, ""),
                    condition("Succeeded", succeeded, ""),
                ],
                steps: vec![StepStatus {
                    name: "s".to_owned(),
                    conditions: vec![condition("Succeeded", succeeded, reason)],
                    ..StepStatus::default()
                }],
                ..RunStatus::default()
            };
            assert_eq!(Outcome::of(&status), expected, "{name}");
        }
    }
}
