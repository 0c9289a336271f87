//! Stores that fail, limits, panics; and what logs and errors may say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Method, Request, header};
use relay_core::{
    Decorator, Definition, Expression, Journal, Map, MemoryDefinition, Message, Output,
    SecretStore, SecretValue, StepName, StepStatus, StoreError, Stores, Value,
};
use relay_metadata::{CATALOGUE, Limits};
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::log::Log;
use crate::world::{Api, World, step, tree};

/// Fails, in one of the ways of stores.
#[derive(Clone, Copy, Debug)]
enum Failing {
    Refused,
    TooLarge,
    Damaged,
    Backend,
}

impl Failing {
    fn fail<T>(self) -> Result<T, StoreError> {
        let doing = "reach for the canary cage".to_owned();
        let problem = "the name is too long".to_owned();
        Err(match self {
            Self::Refused => StoreError::Refused { doing, problem },
            Self::TooLarge => StoreError::TooLarge { doing, size: 2_000_000 },
            Self::Damaged => StoreError::Damaged { doing, problem },
            Self::Backend => StoreError::Backend { doing, source: "connection reset".into() },
        })
    }
}

#[async_trait]
impl Definition for Failing {
    async fn spec(&self) -> Result<Option<Expression>, StoreError> {
        self.fail()
    }
    async fn environment(&self) -> Result<Option<Expression>, StoreError> {
        self.fail()
    }
    async fn conditions(&self) -> Result<Option<Expression>, StoreError> {
        self.fail()
    }
    async fn parameters(&self) -> Result<Map, StoreError> {
        self.fail()
    }
}

#[async_trait]
impl Journal for Failing {
    async fn output(&self, _: &StepName, _: &str) -> Result<Option<Output>, StoreError> {
        self.fail()
    }
    async fn outputs(&self) -> Result<BTreeMap<StepName, BTreeMap<String, Output>>, StoreError> {
        self.fail()
    }
    async fn set_output(&self, _: &str, _: Value) -> Result<(), StoreError> {
        self.fail()
    }
    async fn set_output_sensitive(&self, _: &str, _: bool) -> Result<(), StoreError> {
        self.fail()
    }
    async fn state(&self, _: &str) -> Result<Option<Value>, StoreError> {
        self.fail()
    }
    async fn status(&self, _: &StepName) -> Result<Option<StepStatus>, StoreError> {
        self.fail()
    }
    async fn set_status(&self, _: StepStatus) -> Result<(), StoreError> {
        self.fail()
    }
    async fn add_message(&self, _: Message) -> Result<(), StoreError> {
        self.fail()
    }
    async fn set_decorator(&self, _: &str, _: Decorator) -> Result<(), StoreError> {
        self.fail()
    }
}

#[async_trait]
impl SecretStore for Failing {
    async fn secret(&self, _: &str) -> Result<Option<SecretValue>, StoreError> {
        self.fail()
    }
    async fn secrets(&self) -> Result<BTreeMap<String, SecretValue>, StoreError> {
        self.fail()
    }
    async fn connection(&self, _: &str, _: &str) -> Result<Option<SecretValue>, StoreError> {
        self.fail()
    }
    async fn connections(
        &self,
    ) -> Result<BTreeMap<String, BTreeMap<String, SecretValue>>, StoreError> {
        self.fail()
    }
}

fn failing(how: Failing) -> Api {
    let store = Arc::new(how);
    Api::on(Stores {
        definition: Some(store.clone()),
        journal: Some(store.clone()),
        secrets: Some(store),
        ..Stores::default()
    })
}

