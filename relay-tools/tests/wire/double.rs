//! A metadata API that answers what a test tells it to, and remembers what it was asked.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A running double; it ends with the test's runtime.
#[derive(Clone, Default)]
pub(crate) struct Double {
    port: u16,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    answers: HashMap<String, VecDeque<(u16, String)>>,
    calls: Vec<Call>,
}

#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Method, path and query.
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Call {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Double {
    /// A double with the answers of a step that has nothing special about it.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let double = Self { port: listener.local_addr().unwrap().port(), ..Self::default() };
        let router = Router::new().fallback(serve).with_state(double.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        double
            .on("PUT /status", 201, "")
            .on("GET /conditions", 200, json!({"resolved": true, "success": true, "message": ""}))
            .on("POST /validate", 200, "null")
    }

    /// The same double over TLS; its address.
    pub(crate) async fn serve_tls(&self, tls: TlsAcceptor) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().fallback(serve).with_state(self.clone());
        let listener = TlsListener { listener, tls };
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        format!("https://:canary-token@localhost:{port}")
    }

    /// From now on answers this. Several answers to one line are given in turn, the last
    /// one for ever.
    #[expect(clippy::needless_pass_by_value, reason = "literals read better without `&`")]
    pub(crate) fn on(self, line: &str, status: u16, body: impl ToString) -> Self {
        self.shared
            .lock()
            .unwrap()
            .answers
            .entry(line.to_owned())
            .or_default()
            .push_back((status, body.to_string()));
        self
    }

    /// Forgets the answers to a line.
    pub(crate) fn off(self, line: &str) -> Self {
        self.shared.lock().unwrap().answers.remove(line);
        self
    }

    pub(crate) fn url(&self) -> String {
        format!("http://:canary-token@127.0.0.1:{}/ignored?too", self.port)
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.shared.lock().unwrap().calls.clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.calls().into_iter().map(|call| call.line).collect()
    }

    /// The bodies of all calls of a line.
    pub(crate) fn bodies(&self, line: &str) -> Vec<Value> {
        self.calls().iter().filter(|call| call.line == line).map(Call::json).collect()
    }
}

struct TlsListener {
    listener: TcpListener,
    tls: TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.listener.accept().await.unwrap();
            if let Ok(stream) = self.tls.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

async fn serve(State(double): State<Double>, request: Request) -> impl IntoResponse {
    let (parts, body) = request.into_parts();
    let line = format!("{} {}", parts.method, parts.uri);
    let body: Bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let mut shared = double.shared.lock().unwrap();
    shared.calls.push(Call {
        line: line.clone(),
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    let (status, body) = match shared.answers.get_mut(&line) {
        Some(answers) if answers.len() > 1 => answers.pop_front().unwrap(),
        Some(answers) => answers.front().unwrap().clone(),
        None => (404, error("The resource you requested does not exist.")),
    };
    (StatusCode::from_u16(status).unwrap(), body)
}

/// An error answer in the API's envelope.
pub(crate) fn error(friendly: &str) -> String {
    json!({"error": {"formatted": {"friendly": friendly}}}).to_string()
}

/// An evaluated value with nothing missing.
pub(crate) fn complete(value: impl Into<Value>) -> Value {
    json!({"value": value.into(), "unresolvable": {}, "complete": true})
}
