use axum::extract::Path;

use crate::answer::Document;
use crate::authentication::Authenticated;
use crate::error::ApiError;

/// `GET /state/{name}`: what was set for the calling action in its `Run`.
pub(crate) async fn get(
    caller: Authenticated,
    Path(name): Path<String>,
) -> Result<Document, ApiError> {
    let value = caller.journal()?.state(&name).await.map_err(ApiError::reading)?;
    let value = value.ok_or(ApiError::NotFound)?;
    Ok(Document::object([("key", name.into()), ("value", value)]))
}
