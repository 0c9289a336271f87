//! What leaves a run by HTTP, against a receiver that writes down what it is sent.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use relay_core::{Event, EventSink as _, LaunchedRun, RunLauncher as _, StoreError, Value};
use relay_store::{HttpEvents, HttpRuns, sink_client};
use secrecy::SecretString;
use serde_json::{Value as Json, json};

#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<Vec<Json>>>);

impl Receiver {
    async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(receive).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        format!("http://{address}")
    }

    fn received(&self) -> Vec<Json> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

async fn receive(
    State(receiver): State<Receiver>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name| headers.get(name).map(|value| value.to_str().unwrap());
    receiver.0.lock().unwrap().push(json!({
        "request": format!("{method} {uri}"),
        "authorization": header(header::AUTHORIZATION),
        "type": header(header::CONTENT_TYPE),
        "accept": header(header::ACCEPT),
        "body": serde_json::from_slice::<Json>(&body).unwrap(),
    }));
    match uri.path() {
        "/moved" => (StatusCode::FOUND, [(header::LOCATION, "/elsewhere")]).into_response(),
        "/broken" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        path if path.contains("/api/workflows/silent/") => "{}".into_response(),
        path if path.contains("/api/workflows/bare/") => {
            r#"{"run": {"run_number": 8}}"#.into_response()
        }
        _ => r#"{"run": {"run_number": 7, "app_url": "https://example.com/7"}}"#.into_response(),
    }
}

fn token() -> SecretString {
    SecretString::from("tenant-token".to_owned())
}

#[tokio::test]
async fn events_go_to_the_address_of_the_trigger() {
    let receiver = Receiver::default();
    let address = receiver.serve().await;
    let sink = |path: &str| {
        let url = format!("{address}{path}");
        HttpEvents::new(sink_client().unwrap(), &url, token(), "on push").unwrap()
    };
    let data = relay_core::Map::from([("a".into(), Value::from(1))]);
    let event = |key: Option<&str>| Event { data: data.clone(), key: key.map(str::to_owned) };
    sink("/events?x=y").emit(event(Some("k"))).await.unwrap();
    sink("/events").emit(event(None)).await.unwrap();
    let source = json!({"type": "trigger", "trigger": {"name": "on push"}});
    let received = |request: &str, body: Json| {
        json!({
            "request": request, "authorization": "Bearer tenant-token",
            "type": "application/json", "accept": "*/*", "body": body,
        })
    };
    let expected = [
        received("POST /events?x=y", json!({"source": source, "data": {"a": 1}, "key": "k"})),
        received("POST /events", json!({"source": source, "data": {"a": 1}})),
    ];
    assert_eq!(receiver.received(), expected);

    for path in ["/moved", "/broken"] {
        assert!(sink(path).emit(event(None)).await.is_err(), "{path}");
        assert_eq!(receiver.received().len(), 1, "{path}: not sent again, not sent elsewhere");
    }
    let nobody = HttpEvents::new(sink_client().unwrap(), "http://127.0.0.1:1/", token(), "t");
    let error = nobody.unwrap().emit(event(None)).await.unwrap_err();
    assert!(!format!("{error:?} {:?}", sink("/")).contains("tenant-token"));
}

#[tokio::test]
async fn runs_are_started_below_the_address() {
    let receiver = Receiver::default();
    let address = receiver.serve().await;
    let runs = |path: &str| {
        HttpRuns::new(sink_client().unwrap(), &format!("{address}{path}"), token()).unwrap()
    };
    let parameters =
        || relay_core::Map::from([("a".into(), Value::from(1)), ("n".into(), Value::Null)]);
    let url = Some("https://example.com/7".to_owned());
    for (path, name, request, run) in [
        (
            "",
            "deploy",
            "POST /api/workflows/deploy/runs",
            LaunchedRun { number: 7, url: url.clone() },
        ),
        (
            "/base/?q=1",
            "a/b c",
            "POST /base/api/workflows/a%2Fb%20c/runs",
            LaunchedRun { number: 7, url },
        ),
        ("/", "bare", "POST /api/workflows/bare/runs", LaunchedRun { number: 8, url: None }),
    ] {
        assert_eq!(runs(path).launch(name, parameters()).await.unwrap(), run, "{name}");
        let received = receiver.received();
        assert_eq!(received[0]["request"], json!(request));
        assert_eq!(received[0]["authorization"], json!("Bearer tenant-token"));
        let media_type = json!("application/vnd.puppet.relay.v20200615+json");
        assert_eq!((&received[0]["type"], &received[0]["accept"]), (&media_type, &media_type));
        assert_eq!(received[0]["body"], json!({"parameters": {"a": {"value": 1}, "n": {}}}));
    }
    assert!(runs("").launch("silent", parameters()).await.is_err());
    receiver.received();
    for name in ["..", ".", "", ".\n.", "\t", "x\ny", "x\r", "\t..", "x\0", "x\u{85}"] {
        let refused = runs("").launch(name, parameters()).await;
        assert!(matches!(refused, Err(StoreError::Refused { .. })), "{name:?}: {refused:?}");
        assert!(receiver.received().is_empty(), "{name:?} leads elsewhere");
    }
}

#[test]
fn addresses_that_are_none() {
    let client = sink_client().unwrap();
    for url in ["", "/events", "ftp://example.com", "file:///etc/passwd", "http://"] {
        assert!(HttpRuns::new(client.clone(), url, token()).is_err(), "{url}");
        assert!(HttpEvents::new(client.clone(), url, token(), "t").is_err(), "{url}");
    }
}
