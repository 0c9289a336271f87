use axum::http::StatusCode;
use jiff::Timestamp;
use relay_core::{Action, ConditionOutcome, ProcessState, StepStatus, WhenCondition};

use crate::authentication::Authenticated;
use crate::body::{Json, Members};
use crate::error::ApiError;

/// `PUT /status`: replaces all that the step said of itself before.
pub(crate) async fn replace(
    caller: Authenticated,
    body: Result<Json, ApiError>,
) -> Result<StatusCode, ApiError> {
    let journal = caller.journal()?;
    let body = body?.0;
    let body = Members::of(&body)?;
    let status = StepStatus {
        process: body.object("process_state")?.map(process).transpose()?,
        when: body.object("when_condition")?.map(when).transpose()?,
    };
    // Nobody asks for the status of a trigger: it is taken and goes nowhere.
    if matches!(caller.action(), Action::Step { .. }) {
        journal.set_status(status).await.map_err(ApiError::writing)?;
    }
    Ok(StatusCode::CREATED)
}

fn process(members: Members<'_>) -> Result<ProcessState, ApiError> {
    Ok(ProcessState {
        exit_code: members.integer("exit_code")?.unwrap_or_default(),
        timestamp: timestamp(members)?,
    })
}

fn when(members: Members<'_>) -> Result<WhenCondition, ApiError> {
    const NAME: &str = "when_condition_status";
    let status = members.text(NAME)?.unwrap_or_default();
    let outcome = [
        ConditionOutcome::Evaluating,
        ConditionOutcome::Failure,
        ConditionOutcome::NotSatisfied,
        ConditionOutcome::Satisfied,
        ConditionOutcome::Unknown,
    ]
    .into_iter()
    .find(|outcome| outcome.as_str() == status);
    let unknown = || ApiError::malformed(format!("the member {NAME:?} is no status of conditions"));
    Ok(WhenCondition { outcome: outcome.ok_or_else(unknown)?, timestamp: timestamp(members)? })
}

/// The first moment of the calendar stands for "not given".
fn timestamp(members: Members<'_>) -> Result<Timestamp, ApiError> {
    const YEAR_1: Timestamp = Timestamp::constant(-62_135_596_800, 0);
    Ok(members.timestamp("timestamp")?.unwrap_or(YEAR_1))
}
