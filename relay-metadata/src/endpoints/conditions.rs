use axum::extract::State;
use relay_core::expr::{Decision, Evaluation};
use relay_core::{Expression, Message, MessageSource, Value};

use crate::answer::Document;
use crate::authentication::Authenticated;
use crate::error::{ApiError, Chain};
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
            report(&app, &caller, &conditions, &error).await;
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
    Document::new(&Value::map([
        ("resolved", resolved.into()),
        ("success", success.into()),
        ("message", message.into()),
    ]))
}

/// Tells the step's author, once for each distinct error: clients ask until they get an answer.
async fn report(app: &App, caller: &Authenticated, conditions: &Expression, error: &ApiError) {
    let Ok(journal) = caller.step_journal() else {
        return;
    };
    let text = error.to_string();
    if !app.reported.note(caller.action(), &text) {
        return;
    }
    let source = MessageSource::WhenEvaluation { expression: conditions.source() };
    let message = Message::new(source, app.clock.now(), &text);
    if let Err(error) = journal.add_message(message).await {
        app.reported.forget(caller.action(), &text);
        tracing::warn!(error = %Chain(&error), "could not store a message");
    }
}
