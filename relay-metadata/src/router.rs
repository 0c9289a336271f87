//! The service itself: the table of routes inside the layers that every request passes.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use axum::routing::future::RouteFuture;
use relay_core::{Authenticator, Clock, SystemClock};
use tower::{BoxError, Service};

use crate::metrics::Metrics;
use crate::reported::Reported;
use crate::routes::table;
use crate::schemas::StepSchemas;

/// The metadata API as a [`tower::Service`]; see the [crate] for an example.
///
/// Clones share everything. To mount it in a server of your own, turn it into an [`axum::Router`]
/// with `into`. A server that identifies callers by their address has to tell it, as
/// [`axum::extract::ConnectInfo`] with a [`SocketAddr`](std::net::SocketAddr) in the request's
/// extensions; [`Router::serve`] does.
#[derive(Clone)]
pub struct Router {
    app: App,
    service: axum::Router,
}

/// How much of everything one request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest body, in bytes; above, 413.
    pub body_size: usize,
    /// How long a body may take to arrive; afterwards, 408.
    pub body_time: Duration,
    /// How long a request may take in all; afterwards, 503.
    pub request_time: Duration,
}

impl Default for Limits {
    /// 1 MiB, 10 s, 30 s.
    fn default() -> Self {
        Self {
            body_size: 1 << 20,
            body_time: Duration::from_secs(10),
            request_time: Duration::from_secs(30),
        }
    }
}

/// What all requests share, behind one pointer.
pub(crate) type App = Arc<Shared>;

/// What all requests share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) reported: Arc<Reported>,
    pub(crate) metrics: Metrics,
    pub(crate) schemas: Option<StepSchemas>,
    pub(crate) trusted_hops: usize,
}

impl Router {
    /// The API for those whom this authenticator accepts.
    #[must_use]
    pub fn new(authenticator: Arc<dyn Authenticator>) -> Self {
        Self::of(Shared {
            authenticator,
            clock: Arc::new(SystemClock),
            limits: Limits::default(),
            reported: Arc::default(),
            metrics: Metrics::default(),
            schemas: None,
            trusted_hops: 0,
        })
    }

    /// The same on another clock: it decides when credentials end, and what `now()` is in
    /// expressions.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self::of(Shared { clock, ..(*self.app).clone() })
    }

    /// What it counts, which clones share.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.app.metrics.clone()
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self::of(Shared { limits, ..(*self.app).clone() })
    }

    /// The same behind this many proxies that each add the address of their client to
    /// `X-Forwarded-For`. A caller's address is the entry that the outermost of them made, counted
    /// from the right; a request with fewer entries has none. With 0, as from the start, the address
    /// is that of the connection, and no header matters.
    #[must_use]
    pub fn with_trusted_hops(self, trusted_hops: usize) -> Self {
        Self::of(Shared { trusted_hops, ..(*self.app).clone() })
    }

    /// The same, which checks specs against these schemas when steps ask for it.
    #[must_use]
    pub fn with_schemas(self, schemas: StepSchemas) -> Self {
        Self::of(Shared { schemas: Some(schemas), ..(*self.app).clone() })
    }

    fn of(shared: Shared) -> Self {
        let app = Arc::new(shared);
        let service = table(&app);
        Self { app, service }
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").field("app", &self.app).finish_non_exhaustive()
    }
}

impl From<Router> for axum::Router {
    fn from(router: Router) -> Self {
        router.service
    }
}

impl<B> Service<Request<B>> for Router
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = RouteFuture<Infallible>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<Body>>::poll_ready(&mut self.service, context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.service.call(request)
    }
}
