use axum::extract::State;
use relay_core::expr::{Decision, Evaluation};
use relay_core::{Expression, MessageSource, Value};

use crate::answer::Document;
use crate::authentication::Authenticated;
use crate::error::ApiError;
use crate::reported::report;
use crate::router::App;

/// `GET /conditions`: whether the step may run, as far as that is known.
pub(crate) async fn decide(
    State(app): State<App>,
    caller: Authenticated,
) -> Result<Document, ApiError> {
    let conditions = caller.definition()?.conditions().await.map_err(ApiError::reading)?;
    let null = Expression::data(Value::Null);
    let Some(conditions) = conditions.filter(|conditions| *conditions != null) else {
        return Ok(decision(true, true, ""));
    };
    let evaluation = conditions.resolve(&caller.resolver(true), app.clock.now()).await;
    match evaluation.map_err(ApiError::from).and_then(|evaluation| judge(&evaluation)) {
        // A backend that fails says nothing about the conditions.
        Err(error) if error.entry().status.is_client_error() => {
            let source = MessageSource::WhenEvaluation { expression: conditions.source() };
            report(&app, &caller, source, &error.to_string()).await;
            Err(error)
        }
        judged => judged,
    }
}

fn judge(evaluation: &Evaluation) -> Result<Document, ApiError> {
    match evaluation.decide() {
        Decision::Satisfied => Ok(decision(true, true, "all checks passed")),
        Decision::NotSatisfied => Ok(decision(true, false, "one or more conditions failed")),
        Decision::Unresolved => {
            let missing = evaluation.unresolvable.descriptions().into_iter();
            let problems = missing.map(|missing| format!("{missing}: not found").into()).collect();
            let problem = ApiError::Unresolvable { problems };
            Ok(decision(false, false, &format!("unresolvable_error: {problem}")))
        }
        Decision::TypeError(kind) => Err(ApiError::ConditionType { kind: kind.to_string() }),
    }
}

fn decision(resolved: bool, success: bool, message: &str) -> Document {
    Document::object([
        ("message", message.into()),
        ("resolved", resolved.into()),
        ("success", success.into()),
    ])
}
