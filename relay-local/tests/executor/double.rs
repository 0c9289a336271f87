//! A metadata API for steps that have nothing special about them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use serde_json::{Value, json};

/// A running double; it ends with the test's runtime.
#[derive(Clone, Default)]
pub(crate) struct Double(Arc<Mutex<Shared>>);

#[derive(Default)]
struct Shared {
    environment: BTreeMap<String, Value>,
    success: Option<bool>,
    calls: Vec<(String, Option<String>)>,
}

impl Double {
    pub(crate) async fn start() -> (Self, SocketAddr) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let double = Self::default();
        let router = axum::Router::new().fallback(serve).with_state(double.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (double, address)
    }

    pub(crate) fn environment(&self, name: &str, value: &str) {
        self.0.lock().unwrap().environment.insert(name.to_owned(), value.into());
    }

    /// What steps without a gate are told about their condition.
    pub(crate) fn condition(&self, success: bool) {
        self.0.lock().unwrap().success = Some(success);
    }

    /// Method and path of all calls, with their `Authorization`.
    pub(crate) fn calls(&self) -> Vec<(String, Option<String>)> {
        self.0.lock().unwrap().calls.clone()
    }
}

async fn serve(State(double): State<Double>, request: Request) -> (StatusCode, String) {
    let line = format!("{} {}", request.method(), request.uri().path());
    let caller = request.headers().get(header::AUTHORIZATION);
    let caller = caller.map(|value| value.to_str().unwrap().to_owned());
    let mut shared = double.0.lock().unwrap();
    shared.calls.push((line.clone(), caller));
    match line.as_str() {
        "PUT /status" => (StatusCode::CREATED, String::new()),
        "GET /environment" => {
            let answer = json!({"value": shared.environment, "unresolvable": {}, "complete": true});
            (StatusCode::OK, answer.to_string())
        }
        "GET /conditions" => {
            let success = shared.success.unwrap_or(true);
            let answer = json!({"resolved": true, "success": success, "message": ""});
            (StatusCode::OK, answer.to_string())
        }
        "POST /validate" => (StatusCode::OK, "null".to_owned()),
        _ => (StatusCode::NOT_FOUND, String::new()),
    }
}
