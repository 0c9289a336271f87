//! What is counted. Labels are routes and statuses, never names, so that their number is bounded.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::cluster::PodIndex;
use crate::routes::Route;

/// Requests by method, route and status, and how long they took.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Families>);

#[derive(Debug)]
struct Families {
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    reloads: Family<ReloadLabels, Counter>,
    outdated: Family<FilesLabels, Gauge>,
    keys: Family<FilesLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FilesLabels {
    files: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    files: &'static str,
    result: &'static str,
}

impl Default for Families {
    fn default() -> Self {
        let seconds = || Histogram::new([0.001, 0.0025, 0.01, 0.05, 0.25, 1.0, 5.0, 30.0]);
        Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            reloads: Family::default(),
            outdated: Family::default(),
            keys: Family::default(),
        }
    }
}

impl Metrics {
    /// Counts a request to this route; `None` where no route has the path.
    pub(crate) fn note(
        &self,
        method: &Method,
        route: Option<&Route>,
        status: StatusCode,
        took: Duration,
    ) {
        // Methods are the client's to make up.
        let method = match *method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::POST => "POST",
            Method::PUT => "PUT",
            _ => "other",
        };
        let route = route.map_or("unknown", Route::path);
        let labels = RouteLabels { route };
        self.0.seconds.get_or_create(&labels).observe(took.as_secs_f64());
        let labels = RequestLabels { method, route, status: status.as_u16() };
        self.0.requests.get_or_create(&labels).inc();
    }

    /// What is in use is what these files say; of so many keys, if they are that.
    pub(crate) fn files_read(&self, files: &'static str, keys: Option<usize>) {
        let labels = FilesLabels { files };
        self.0.outdated.get_or_create(&labels).set(0);
        if let Some(keys) = keys {
            self.0.keys.get_or_create(&labels).set(i64::try_from(keys).unwrap_or(i64::MAX));
        }
    }

    /// These files have changed, and can be used or not.
    pub(crate) fn files_changed(&self, files: &'static str, can_be_used: bool) {
        let result = if can_be_used { "ok" } else { "failed" };
        self.0.reloads.get_or_create(&ReloadLabels { files, result }).inc();
        let outdated = i64::from(!can_be_used);
        self.0.outdated.get_or_create(&FilesLabels { files }).set(outdated);
    }

    /// What operators ask, to be served on a port of its own: `/metrics` in the format of
    /// `OpenMetrics`, and `/readyz`, which says whether requests can be answered: in cluster mode
    /// once all pods are known, and while there is news of them. Neither asks who calls.
    pub fn router(&self, pods: Option<PodIndex>) -> axum::Router {
        let mut registry = Registry::with_prefix("relay_metadata");
        let Families { requests, seconds, reloads, outdated, keys } = self.0.as_ref();
        registry.register("requests", "Requests answered", requests.clone());
        let help = "How long requests took";
        registry.register_with_unit("request_duration", help, Unit::Seconds, seconds.clone());
        let help = "Attempts to take over keys and certificates that changed";
        registry.register("reloads", help, reloads.clone());
        let help = "1 while files say something that cannot be used, and what they said before is";
        registry.register("outdated", help, outdated.clone());
        registry.register("keys", "Keys in use", keys.clone());
        let known = Gauge::<i64>::default();
        if pods.is_some() {
            registry.register("pods", "Live pods that are known", known.clone());
        }
        let watched = Watched { registry: Arc::new(registry), pods, known };
        axum::Router::new()
            .route("/metrics", get(metrics))
            .route("/readyz", get(ready))
            .with_state(watched)
    }
}

#[derive(Clone)]
struct Watched {
    registry: Arc<Registry>,
    pods: Option<PodIndex>,
    known: Gauge,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("pods", &self.pods).finish_non_exhaustive()
    }
}

async fn metrics(State(watched): State<Watched>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    if let Some(pods) = &watched.pods {
        watched.known.set(i64::try_from(pods.len()).unwrap_or(i64::MAX));
    }
    let mut page = String::new();
    match text::encode(&mut page, &watched.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], page).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn ready(State(watched): State<Watched>) -> Response {
    match watched.pods {
        Some(pods) if !pods.is_ready() => {
            (StatusCode::SERVICE_UNAVAILABLE, "waiting for news of the pods\n").into_response()
        }
        _ => "ready\n".into_response(),
    }
}
