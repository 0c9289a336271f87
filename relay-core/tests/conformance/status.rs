//! The status of a step as a case writes it.

use relay_core::{ConditionOutcome, ProcessState, StepStatus, Value, WhenCondition};

pub(crate) fn status(written: &Value) -> StepStatus {
    let timestamp = jiff::Timestamp::UNIX_EPOCH;
    let outcome = match written.get("when").and_then(Value::as_str) {
        Some("WhenConditionSatisfied") => Some(ConditionOutcome::Satisfied),
        Some("WhenConditionNotSatisfied") => Some(ConditionOutcome::NotSatisfied),
        Some("WhenConditionFailure") => Some(ConditionOutcome::Failure),
        Some("WhenConditionEvaluating") => Some(ConditionOutcome::Evaluating),
        _ => None,
    };
    let exit_code = written.get("exitCode").and_then(Value::as_i64);
    StepStatus {
        process: exit_code.map(|exit_code| ProcessState { exit_code, timestamp }),
        when: outcome.map(|outcome| WhenCondition { outcome, timestamp }),
    }
}
