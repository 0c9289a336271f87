//! What leaves the run: events, other workflows, logs.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::body::Body;
use axum::http::Method;
use relay_core::{
    Event, EventSink, LaunchedRun, LogMessage, LogSink, Map, RunLauncher, StoreError, Stores, Value,
};
use serde_json::json;

use crate::world::{Answer, Api, step};

/// Takes everything, and remembers it as text.
#[derive(Debug, Default)]
struct Outside(Mutex<Vec<String>>);

impl Outside {
    fn note(&self, text: String) {
        self.0.lock().unwrap().push(text);
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

#[async_trait]
impl EventSink for Outside {
    async fn emit(&self, event: Event) -> Result<(), StoreError> {
        self.note(format!("{} {:?}", Value::from(event.data).to_json(), event.key));
        Ok(())
    }
}

#[async_trait]
impl RunLauncher for Outside {
    async fn launch(&self, workflow: &str, parameters: Map) -> Result<LaunchedRun, StoreError> {
        self.note(format!("{workflow} {}", Value::from(parameters).to_json()));
        let url = (workflow == "known").then(|| "https://example.com/7".to_owned());
        Ok(LaunchedRun { number: 7, url })
    }
}

#[async_trait]
impl LogSink for Outside {
    async fn create(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.note(name.to_owned());
        Ok(Some("log-1".to_owned()))
    }

    async fn append(&self, log: &str, message: LogMessage) -> Result<Option<String>, StoreError> {
        if log == "foreign" {
            let (doing, problem) = ("append".to_owned(), "unknown".to_owned());
            return Err(StoreError::Refused { doing, problem });
        }
        let LogMessage { media_type, payload, timestamp } = message;
        let text = String::from_utf8(payload).unwrap();
        self.note(format!("{log} {media_type:?} {text:?} {timestamp:?}"));
        Ok(Some("m-1".to_owned()))
    }
}

/// Takes nothing.
#[derive(Debug)]
struct Closed;

fn closed<T>() -> Result<T, StoreError> {
    let source = "canary: connection refused".into();
    Err(StoreError::Backend { doing: "knock".to_owned(), source })
}

#[async_trait]
impl EventSink for Closed {
    async fn emit(&self, _: Event) -> Result<(), StoreError> {
        closed()
    }
}

#[async_trait]
impl RunLauncher for Closed {
    async fn launch(&self, _: &str, _: Map) -> Result<LaunchedRun, StoreError> {
        closed()
    }
}

#[async_trait]
impl LogSink for Closed {
    async fn create(&self, _: &str) -> Result<Option<String>, StoreError> {
        closed()
    }

    async fn append(&self, _: &str, _: LogMessage) -> Result<Option<String>, StoreError> {
        closed()
    }
}

fn api<O: EventSink + RunLauncher + LogSink + 'static>(outside: &Arc<O>) -> Api {
    Api::on(Stores {
        events: Some(Arc::clone(outside) as _),
        launcher: Some(Arc::clone(outside) as _),
        logs: Some(Arc::clone(outside) as _),
        ..Stores::default()
    })
}

async fn octets(api: &Api, path: &str, media_type: Option<&str>, body: &[u8]) -> Answer {
    api.by(&step("build"), Method::POST, path, media_type, Body::from(body.to_vec())).await
}

#[tokio::test]
async fn events() {
    let outside = Arc::new(Outside::default());
    let api = api(&outside);
    for (body, expected) in [
        (r#"{"data": {"b": 1, "a": [true]}, "key": "k"}"#, r#"{"a":[true],"b":1} Some("k")"#),
        (r#"{"Data": {}, "KEY": ""}"#, "{} None"),
        ("{}", "{} None"),
        ("null", "{} None"),
        (r#"{"data": null, "key": null}"#, "{} None"),
        (r#"{"data": {"t": {"$encoding": "base64", "data": "b2s="}}}"#, r#"{"t":"ok"} None"#),
        (r#"{"data": {"n": 12345678901234567890}}"#, r#"{"n":12345678901234567890} None"#),
    ] {
        api.post("/events", body).await.is_empty(body, 202);
        assert_eq!(outside.taken(), [expected], "{body}");
    }
    for body in [
        "",
        "[]",
        "{} x",
        r#"{"data": []}"#,
        r#"{"key": 1}"#,
        r#"{"data": {"t": {"$encoding": "rot13", "data": ""}}}"#,
        r#"{"data": {"t": [{"$encoding": "base64", "data": "?"}]}}"#,
    ] {
        api.post("/events", body).await.fails(body, 422, "rma_api_malformed_request_error");
        assert!(outside.taken().is_empty(), "{body}");
    }
}

#[tokio::test]
async fn other_workflows() {
    let outside = Arc::new(Outside::default());
    let api = api(&outside);
    let run = |name: &str, url: &str| json!({"workflow_run": {"name": name, "run_number": 7, "app_url": url}});
    let body = r#"{"parameters": {"a": {"value": 1}, "b": {"value": null}, "c": {}, "d": null}}"#;
    let answer = api.post("/workflows/known/run", body).await;
    answer.is("known", 201, run("known", "https://example.com/7"));
    assert_eq!(outside.taken(), [r#"known {"a":1,"b":null,"c":null,"d":null}"#]);
    let answer = api.post("/workflows/other%2Fone/run", "{}").await;
    answer.is("other", 201, run("other/one", ""));
    assert_eq!(outside.taken(), ["other/one {}"]);
    for body in ["", "[]", r#"{"parameters": []}"#, r#"{"parameters": {"a": 1}}"#] {
        let answer = api.post("/workflows/known/run", body).await;
        answer.fails(body, 422, "rma_api_malformed_request_error");
    }
    let nobody = Api::on(Stores::default());
    let answer = nobody.post("/workflows/w/run", "[]").await;
    answer.fails("the body comes first", 422, "rma_api_malformed_request_error");
    let answer = nobody.post("/workflows/w/run", "{}").await;
    answer.fails("forbidden", 403, "rma_model_authorization_error");
}

#[tokio::test]
async fn logs() {
    const OCTETS: &str = "application/octet-stream";
    let outside = Arc::new(Outside::default());
    let api = api(&outside);

    // context "c", name "stdout"
    let create = b"\x0a\x01c\x12\x06stdout";
    let answer = octets(&api, "/logs", Some(OCTETS), create).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (201, &b"\x0a\x05log-1"[..]));
    assert_eq!(answer.header("content-type"), Some(OCTETS));
    assert_eq!(outside.taken(), ["stdout"]);

    // log "log-1", type "a/b", payload "hi", second 1
    let append = b"\x0a\x05log-1\x12\x03a/b\x1a\x02hi\x22\x02\x08\x01";
    let answer =
        octets(&api, "/logs/log-1/messages", Some("Application/Octet-Stream; x=y"), append).await;
    let expected = b"\x0a\x05log-1\x12\x03m-1";
    assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (202, &expected[..]));
    assert_eq!(outside.taken(), [r#"log-1 "a/b" "hi" Some(1970-01-01T00:00:01Z)"#]);

    for (name, path, media_type, body, status, code) in [
        ("no type", "/logs", None, &create[..], 422, "rma_api_unknown_request_media_type_error"),
        (
            "json",
            "/logs",
            Some("application/json"),
            b"{}",
            422,
            "rma_api_unknown_request_media_type_error",
        ),
        ("cut", "/logs", Some(OCTETS), b"\x0a\x09c", 422, "rma_api_malformed_request_error"),
        (
            "no UTF-8",
            "/logs",
            Some(OCTETS),
            b"\x12\x01\xff",
            422,
            "rma_api_malformed_request_error",
        ),
        (
            "other id",
            "/logs/log-2/messages",
            Some(OCTETS),
            append,
            422,
            "rma_api_malformed_request_error",
        ),
        (
            "foreign",
            "/logs/foreign/messages",
            Some(OCTETS),
            b"\x1a\x02hi",
            404,
            "rma_model_not_found_error",
        ),
    ] {
        octets(&api, path, media_type, body).await.fails(name, status, code);
        assert!(outside.taken().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn what_the_outside_does_not_take() {
    let api = api(&Arc::new(Closed));
    let octet = Some("application/octet-stream");
    for (answer, status) in [
        (api.post("/events", "{}").await, 502),
        (api.post("/workflows/w/run", "{}").await, 500),
        (octets(&api, "/logs", octet, b"").await, 500),
        (octets(&api, "/logs/l/messages", octet, b"").await, 500),
    ] {
        answer.fails("closed", status, "rma_model_write_error");
        assert!(!answer.text().contains("canary"), "{}", answer.text());
    }
}
