//! HTTP around the decision about a pod.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Json, Response};
use axum::routing::post;
use relay_reconcile::admission::{NotAReview, Outcome, PodPolicy, review};
use relay_reconcile::telemetry::Metrics;
use tokio::time::timeout;

/// The most that a question has: an API server takes objects of 3 MiB.
const MAX_BODY: usize = 4 << 20;
/// How long it may take to arrive where nothing else is said: as long as the API server waits for an answer, unless told.
pub(super) const MAX_TIME: Duration = Duration::from_secs(10);

/// What decides.
#[derive(Debug)]
struct Decider {
    policy: PodPolicy,
    metrics: Metrics,
    /// How long a question may take to arrive.
    time: Duration,
}

pub(super) fn router(policy: PodPolicy, metrics: Metrics, time: Duration) -> Router {
    Router::new().route("/mutate/pod-enforcement", post(answer)).with_state(Arc::new(Decider {
        policy,
        metrics,
        time,
    }))
}

async fn answer(State(decider): State<Arc<Decider>>, request: Request<Body>) -> Response {
    let body = match timeout(decider.time, to_bytes(request.into_body(), MAX_BODY)).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => {
            decider.metrics.admitted(None);
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, &error);
        }
        Err(_) => {
            decider.metrics.admitted(None);
            return refuse(StatusCode::REQUEST_TIMEOUT, &"it took too long to arrive");
        }
    };
    match review(&body, &decider.policy) {
        Ok(reviewed) => {
            decider.metrics.admitted(Some(reviewed.outcome));
            let (pod, outcome) = (&reviewed.pod, reviewed.outcome.as_str());
            match reviewed.outcome {
                Outcome::Untouched | Outcome::Patched => {
                    tracing::debug!(pod, outcome, "a pod was let in");
                }
                Outcome::Refused => {
                    tracing::warn!(pod, outcome, why = reviewed.denied, "a pod was denied");
                }
                // Why may quote the pod, and that a secret.
                Outcome::Undecodable => tracing::warn!(pod, outcome, "a pod was denied"),
            }
            Json(reviewed.answer).into_response()
        }
        Err(error) => {
            decider.metrics.admitted(None);
            let status = match error {
                NotAReview::Unanswerable(_) => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::BAD_REQUEST,
            };
            tracing::warn!(status = status.as_u16(), %error, "a question about a pod was not answered");
            // Its cause may quote what was sent, so only who sent it is told.
            (status, format!("{}\n", crate::chain(&error))).into_response()
        }
    }
}

/// To who sends something else, or more slowly, than an API server does.
fn refuse(status: StatusCode, why: &dyn std::fmt::Display) -> Response {
    tracing::warn!(status = status.as_u16(), %why, "a question about a pod was not answered");
    (status, format!("{why}\n")).into_response()
}
