use axum::extract::Path;
use axum::http::StatusCode;
use relay_core::{StepName, Value};

use crate::answer::Document;
use crate::authentication::Authenticated;
use crate::body::{Content, Json, Members};
use crate::error::ApiError;

/// `GET /outputs/{step}/{name}`: an output of any step of the caller's run.
pub(crate) async fn get(
    caller: Authenticated,
    Path((step, name)): Path<(String, String)>,
) -> Result<Document, ApiError> {
    read(&caller, step, name).await
}

/// `GET /outputs/{step}/metadata`: the output of that very name.
pub(crate) async fn get_called_metadata(
    caller: Authenticated,
    Path(step): Path<String>,
) -> Result<Document, ApiError> {
    read(&caller, step, "metadata".to_owned()).await
}

async fn read(caller: &Authenticated, step: String, name: String) -> Result<Document, ApiError> {
    let journal = caller.step_journal()?;
    let known = StepName::new(&step).map_err(|_| ApiError::NotFound)?;
    let output = journal.output(&known, &name).await.map_err(ApiError::reading)?;
    let output = output.ok_or(ApiError::NotFound)?;
    let metadata = output.sensitive.map(|yes| Value::map([("sensitive", yes.into())]));
    Ok(Document::object([
        ("key", name.into()),
        ("metadata", metadata.unwrap_or_default()),
        ("task_name", step.into()),
        ("value", output.value),
    ]))
}

/// `PUT /outputs/{name}`: sets an output of the calling step.
pub(crate) async fn set(
    caller: Authenticated,
    Path(name): Path<String>,
    content: Result<Content, ApiError>,
) -> Result<StatusCode, ApiError> {
    let journal = caller.step_journal()?;
    journal.set_output(&name, content?.0).await.map_err(ApiError::writing)?;
    Ok(StatusCode::CREATED)
}

/// `PUT /outputs/{name}/metadata`: whether an output, which may come later, is sensitive.
pub(crate) async fn describe(
    caller: Authenticated,
    Path(name): Path<String>,
    body: Result<Json, ApiError>,
) -> Result<StatusCode, ApiError> {
    let journal = caller.step_journal()?;
    let sensitive = Members::of(&body?.0)?.boolean("sensitive")?.unwrap_or(false);
    journal.set_output_sensitive(&name, sensitive).await.map_err(ApiError::writing)?;
    Ok(StatusCode::CREATED)
}
