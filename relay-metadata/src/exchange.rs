//! The outermost layer, which every request passes, unknown paths included: request id, access log,
//! security headers, the time limit, and the check that the path can be read at all.

use std::sync::LazyLock;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use tracing::Instrument as _;

use crate::error::ApiError;
use crate::query::escapes_are_whole;
use crate::router::App;

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

/// Takes a request through everything else.
pub(crate) async fn exchange(State(app): State<App>, request: Request, next: Next) -> Response {
    // A client's own id is not taken over: it would let one caller write into another's traces.
    let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string();
    let span = tracing::info_span!("request", %id);
    let mut response = answer(&app, request, next).instrument(span).await;

    // A copy of the map that has them all grows no more.
    let own = std::mem::replace(response.headers_mut(), SECURITY.clone());
    let headers = response.headers_mut();
    headers.extend(own);
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

async fn answer(app: &App, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    // Without the query, which may hold what a caller asks of its spec.
    let path = request.uri().path().to_owned();

    let response = if is_readable(&path) {
        let handled = tokio::time::timeout(app.limits.request_time, next.run(request)).await;
        handled.unwrap_or_else(|_| ApiError::Timeout.into_response())
    } else {
        const TEXT: &str = "text/plain; charset=utf-8";
        let headers = [(header::CONTENT_TYPE, TEXT)];
        (StatusCode::BAD_REQUEST, headers, "400 Bad Request").into_response()
    };

    let status = response.status();
    let route = route.as_ref().map(MatchedPath::as_str);
    app.metrics.note(&method, route, status, started.elapsed());
    let milliseconds = started.elapsed().as_millis();
    if status.is_server_error() {
        tracing::warn!(%method, ?path, status = status.as_u16(), milliseconds, "handled");
    } else {
        tracing::debug!(%method, ?path, status = status.as_u16(), milliseconds, "handled");
    }
    response
}

/// Whether the names in a path can be decoded: whole escapes, and UTF-8 behind them.
fn is_readable(path: &str) -> bool {
    escapes_are_whole(path) && percent_decode_str(path).decode_utf8().is_ok()
}
