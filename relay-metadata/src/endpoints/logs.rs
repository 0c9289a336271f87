//! The log endpoints. Their bodies are protocol buffers of the package `plspb`.

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use relay_core::{LogMessage, StoreError};

use crate::authentication::Authenticated;
use crate::body::Octets;
use crate::error::ApiError;

/// `POST /logs`: begins a log of the caller. What the body says of its context is not looked at:
/// nobody writes into the logs of others.
pub(crate) async fn create(
    caller: Authenticated,
    body: Result<Octets, ApiError>,
) -> Result<Response, ApiError> {
    let logs = caller.logs()?;
    let request: LogCreateRequest = decoded(&body?)?;
    let id = logs.create(&request.name).await.map_err(ApiError::writing)?;
    let answer = LogCreateResponse { log_id: id.unwrap_or_default() };
    Ok(encoded(StatusCode::CREATED, &answer))
}

/// `POST /logs/{id}/messages`: adds a message to it.
pub(crate) async fn append(
    caller: Authenticated,
    Path(log): Path<String>,
    body: Result<Octets, ApiError>,
) -> Result<Response, ApiError> {
    let logs = caller.logs()?;
    let request: LogMessageAppendRequest = decoded(&body?)?;
    if !request.log_id.is_empty() && request.log_id != log {
        return Err(ApiError::malformed("path and body name different logs"));
    }
    let timestamp = request.timestamp.map(|time| {
        let read = Timestamp::new(time.seconds, time.nanos);
        read.map_err(|_| ApiError::malformed("the time stamp is out of range"))
    });
    let message = LogMessage {
        media_type: request.media_type,
        payload: request.payload,
        timestamp: timestamp.transpose()?,
    };
    let appended = logs.append(&log, message).await.map_err(|error| match error {
        StoreError::Refused { .. } => ApiError::NotFound,
        error => ApiError::writing(error),
    })?;
    let answer = match appended {
        Some(id) => LogMessageAppendResponse { log_id: log, log_message_id: id },
        None => LogMessageAppendResponse::default(),
    };
    Ok(encoded(StatusCode::ACCEPTED, &answer))
}

fn decoded<M: prost::Message + Default>(body: &Octets) -> Result<M, ApiError> {
    M::decode(body.0.as_ref()).map_err(ApiError::malformed)
}

fn encoded(status: StatusCode, answer: &impl prost::Message) -> Response {
    const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
    (status, [(header::CONTENT_TYPE, OCTETS)], answer.encode_to_vec()).into_response()
}

#[derive(Clone, PartialEq, prost::Message)]
struct LogCreateRequest {
    /// Not looked at, but it has to be text.
    #[prost(string, tag = "1")]
    context: String,
    #[prost(string, tag = "2")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LogCreateResponse {
    #[prost(string, tag = "1")]
    log_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LogMessageAppendRequest {
    #[prost(string, tag = "1")]
    log_id: String,
    #[prost(string, tag = "2")]
    media_type: String,
    #[prost(bytes = "vec", tag = "3")]
    payload: Vec<u8>,
    #[prost(message, optional, tag = "4")]
    timestamp: Option<ProtobufTimestamp>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LogMessageAppendResponse {
    #[prost(string, tag = "1")]
    log_id: String,
    #[prost(string, tag = "2")]
    log_message_id: String,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, PartialEq, prost::Message)]
struct ProtobufTimestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}
