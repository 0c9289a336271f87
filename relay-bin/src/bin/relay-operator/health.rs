//! What a kubelet and Prometheus ask.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use relay_reconcile::telemetry::Metrics;

use crate::{Failure, listen};

/// Whether the process has what it needs, to be told and asked by its parts.
#[derive(Clone, Debug)]
pub(crate) struct Readiness(Arc<Mutex<Option<&'static str>>>);

impl Readiness {
    pub(crate) fn waiting_for(what: &'static str) -> Self {
        Self(Arc::new(Mutex::new(Some(what))))
    }

    /// What is waited for now; nothing when the process is ready.
    pub(crate) fn set(&self, waiting_for: Option<&'static str>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = waiting_for;
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.waits_for().is_none()
    }

    fn waits_for(&self) -> Option<&'static str> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers on this port until the process ends.
pub(crate) async fn serve(
    port: u16,
    readiness: Readiness,
    metrics: Metrics,
) -> Result<(), Failure> {
    let failed = |error| Failure(format!("could not listen on port {port}: {error}"));
    let listener = listen::on_all(port).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    tracing::info!(%addr, "listening for /healthz, /readyz and /metrics");
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready).with_state(readiness))
        .route("/metrics", get(numbers).with_state(metrics));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(())
}

async fn ready(State(readiness): State<Readiness>) -> Response {
    match readiness.waits_for() {
        None => "ready\n".into_response(),
        Some(what) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for {what}\n")).into_response()
        }
    }
}

async fn numbers(State(metrics): State<Metrics>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match metrics.encode() {
        Ok(page) => ([(header::CONTENT_TYPE, OPEN_METRICS)], page).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
