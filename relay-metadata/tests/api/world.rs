//! A run `r` with the steps `build` and `deploy`, and a trigger `push`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use relay_core::{
    Action, Claims, Definition, Expression, FixedClock, Hs256Key, Journal, MemoryDefinition,
    MemoryJournal, MemorySecrets, SecretStore, StepName, Stores, TokenSigner as _, TriggerName,
    Value,
};
use relay_metadata::{Limits, Router, TokenAuthenticator};
use secrecy::{ExposeSecret as _, SecretString};
use tower::ServiceExt as _;

pub(crate) const NOW: &str = "2031-02-03T04:05:06Z";

pub(crate) fn step(name: &str) -> Action {
    Action::step("r".parse().unwrap(), name.parse().unwrap())
}

pub(crate) fn trigger() -> Action {
    Action::Trigger { name: TriggerName::new("push").unwrap() }
}

pub(crate) fn tree(json: &str) -> Option<Expression> {
    Some(Expression::parse(&Value::from_json(json).unwrap()))
}

/// What the step `build` is given; the other callers have empty definitions.
pub(crate) struct World {
    pub(crate) definition: MemoryDefinition,
    pub(crate) secrets: MemorySecrets,
    pub(crate) limits: Limits,
    pub(crate) image: Option<String>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            definition: MemoryDefinition::default(),
            secrets: MemorySecrets::default(),
            limits: Limits::default(),
            image: None,
        }
    }

    pub(crate) fn parameters(mut self, json: &str) -> Self {
        self.definition.parameters =
            Value::from_json(json).unwrap().as_map().cloned().unwrap_or_default();
        self
    }

    pub(crate) fn secret(mut self, name: &str, value: &str) -> Self {
        self.secrets = self.secrets.with_secret(name, value.into());
        self
    }

    pub(crate) fn spec(mut self, json: &str) -> Self {
        self.definition.spec = tree(json);
        self
    }

    pub(crate) fn environment(mut self, json: &str) -> Self {
        self.definition.environment = tree(json);
        self
    }

    pub(crate) fn conditions(mut self, json: &str) -> Self {
        self.definition.conditions = tree(json);
        self
    }

    pub(crate) fn image(mut self, image: &str) -> Self {
        self.image = Some(image.to_owned());
        self
    }

    pub(crate) fn serve(self) -> Api {
        self.serve_with(Hs256Key::generate())
    }

    /// The same with this key.
    pub(crate) fn serve_with(self, key: Hs256Key) -> Api {
        let (definition, secrets): (Arc<dyn Definition>, Arc<dyn SecretStore>) =
            (Arc::new(self.definition), Arc::new(self.secrets));
        let journal = MemoryJournal::new();
        let of_step = |name: &str, definition: Arc<dyn Definition>| Stores {
            definition: Some(definition),
            journal: Some(Arc::new(journal.for_step(name.parse().unwrap()))),
            secrets: Some(secrets.clone()),
            image: self.image.clone(),
            ..Stores::default()
        };
        let nothing = || Arc::new(MemoryDefinition::default());
        let callers = HashMap::from([
            (step("build"), of_step("build", definition)),
            (step("deploy"), of_step("deploy", nothing())),
            (step("bare"), Stores::default()),
            (trigger(), of_step("build", nothing())),
        ]);
        Api::with_key(key, callers, journal, self.limits)
    }
}

/// A served world.
pub(crate) struct Api {
    pub(crate) router: Router,
    pub(crate) journal: MemoryJournal,
    pub(crate) key: Arc<Hs256Key>,
}

impl Api {
    pub(crate) fn new(
        callers: HashMap<Action, Stores>,
        journal: MemoryJournal,
        limits: Limits,
    ) -> Self {
        Self::with_key(Hs256Key::generate(), callers, journal, limits)
    }

    fn with_key(
        key: Hs256Key,
        callers: HashMap<Action, Stores>,
        journal: MemoryJournal,
        limits: Limits,
    ) -> Self {
        let clock = Arc::new(FixedClock(NOW.parse().unwrap()));
        let key = Arc::new(key);
        let authenticator = TokenAuthenticator::new(key.clone(), Arc::new(callers));
        let authenticator = Arc::new(authenticator.with_clock(clock.clone()));
        let router = Router::new(authenticator).with_clock(clock).with_limits(limits);
        Self { router, journal, key }
    }

    /// An API for `build` alone, on these stores.
    pub(crate) fn on(stores: Stores) -> Self {
        let callers = HashMap::from([(step("build"), stores)]);
        Self::new(callers, MemoryJournal::new(), Limits::default())
    }

    pub(crate) fn journal_of(&self, name: &str) -> MemoryJournal {
        self.journal.for_step(name.parse().unwrap())
    }

    pub(crate) async fn token(&self, action: &Action) -> SecretString {
        self.key.sign(&Claims::for_action(action)).await.unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// A request of this caller.
    pub(crate) async fn by(
        &self,
        action: &Action,
        method: Method,
        path: &str,
        media_type: Option<&str>,
        body: impl Into<Body>,
    ) -> Answer {
        let token = self.token(action).await;
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
        if let Some(media_type) = media_type {
            request = request.header(header::CONTENT_TYPE, media_type);
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.by(&step("build"), Method::GET, path, None, Body::empty()).await
    }

    pub(crate) async fn put(&self, path: &str, json: &str) -> Answer {
        let body = json.to_owned();
        self.by(&step("build"), Method::PUT, path, Some("application/json"), body).await
    }

    pub(crate) async fn post(&self, path: &str, json: &str) -> Answer {
        let body = json.to_owned();
        self.by(&step("build"), Method::POST, path, Some("application/json"), body).await
    }

    pub(crate) async fn output(&self, step: &str, name: &str) -> Option<Value> {
        let step = StepName::new(step).unwrap();
        self.journal.output(&step, name).await.unwrap().map(|output| output.value)
    }
}

#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{}", self.text());
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status and code of an error.
    pub(crate) fn error(&self) -> (u16, String) {
        let json = self.json();
        let code = json.pointer("/error/code").and_then(serde_json::Value::as_str);
        (self.status.as_u16(), code.unwrap_or_default().to_owned())
    }

    pub(crate) fn friendly(&self) -> String {
        let json = self.json();
        json.pointer("/error/formatted/friendly").unwrap().as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn is(&self, case: &str, status: u16, body: serde_json::Value) {
        assert_eq!((self.status.as_u16(), self.json()), (status, body), "{case}");
    }

    #[track_caller]
    pub(crate) fn fails(&self, case: &str, status: u16, code: &str) {
        assert_eq!(self.error(), (status, code.to_owned()), "{case}");
    }

    #[track_caller]
    pub(crate) fn is_empty(&self, case: &str, status: u16) {
        assert_eq!((self.status.as_u16(), self.text()), (status, ""), "{case}");
        assert_eq!(self.header("content-type"), None, "{case}");
        assert_eq!(self.header("content-length"), Some("0"), "{case}");
    }
}
