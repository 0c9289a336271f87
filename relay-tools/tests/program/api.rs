//! A metadata API with one step, and a log service that tests look into.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use prost::Message;

const OCTETS: &str = "application/octet-stream";

/// How a log service takes what it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Willing,
    /// It takes requests and never answers.
    Silent,
    /// It fails each request.
    Broken,
    /// It has nowhere to keep logs.
    Absent,
}

#[derive(Debug, Default)]
pub(crate) struct Logs {
    mood: Mood,
    kept: Mutex<BTreeMap<String, Vec<Vec<u8>>>>,
}

impl Logs {
    pub(crate) fn messages(&self, name: &str) -> Vec<Vec<u8>> {
        self.kept.lock().unwrap().get(name).cloned().unwrap_or_default()
    }

    /// What it answers, unless it is willing.
    async fn answer(&self) -> Option<Response> {
        match self.mood {
            Mood::Willing => None,
            Mood::Silent => {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                None
            }
            Mood::Broken => Some(StatusCode::INTERNAL_SERVER_ERROR.into_response()),
            Mood::Absent => Some(StatusCode::FORBIDDEN.into_response()),
        }
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct CreateRequest {
    #[prost(string, tag = "1")]
    context: String,
    #[prost(string, tag = "2")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct CreateResponse {
    #[prost(string, tag = "1")]
    log_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AppendRequest {
    #[prost(string, tag = "1")]
    log_id: String,
    #[prost(bytes = "vec", tag = "3")]
    payload: Vec<u8>,
    #[prost(message, optional, tag = "4")]
    timestamp: Option<Timestamp>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

async fn create(State(logs): State<Arc<Logs>>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(answer) = logs.answer().await {
        return answer;
    }
    assert_eq!(headers[header::CONTENT_TYPE], OCTETS);
    let CreateRequest { context, name } = Message::decode(body).unwrap();
    assert_eq!(context, "");
    logs.kept.lock().unwrap().insert(name.clone(), Vec::new());
    let answer = CreateResponse { log_id: name }.encode_to_vec();
    (StatusCode::CREATED, [(header::CONTENT_TYPE, OCTETS)], answer).into_response()
}

async fn append(
    State(logs): State<Arc<Logs>>,
    Path(log): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    assert_eq!(headers[header::CONTENT_TYPE], OCTETS);
    let AppendRequest { log_id, payload, timestamp } = Message::decode(body).unwrap();
    assert_eq!(log_id, log);
    let age = jiff::Timestamp::now().as_second() - timestamp.unwrap().seconds;
    assert!((0..60).contains(&age), "{age}");
    logs.kept.lock().unwrap().get_mut(&log).unwrap().push(payload);
    (StatusCode::ACCEPTED, [(header::CONTENT_TYPE, OCTETS)]).into_response()
}

/// The URL by which the step knows the API.
pub(crate) async fn serve(mood: Mood) -> (String, Arc<Logs>) {
    serve_with(mood, StatusCode::CREATED).await
}

/// The same of an API that answers reports so.
pub(crate) async fn serve_with(mood: Mood, reports: StatusCode) -> (String, Arc<Logs>) {
    let logs = Arc::new(Logs { mood, ..Logs::default() });
    let router = Router::new()
        .route("/status", put(reports))
        .route("/environment", get(StatusCode::NOT_FOUND))
        .route("/validate", post(StatusCode::OK))
        .route("/logs", post(create))
        .route("/logs/{log}/messages", post(append))
        .with_state(Arc::clone(&logs));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://:token@{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, logs)
}
