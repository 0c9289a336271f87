use axum::http::StatusCode;
use relay_core::{Event, Value};

use crate::authentication::Authenticated;
use crate::body::{Json, Members};
use crate::error::ApiError;

/// `POST /events`: something happened.
pub(crate) async fn emit(
    caller: Authenticated,
    body: Result<Json, ApiError>,
) -> Result<StatusCode, ApiError> {
    let sink = caller.events()?;
    let event = event(Members::of(&body?.0)?)?;
    sink.emit(event).await.map_err(|error| ApiError::delivering(&error))?;
    Ok(StatusCode::ACCEPTED)
}

fn event(members: Members<'_>) -> Result<Event, ApiError> {
    let mut data = relay_core::Map::new();
    for (name, value) in members.map("data")?.into_iter().flatten() {
        let value = Value::clone(value).decode_transfer().map_err(ApiError::malformed)?;
        data.insert(name.clone(), value);
    }
    let key = members.text("key")?.filter(|key| !key.is_empty());
    Ok(Event { data, key: key.map(str::to_owned) })
}