const READS: [&str; 7] = [
    "/spec",
    "/environment",
    "/environment/A",
    "/conditions",
    "/secrets/s",
    "/state/s",
    "/outputs/build/o",
];
const WRITES: [(Method, &str, &str); 4] = [
    (Method::PUT, "/outputs/o", "1"),
    (Method::PUT, "/outputs/o/metadata", "{}"),
    (Method::PUT, "/status", "{}"),
    (Method::POST, "/decorators/d", r#"{"type": "link", "uri": "https://example.com"}"#),
];

#[tokio::test]
async fn failures_of_stores() {
    for (how, read, write) in [
        (Failing::Backend, (500, "rma_model_read_error"), (500, "rma_model_write_error")),
        (Failing::Damaged, (500, "rma_model_read_error"), (500, "rma_model_write_error")),
        (Failing::Refused, (404, "rma_model_not_found_error"), (422, "rma_model_unstorable_error")),
        (Failing::TooLarge, (500, "rma_model_read_error"), (413, "rma_model_too_large_error")),
    ] {
        let api = failing(how);
        for path in READS {
            let answer = api.get(path).await;
            answer.fails(path, read.0, read.1);
            assert!(!answer.text().contains("canary"), "{}", answer.text());
        }
        for (method, path, body) in WRITES {
            let answer = api.by(&step("build"), method, path, None, body).await;
            answer.fails(path, write.0, write.1);
            assert!(!answer.text().contains("canary"), "{}", answer.text());
        }
    }
    let answer = failing(Failing::TooLarge).put("/outputs/o", "1").await;
    assert!(answer.friendly().contains("2000000 bytes"), "{}", answer.friendly());
    let answer = failing(Failing::Refused).put("/outputs/o", "1").await;
    assert!(answer.friendly().contains("the name is too long"), "{}", answer.friendly());
}

#[tokio::test]
async fn a_failing_backend_is_not_the_fault_of_an_expression() {
    let expression = || tree(r#"{"a": {"$type": "Secret", "name": "s"}}"#);
    let definition = MemoryDefinition {
        spec: expression(),
        environment: expression(),
        conditions: expression(),
        ..Default::default()
    };
    let stores = |secrets: Option<Arc<dyn SecretStore>>| Stores {
        definition: Some(Arc::new(definition.clone())),
        journal: Some(Arc::new(Failing::Backend)),
        secrets,
        ..Stores::default()
    };
    let broken = Api::on(stores(Some(Arc::new(Failing::Backend))));
    let forbidden = Api::on(stores(None));
    for path in ["/spec", "/spec?q=a", "/environment", "/environment/a", "/conditions"] {
        broken.get(path).await.fails(path, 500, "rma_model_read_error");
        // The journal fails as well, so the message about it is lost; the answer is not.
        forbidden.get(path).await.fails(path, 422, "rma_expression_evaluation_error");
    }
}

/// Panics, or never answers.
#[derive(Debug)]
enum Rogue {
    Panicking,
    Stuck,
}

#[async_trait]
impl Definition for Rogue {
    async fn spec(&self) -> Result<Option<Expression>, StoreError> {
        match self {
            Self::Panicking => panic!("canary"),
            Self::Stuck => std::future::pending().await,
        }
    }
    async fn environment(&self) -> Result<Option<Expression>, StoreError> {
        Ok(None)
    }
    async fn conditions(&self) -> Result<Option<Expression>, StoreError> {
        Ok(None)
    }
    async fn parameters(&self) -> Result<Map, StoreError> {
        Ok(Map::new())
    }
}

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

#[tokio::test]
async fn a_panic_is_an_error_like_others() {
    let stores = Stores { definition: Some(Arc::new(Rogue::Panicking)), ..Default::default() };
    let api = Api::on(stores);
    let answer = api.get("/spec").await;
    answer.fails("panic", 500, "rma_api_internal_error");
    assert!(!answer.text().contains("canary"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(api.get("/conditions").await.status, 200, "and the next request is served");
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_given_up() {
    let stores = Stores { definition: Some(Arc::new(Rogue::Stuck)), ..Default::default() };
    let mut api = Api::on(stores);
    api.router = api.router.with_limits(limits(|limits| {
        limits.request_time = Duration::from_millis(20);
    }));
    let answer = api.get("/spec").await;
    answer.fails("stuck", 503, "rma_api_timeout_error");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
}

#[tokio::test]
async fn bodies_above_the_limit() {
    let api = World::new().serve();
    let size = 1 << 20;
    let path = "/outputs/o";
    let body = vec![b'x'; size];
    // It is read, but no run has room for it.
    let answer = api.by(&step("build"), Method::PUT, path, None, body).await;
    answer.fails("at the limit", 413, "rma_model_too_large_error");
    let body = vec![b'x'; size + 1];
    let answer = api.by(&step("build"), Method::PUT, path, None, body).await;
    answer.fails("above", 413, "rma_api_request_too_large_error");
    assert!(answer.friendly().contains("1048576 bytes"), "{}", answer.friendly());

    let piece = axum::body::Bytes::from(vec![b'x'; 1 << 16]);
    let pieces = std::iter::repeat_n(piece, 17).map(Ok::<_, std::io::Error>);
    let chunked = Body::from_stream(futures::stream::iter(pieces));
    let answer = api.by(&step("build"), Method::PUT, path, None, chunked).await;
    answer.fails("in pieces", 413, "rma_api_request_too_large_error");
}

#[tokio::test]
async fn bodies_that_do_not_arrive() {
    let mut world = World::new();
    world.limits = limits(|limits| limits.body_time = Duration::from_millis(20));
    let api = world.serve();
    let stuck = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let stuck = Body::from_stream(stuck);
    let answer = api.by(&step("build"), Method::PUT, "/status", None, stuck).await;
    answer.fails("stuck", 408, "rma_api_request_timeout_error");

    let broken = [Ok(b"{".to_vec()), Err(std::io::Error::other("reset"))];
    let broken = Body::from_stream(futures::stream::iter(broken));
    let answer = api.by(&step("build"), Method::PUT, "/status", None, broken).await;
    answer.fails("broken", 422, "rma_api_malformed_request_error");
}

#[test]
fn the_catalogue_is_sound() {
    let mut codes = std::collections::HashSet::new();
    for entry in CATALOGUE {
        assert!(codes.insert((entry.code, entry.status)), "{} twice", entry.code);
        assert!(entry.code.ends_with("_error"), "{}", entry.code);
        assert!(entry.code.starts_with("rma_"), "{}", entry.code);
        assert!(entry.status.is_client_error() || entry.status.is_server_error(), "{}", entry.code);
        for field in entry.template.split("{{").skip(1) {
            let (field, _) = field.split_once("}}").unwrap();
            let (_, name) = field.split_once(' ').unwrap_or(("", field));
            assert!(entry.arguments.contains(&name), "{}: {name}", entry.code);
        }
    }
}

/// `UPDATE_DOCS=1 cargo test` writes the page anew.
#[test]
fn the_page_of_errors_is_in_step_with_the_catalogue() {
    let mut page = "# Errors of the metadata API\n\nEvery error that the API answers with; made from \
                    `relay_metadata::CATALOGUE` by its test. The answer is\n`{\"error\": {\"domain\", \
                    \"section\", \"code\", \"title\", \"description\", \"formatted\", \"arguments\"}}`,\n\
                    where `formatted` is the text with its arguments.\n\n\
                    | status | code | title | text | arguments |\n| --- | --- | --- | --- | --- |\n"
        .to_owned();
    for entry in CATALOGUE {
        let arguments: Vec<_> = entry.arguments.iter().map(|name| format!("`{name}`")).collect();
        page += &format!(
            "| {} | `{}` | {} | {} | {} |\n",
            entry.status.as_u16(),
            entry.code,
            entry.title,
            entry.template.replace('\n', "<br>"),
            arguments.join(", "),
        );
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metadata-errors.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), page);
}

#[tokio::test]
async fn the_log_names_requests_and_causes_and_no_secrets() {
    let log = Log::of_the_process(tracing::Level::TRACE);

    let api = World::new()
        .secret("s", "canary-1")
        .parameters(r#"{"p": "canary-2"}"#)
        .spec(r#"{"a": "${secrets.s}", "b": "${parameters.p}", "bad": "${secrets.s + 1}"}"#)
        .conditions(r#"["${secrets.s}"]"#)
        .serve();
    let token = api.token(&step("build")).await;
    let wrong = Api::on(Stores::default()).token(&step("build")).await;
    for path in ["/spec", "/spec?q=a", "/spec?q=canary-3", "/secrets/s", "/conditions", "/state/x"]
    {
        let answer = api.get(path).await;
        if answer.status != 200 {
            assert!(!answer.text().contains("canary-1"), "{path}: {}", answer.text());
        }
    }
    api.put("/outputs/o", r#""canary-4""#).await.is_empty("output", 201);
    api.put("/outputs/o", "canary-5").await.fails("output", 422, "rma_api_malformed_request_error");
    let refused = Request::builder()
        .uri("/spec")
        .header(header::AUTHORIZATION, format!("Bearer {}", wrong.expose_secret()))
        .body(Body::empty())
        .unwrap();
    assert_eq!(api.send(refused).await.status, 401);
    failing(Failing::Backend).get("/spec").await.fails("backend", 500, "rma_model_read_error");

    let log = log.text();
    for expected in [
        r#"method=GET path="/secrets/s" status=200"#,
        "authentication failed",
        "InvalidSignature",
        "connection reset",
        "request{id=",
    ] {
        assert!(log.contains(expected), "{expected:?} is missing in\n{log}");
    }
    for secret in ["canary-", token.expose_secret(), wrong.expose_secret()] {
        assert!(!log.contains(secret), "{secret:?} is in\n{log}");
    }
}

#[tokio::test]
async fn texts_are_strings_whatever_they_quote() {
    let api = World::new().spec(r#"{"a": 1}"#).serve();
    for (path, quoted) in [
        ("/spec?q=%00", "\0"),
        ("/spec?lang=%00%01x", "language \"\\x00\\x01x\"."),
        ("/spec?lang=a%22%5C%0A%C2%85%C3%BC", "\"a\\\"\\\\\\n\\u0085ü\""),
    ] {
        let answer = api.get(path).await;
        assert!(answer.friendly().contains(quoted), "{path}: {}", answer.text());
        let arguments = &answer.json()["error"]["arguments"];
        assert!(
            arguments.as_object().unwrap().values().all(serde_json::Value::is_string),
            "{path}"
        );
    }
    api.put("/outputs/%00", r#""\u0000""#).await.is_empty("stored", 201);
    let bytes = json!({"$encoding": "base64", "data": "AA=="});
    api.get("/outputs/build/%00").await.is(
        "only the value is in transfer form",
        200,
        json!({"key": "\0", "metadata": null, "task_name": "build", "value": bytes}),
    );
}
