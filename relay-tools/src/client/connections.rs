//! Open connections.

use std::fmt;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// Connections fit for the API: no proxy, since the API knows a pod by its address; no redirects,
/// since credentials are for one host only; and no TLS. Clones share them.
#[derive(Clone)]
pub struct Connections(pub(super) Client<HttpConnector, Full<Bytes>>);

impl Connections {
    /// None are open yet.
    #[must_use]
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        // Requests are small, and each is waited for.
        connector.set_nodelay(true);
        let mut builder = Client::builder(TokioExecutor::new());
        Self(builder.pool_timer(TokioTimer::new()).build(connector))
    }
}

impl Default for Connections {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}
