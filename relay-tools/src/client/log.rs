//! The calls that carry what a step prints. Their bodies are protocol buffers of the package
//! `plspb`.

use http::StatusCode;
use jiff::Timestamp;

use super::exchange::Request;
use super::{ClientError, MetadataClient};

impl MetadataClient {
    /// `POST /logs`: begins a log of the step and returns its id. `None` where the API takes
    /// logs and keeps none.
    ///
    /// # Errors
    /// [`ClientError`]; status 403 if the API has nowhere to keep logs.
    pub async fn create_log(&self, name: &str) -> Result<Option<String>, ClientError> {
        let request = Request::post("/logs").message(&LogCreateRequest { name: name.to_owned() });
        let reply = self.exchange(request).await?.with(StatusCode::CREATED)?;
        let LogCreateResponse { log_id } = reply.decode()?;
        Ok(Some(log_id).filter(|id| !id.is_empty()))
    }

    /// `POST /logs/{id}/messages`: adds to a log. Repeating it adds the message twice.
    ///
    /// # Errors
    /// [`ClientError`]; status 404 if there is no such log, 413 if the message is too large.
    pub async fn append_log(
        &self,
        id: &str,
        payload: Vec<u8>,
        at: Timestamp,
    ) -> Result<(), ClientError> {
        let message = LogMessageAppendRequest {
            log_id: id.to_owned(),
            media_type: "application/octet-stream".to_owned(),
            payload,
            timestamp: Some(ProtobufTimestamp {
                seconds: at.as_second(),
                nanos: at.subsec_nanosecond(),
            }),
        };
        let request = Request::post("/logs").name(id)?.segment("messages").message(&message);
        self.exchange(request).await?.with(StatusCode::ACCEPTED).map(drop)
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct LogCreateRequest {
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

/// `google.protobuf.Timestamp`.
#[derive(Clone, PartialEq, prost::Message)]
struct ProtobufTimestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}
