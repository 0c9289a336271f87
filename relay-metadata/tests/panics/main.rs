//! What a panic leaves in the log. It is about the whole process, and so has one of its own.

#![expect(clippy::panic, clippy::unwrap_used, reason = "that is what this is about")]

#[path = "../shared/log.rs"]
mod log;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::Request;
use relay_core::{
    Action, Claims, Definition, Expression, Hs256Key, Map, StoreError, Stores, TokenSigner as _,
};
use relay_metadata::{Router, TokenAuthenticator};
use secrecy::ExposeSecret as _;
use tower::ServiceExt as _;

use crate::log::Log;

#[derive(Debug)]
struct Panicking;

#[async_trait]
impl Definition for Panicking {
    async fn spec(&self) -> Result<Option<Expression>, StoreError> {
        panic!("the password is canary");
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

#[tokio::test]
async fn a_panic_is_logged_without_its_words() {
    let log = Log::of_the_process(tracing::Level::DEBUG);
    relay_metadata::log_panics();
    let step = Action::step("r".parse().unwrap(), "s".parse().unwrap());
    let key = Arc::new(Hs256Key::generate());
    let token = key.sign(&Claims::for_action(&step)).await.unwrap();
    let stores = Stores { definition: Some(Arc::new(Panicking)), ..Stores::default() };
    let callers = HashMap::from([(step, stores)]);
    let router = Router::new(Arc::new(TokenAuthenticator::new(key, Arc::new(callers))));
    let request = Request::builder()
        .uri("/spec")
        .header("authorization", format!("Bearer {}", token.expose_secret()));
    let answer = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    // What fails from here on is to be seen whole.
    drop(std::panic::take_hook());
    assert_eq!(answer.status(), 500);
    let log = log.text();
    assert!(log.contains("tests/panics/main.rs"), "{log}");
    assert!(!log.contains("canary"), "{log}");
}
