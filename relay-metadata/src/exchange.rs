//! The one layer, which every request passes, unknown paths included: request id, access log,
//! security headers, the time limit, the check that the path can be read and is a clean one,
//! authentication.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Instant;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use percent_encoding::percent_decode_str;
use tower::Service;
use tracing::Instrument as _;

use crate::authentication::{authenticate, presented};
use crate::error::ApiError;
use crate::query::escapes_are_whole;
use crate::router::App;
use crate::routes::{Access, Route};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The headers of every answer (`metadata-api.md` §1.2).
static SECURITY: LazyLock<HeaderMap> = LazyLock::new(|| {
    let mut headers = HeaderMap::with_capacity(16);
    headers.extend([
        (header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("deny")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (
            HeaderName::from_static("x-permitted-cross-domain-policies"),
            HeaderValue::from_static("none"),
        ),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::X_XSS_PROTECTION, HeaderValue::from_static("0")),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; base-uri 'none'"),
        ),
    ]);
    headers
});

/// The layer around every endpoint, and around what answers where there is none.
#[derive(Clone)]
pub(crate) struct Exchange<S> {
    pub(crate) app: App,
    /// The row of the table; `None` where no row has the path.
    pub(crate) route: Option<&'static Route>,
    pub(crate) inner: S,
}

impl<S> Service<Request> for Exchange<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let ready = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, ready);
        let (app, route) = (Arc::clone(&self.app), self.route);
        Box::pin(async move { Ok(exchange(&app, route, request, ready).await) })
    }
}

/// Takes a request through everything else.
async fn exchange<S>(
    app: &App,
    route: Option<&'static Route>,
    request: Request,
    inner: S,
) -> Response
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    // A client's own id is not taken over: it would let one caller write into another's traces.
    let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string();
    let span = tracing::info_span!("request", %id);
    let mut response = answer(app, route, request, inner).instrument(span).await;

    // A copy of the map that has them all grows no more.
    let own = std::mem::replace(response.headers_mut(), SECURITY.clone());
    let headers = response.headers_mut();
    headers.extend(own);
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

async fn answer<S>(app: &App, route: Option<&'static Route>, request: Request, inner: S) -> Response
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    let started = Instant::now();
    let method = request.method().clone();
    // Without the query, which may hold what a caller asks of its spec.
    let path = request.uri().path().to_owned();

    let response = if let Some(answer) = instead(&path, request.uri().query()) {
        answer
    } else {
        let handled = AssertUnwindSafe(handle(app, route, request, inner)).catch_unwind();
        let handled = tokio::time::timeout(app.limits.request_time, handled).await;
        match handled {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => panicked(),
            Err(_) => ApiError::Timeout.into_response(),
        }
    };

    let (status, took) = (response.status(), started.elapsed());
    app.metrics.note(&method, route, status, took);
    let milliseconds = took.as_millis();
    if status.is_server_error() {
        tracing::warn!(%method, ?path, status = status.as_u16(), milliseconds, "handled");
    } else {
        tracing::debug!(%method, ?path, status = status.as_u16(), milliseconds, "handled");
    }
    response
}

/// Lets through whom the route admits. A method that the path does not have is answered to anybody.
async fn handle<S>(
    app: &App,
    route: Option<&'static Route>,
    mut request: Request,
    mut inner: S,
) -> Response
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    let asked = route.filter(|route| route.serves(request.method()));
    if asked.is_some_and(|route| route.access() == Access::Callers) {
        let presented = presented(app, &request);
        match authenticate(app, &presented).await {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
            }
            Err(refusal) => return refusal,
        }
    }
    let Ok(response) = inner.call(request).await;
    response
}

/// Logs panics by the place in the source where they come from, and nothing else of them: their own
/// words may quote what was being worked on. For programs that serve nothing but the API, since it
/// holds for the whole process.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a panic");
    }));
}

/// The panic's own words stay out of answer and log: they may quote what was being worked on.
fn panicked() -> Response {
    tracing::error!("an endpoint panicked");
    ApiError::Internal.into_response()
}

/// What a path is answered with that names nothing: one that cannot be read, and one with empty
/// or dot segments, which leads to where it would be without them.
fn instead(path: &str, query: Option<&str>) -> Option<Response> {
    let (mut escaped, mut suspect, mut before) = (false, false, 0);
    for byte in path.bytes() {
        escaped |= byte == b'%';
        suspect |= before == b'/' && matches!(byte, b'/' | b'.');
        before = byte;
    }
    if escaped && !is_readable(path) {
        const TEXT: &str = "text/plain; charset=utf-8";
        let headers = [(header::CONTENT_TYPE, TEXT)];
        return Some((StatusCode::BAD_REQUEST, headers, "400 Bad Request").into_response());
    }
    let mut location = suspect.then(|| clean(path)).filter(|clean| clean != path)?;
    if let Some(query) = query {
        location.push('?');
        location.push_str(query);
    }
    let location = HeaderValue::try_from(location).ok()?;
    Some((StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, location)]).into_response())
}

/// A path without empty and dot segments. What is escaped in it is part of a name.
fn clean(path: &str) -> String {
    let mut kept = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            name => kept.push(name),
        }
    }
    let mut clean = format!("/{}", kept.join("/"));
    if path.ends_with('/') && !kept.is_empty() {
        clean.push('/');
    }
    clean
}

/// Whether the names in a path can be decoded: whole escapes, and UTF-8 behind them.
fn is_readable(path: &str) -> bool {
    escapes_are_whole(path) && percent_decode_str(path).decode_utf8().is_ok()
}
