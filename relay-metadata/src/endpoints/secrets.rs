use axum::extract::Path;
use secrecy::ExposeSecret as _;

use crate::answer::Document;
use crate::authentication::Authenticated;
use crate::error::ApiError;

/// `GET /secrets/{name}`: a secret. Connections come with the spec only.
pub(crate) async fn get(
    caller: Authenticated,
    Path(name): Path<String>,
) -> Result<Document, ApiError> {
    let secrets = caller.secrets()?;
    // Stores may join names into paths of a backend, where these would leave the caller's own.
    if name.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(ApiError::NotFound);
    }
    let value = secrets.secret(&name).await.map_err(ApiError::reading)?;
    let value = value.ok_or(ApiError::NotFound)?;
    Ok(Document::object([("key", name.into()), ("value", value.expose_secret().clone())]))
}
