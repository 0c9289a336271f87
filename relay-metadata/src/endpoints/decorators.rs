use axum::extract::Path;
use axum::http::StatusCode;
use relay_core::Decorator;

use crate::address::is_web_address;
use crate::authentication::Authenticated;
use crate::body::{Json, Members};
use crate::error::ApiError;

/// `POST /decorators/{name}`: something to show beside the step, of which links are the one kind.
pub(crate) async fn set(
    caller: Authenticated,
    Path(name): Path<String>,
    body: Result<Json, ApiError>,
) -> Result<StatusCode, ApiError> {
    let journal = caller.step_journal()?;
    let decorator = decorator(Members::of(&body?.0)?)?;
    journal.set_decorator(&name, decorator).await.map_err(ApiError::writing)?;
    Ok(StatusCode::CREATED)
}

fn decorator(members: Members<'_>) -> Result<Decorator, ApiError> {
    match members.text("type")? {
        Some("link") => {
            let uri = members.text("uri")?.unwrap_or_default();
            if !is_web_address(uri) {
                return Err(ApiError::malformed(r#"the member "uri" is no http or https address"#));
            }
            let description = members.text("description")?.unwrap_or_default().to_owned();
            Ok(Decorator::Link { description, uri: uri.to_owned() })
        }
        Some(_) => Err(ApiError::malformed(r#"the member "type" names no kind of decorator"#)),
        None => Err(ApiError::malformed(r#"the member "type" is missing"#)),
    }
}
