use axum::extract::Path;
use axum::http::StatusCode;
use relay_core::{Map, Value};

use crate::answer::Document;
use crate::authentication::Authenticated;
use crate::body::{Json, Members};
use crate::error::ApiError;

/// `POST /workflows/{name}/run`: starts a run of another workflow.
pub(crate) async fn run(
    caller: Authenticated,
    Path(name): Path<String>,
    body: Result<Json, ApiError>,
) -> Result<(StatusCode, Document), ApiError> {
    let parameters = parameters(Members::of(&body?.0)?)?;
    let run = caller.launcher()?.launch(&name, parameters).await.map_err(ApiError::writing)?;
    let run = Value::map([
        ("name", name.into()),
        ("run_number", run.number.into()),
        // Clients of this answer insist on the member.
        ("app_url", run.url.unwrap_or_default().into()),
    ]);
    Ok((StatusCode::CREATED, Document::object([("workflow_run", run)])))
}

fn parameters(members: Members<'_>) -> Result<Map, ApiError> {
    let given = members.map("parameters")?.into_iter().flatten();
    given
        .map(|(name, parameter)| {
            let value = Members::of(parameter)?.value("value").cloned();
            Ok((name.clone(), value.unwrap_or_default()))
        })
        .collect()
}
