//! Open connections.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Builder, Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::{Authorities, AuthoritiesError};

/// Connections fit for the API: no proxy, since the API knows a pod by its address; and no redirects,
/// since credentials are for one host only. Clones share them.
#[derive(Clone)]
pub struct Connections(Arc<Shared>);

struct Shared {
    plain: Client<HttpConnector, Full<Bytes>>,
    /// Made when an address asks for it: most are plain, and a step is to start at once.
    safe: OnceLock<Safe>,
    authorities: Authorities,
}

type Safe = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

impl Connections {
    /// None are open yet. Of TLS, public authorities are trusted.
    #[must_use]
    pub fn new() -> Self {
        Self::trusting(Authorities::default())
    }

    /// The same, and these are trusted as well.
    #[must_use]
    pub fn trusting(authorities: Authorities) -> Self {
        let plain = builder().build(connector());
        Self(Arc::new(Shared { plain, safe: OnceLock::new(), authorities }))
    }

    /// Gets ready for TLS.
    pub(super) fn with_tls(&self) -> Result<(), AuthoritiesError> {
        self.safe().map(drop)
    }

    fn safe(&self) -> Result<&Safe, AuthoritiesError> {
        let Shared { safe, authorities, .. } = &*self.0;
        if let Some(safe) = safe.get() {
            return Ok(safe);
        }
        let mut plain = connector();
        plain.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(authorities.config()?)
            .https_only()
            .enable_http1()
            .wrap_connector(plain);
        Ok(safe.get_or_init(|| builder().build(connector)))
    }

    pub(super) async fn request(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Failed> {
        if request.uri().scheme() == Some(&http::uri::Scheme::HTTPS) {
            return Ok(self.safe()?.request(request).await?);
        }
        Ok(self.0.plain.request(request).await?)
    }
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
    #[error(transparent)]
    Request(#[from] Error),
}

fn builder() -> Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new());
    builder
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    // Requests are small, and each is waited for.
    connector.set_nodelay(true);
    connector
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
