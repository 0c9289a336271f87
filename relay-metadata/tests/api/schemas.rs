//! `POST /validate` against the schemas of steps.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use relay_core::{Message, MessageSource, Value};
use relay_metadata::{SchemaError, StepSchemas};
use serde_json::json;

use crate::world::{Api, World};

fn document(repository: &str, schema: &serde_json::Value) -> String {
    json!([
        {"publish": {}, "schemas": {"spec": true}},
        {"publish": {"repository": "no/schema"}},
        {"publish": {"repository": "empty/schema"}, "schemas": {"spec": {}}},
        "no step at all",
        {"publish": {"repository": repository, "more": 1}, "schemas": {"spec": schema, "outputs": {}}},
    ])
    .to_string()
}

fn serve(world: World, schemas: &StepSchemas) -> Api {
    let mut api = world.serve();
    api.router = api.router.with_schemas(schemas.clone());
    api
}

/// What the author of `build` is told when this spec is checked against this schema.
async fn told(schema: serde_json::Value, spec: &str) -> Vec<Message> {
    let schemas = StepSchemas::default();
    schemas.add(&document("acme/deploy", &schema)).unwrap();
    let world = World::new().image("registry:5000/acme/deploy:3").spec(spec);
    let world = world.secret("pw", "canary").parameters(r#"{"n": 5}"#);
    let api = serve(world, &schemas);
    for _ in 0..3 {
        api.post("/validate", "whatever").await.is(spec, 200, json!(null));
    }
    api.journal.messages(&"build".parse().unwrap())
}

#[tokio::test]
async fn violations_are_told_once_and_without_values() {
    let object = |properties: serde_json::Value| json!({"properties": properties});
    for (name, schema, spec, expected) in [
        ("fits", object(json!({"n": {"type": "integer"}})), r#"{"n": "${parameters.n}"}"#, None),
        (
            "type",
            object(json!({"a": {"properties": {"b/c": {"items": {"type": "integer"}}}}})),
            r#"{"a": {"b/c": [1, "${secrets.pw}"]}}"#,
            Some("* a.b/c.1: value is not of type \"integer\""),
        ),
        (
            "required",
            json!({"required": ["to"]}),
            r#"{"from": "${secrets.pw}"}"#,
            Some("* (root): \"to\" is a required property"),
        ),
        (
            "several",
            object(json!({"a": {"type": "null"}, "b": {"maxLength": 2}})),
            r#"{"a": "${secrets.pw}", "b": "${secrets.pw}"}"#,
            Some("* a: value is not of type \"null\"\n* b: value is longer than 2 characters"),
        ),
        (
            "the nearest of several",
            object(json!({"a": {"anyOf": [
                {"required": ["x", "y"], "properties": {"z": {"type": "null"}}},
                {"properties": {"z": {"type": "integer"}}},
            ]}})),
            r#"{"a": {"z": "text"}}"#,
            Some("* a.z: value is not of type \"integer\""),
        ),
        (
            "draft 4",
            json!({
                "$schema": "http://json-schema.org/draft-04/schema#",
                "properties": {"n": {"maximum": 5, "exclusiveMaximum": true}},
            }),
            r#"{"n": "${parameters.n}"}"#,
            Some("* n: value is greater than or equal to the maximum of 5"),
        ),
    ] {
        let told = told(schema, spec).await;
        let texts: Vec<_> = told.iter().map(|message| message.details.as_str()).collect();
        let expected = expected.map(|lines| format!("typeutil: validation error:\n{lines}"));
        assert_eq!(texts, expected.as_deref().into_iter().collect::<Vec<_>>(), "{name}");
        for message in &told {
            let expression = Value::from_json(spec).unwrap();
            assert_eq!(message.source, MessageSource::SpecValidation { expression }, "{name}");
        }
    }
}

#[tokio::test]
async fn a_schema_fetches_nothing() {
    let (url, calls) = served(Arc::default()).await;
    for reference in [url.clone(), "file:///etc/passwd".to_owned(), format!("{url}#/definitions/a")]
    {
        let told = told(json!({"properties": {"a": {"$ref": reference}}}), r#"{"a": 1}"#).await;
        assert_eq!(told.len(), 1, "{reference}");
        let text = &told[0].details;
        assert!(text.starts_with("the schema of acme/deploy cannot be used"), "{text}");
        assert!(!text.contains("root:"), "{text}");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_cannot_be_checked() {
    let schemas = StepSchemas::default();
    let strict = json!({"type": "string"});
    schemas.add(&document("library/alpine", &strict)).unwrap();
    for (name, image, spec, status, messages) in [
        ("no spec", Some("alpine"), None, 404, 0),
        ("broken", Some("alpine"), Some(r#"{"a": "${nothing("}"#), 422, 0),
        ("not complete", Some("alpine"), Some(r#"{"a": "${parameters.none}"}"#), 200, 0),
        ("no image", None, Some("{}"), 422, 0),
        ("no name of an image", Some("NOT AN IMAGE"), Some("{}"), 422, 0),
        ("an image without a schema", Some("busybox"), Some("{}"), 200, 0),
        ("a short name", Some("alpine"), Some("{}"), 200, 1),
        ("a tag", Some("alpine:3.20"), Some("{}"), 200, 1),
        (
            "a registry",
            Some(
                "docker.io/library/alpine@sha256:0000000000000000000000000000000000000000000000000000000000000000",
            ),
            Some("{}"),
            200,
            1,
        ),
        ("another owner", Some("acme/alpine"), Some("{}"), 200, 0),
        ("no schema in the document", Some("empty/schema"), Some("{}"), 200, 0),
    ] {
        let mut world = World::new();
        world.image = image.map(str::to_owned);
        if let Some(spec) = spec {
            world = world.spec(spec);
        }
        let api = serve(world, &schemas);
        let answer = api.post("/validate", "").await;
        assert_eq!(answer.status.as_u16(), status, "{name}: {}", answer.text());
        assert_eq!(api.journal.messages(&"build".parse().unwrap()).len(), messages, "{name}");
    }
}

#[derive(Debug, Default)]
struct Served {
    body: String,
    failing: bool,
    unchanged: usize,
}

/// A server of step metadata, its address, and how often it was asked.
async fn served(state: Arc<Mutex<Served>>) -> (String, Arc<AtomicUsize>) {
    type Shared = (Arc<Mutex<Served>>, Arc<AtomicUsize>);
    async fn answer(State((state, calls)): State<Shared>, headers: HeaderMap) -> Response {
        calls.fetch_add(1, Ordering::SeqCst);
        let mut state = state.lock().unwrap();
        let age = format!("Thu, 01 Jan 1970 00:00:{:02} GMT", state.body.len() % 60);
        if state.failing {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        if headers.get(header::IF_MODIFIED_SINCE).is_some_and(|since| *since == age) {
            state.unchanged += 1;
            return StatusCode::NOT_MODIFIED.into_response();
        }
        ([(header::LAST_MODIFIED, age)], state.body.clone()).into_response()
    }
    let calls = Arc::<AtomicUsize>::default();
    let router = axum::Router::new().route("/", get(answer)).with_state((state, calls.clone()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, calls)
}

/// Waits for something that comes by itself.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..500 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what} did not come");
}

#[tokio::test]
async fn the_document_is_followed() {
    let state = Arc::<Mutex<Served>>::default();
    let set = |body: String| state.lock().unwrap().body = body;
    set(document("acme/deploy", &json!({"type": "string"})));
    let (url, calls) = served(state.clone()).await;
    let schemas = StepSchemas::default();
    let following = schemas.clone();
    let task = tokio::spawn(async move { following.follow(&url, Duration::from_millis(30)).await });
    schemas.asked().await;
    let told = |image: &'static str| {
        let api = serve(World::new().image(image).spec("{}"), &schemas);
        async move {
            api.post("/validate", "").await.is(image, 200, json!(null));
            api.journal.messages(&"build".parse().unwrap()).len()
        }
    };
    assert_eq!(told("acme/deploy").await, 1);

    until("an answer that nothing changed", || state.lock().unwrap().unchanged > 0).await;
    set(document("acme/other-step", &json!({"type": "string"})));
    let before = calls.load(Ordering::SeqCst);
    until("the next request", || calls.load(Ordering::SeqCst) > before + 1).await;
    assert_eq!(
        (told("acme/other-step").await, told("acme/deploy").await),
        (1, 1),
        "both are known"
    );

    state.lock().unwrap().failing = true;
    let before = calls.load(Ordering::SeqCst);
    until("a failure", || calls.load(Ordering::SeqCst) > before + 1).await;
    assert_eq!(told("acme/deploy").await, 1, "what was known stays");
    task.abort();
}

#[tokio::test]
async fn without_the_document_nothing_is_checked_and_nothing_waits() {
    // A listener that accepts and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let schemas = StepSchemas::default();
    let following = schemas.clone();
    let task = tokio::spawn(async move { following.follow(&url, Duration::from_secs(1)).await });
    let api = serve(World::new().image("alpine").spec("{}"), &schemas);
    let answer = tokio::time::timeout(Duration::from_secs(5), api.post("/validate", ""));
    answer.await.unwrap().is("silent", 200, json!(null));
    task.abort();

    for address in ["", "nothing", "file:///etc/passwd", "ftp://host/x"] {
        let followed = StepSchemas::default().follow(address, Duration::from_secs(1)).await;
        assert!(matches!(followed, Err(SchemaError::Address)), "{address}");
    }
}
