//! Scripts at addresses (`workflow-file.md` §3.1): over HTTP, whole, and within limits.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tower::{ServiceBuilder, ServiceExt as _};
use tower_http::follow_redirect::FollowRedirectLayer;
use tower_http::follow_redirect::policy::{Action, Attempt, Policy};

/// How many redirects are followed.
const REDIRECTS: usize = 5;

/// What an address may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Until the last byte.
    pub(crate) time: Duration,
    /// In bytes.
    pub(crate) size: usize,
}

impl Default for Limits {
    /// A script becomes part of an object that an API server takes, which is no larger.
    fn default() -> Self {
        Self { time: Duration::from_secs(30), size: 1 << 20 }
    }
}

/// Why a script could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("it is no address: {0}")]
    Address(#[from] http::uri::InvalidUri),
    #[error("only http and https addresses can be fetched")]
    Scheme,
    #[error(
        "an address with a user or a password in it is not fetched; save the script beside the workflow"
    )]
    Credentials,
    #[error("certificates cannot be checked: {0}")]
    Tls(#[from] rustls::Error),
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("it redirects more than {REDIRECTS} times")]
    Redirects,
    #[error("it redirects to {0}, which is not followed")]
    RedirectTo(Uri),
    #[error("the server answered {0}; 200 is expected")]
    Status(StatusCode),
    #[error("it has more than {0} bytes")]
    TooLarge(usize),
    #[error("it has not come within {0:?}")]
    TimedOut(Duration),
    #[error("it broke off: {0}")]
    Broken(String),
    #[error("it is not UTF-8")]
    Encoding,
}

/// Fetches scripts.
#[derive(Clone, Debug)]
pub(crate) struct Fetcher {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    limits: Limits,
}

impl Fetcher {
    /// A fetcher that trusts the certificates which this machine trusts. Where it has none, only
    /// addresses without TLS can be fetched.
    pub(crate) fn new(limits: Limits) -> Result<Self, FetchError> {
        Self::trusting(rustls_native_certs::load_native_certs().certs, limits)
    }

    fn trusting(
        certificates: Vec<CertificateDer<'static>>,
        limits: Limits,
    ) -> Result<Self, FetchError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates);
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), limits })
    }

    /// The text at an address.
    pub(crate) async fn fetch(&self, address: &str) -> Result<String, FetchError> {
        // Addresses of other kinds need not have the form that these have.
        let scheme = address.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        if !matches!(scheme.as_deref(), Some("http" | "https")) {
            return Err(FetchError::Scheme);
        }
        let uri: Uri = address.parse()?;
        check(&uri)?;
        let Limits { time, size } = self.limits;
        let text = tokio::time::timeout(time, self.text(uri, size)).await;
        text.unwrap_or(Err(FetchError::TimedOut(time)))
    }

    async fn text(&self, uri: Uri, size: usize) -> Result<String, FetchError> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = uri;
        let client = ServiceBuilder::new()
            .layer(FollowRedirectLayer::with_policy(Redirects(0)))
            .map_err(|error| FetchError::Unreachable(chain(&error)))
            .service(self.client.clone());
        let response = client.oneshot(request).await?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), size).collect().await;
        let body = body.map_err(|error| match error.downcast::<LengthLimitError>() {
            Ok(_) => FetchError::TooLarge(size),
            Err(error) => FetchError::Broken(chain(&*error)),
        })?;
        String::from_utf8(body.to_bytes().into()).map_err(|_| FetchError::Encoding)
    }
}

fn check(uri: &Uri) -> Result<(), FetchError> {
    if uri.scheme() != Some(&Scheme::HTTP) && uri.scheme() != Some(&Scheme::HTTPS) {
        return Err(FetchError::Scheme);
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(FetchError::Credentials);
    }
    Ok(())
}

/// How many redirects were followed.
#[derive(Clone, Debug)]
struct Redirects(usize);

impl<B> Policy<B, FetchError> for Redirects {
    fn redirect(&mut self, attempt: &Attempt<'_>) -> Result<Action, FetchError> {
        self.0 += 1;
        if self.0 > REDIRECTS {
            return Err(FetchError::Redirects);
        }
        let (from, to) = (attempt.previous(), attempt.location());
        // What was asked for under protection is not taken without it.
        let gives_up_tls = from.scheme() == Some(&Scheme::HTTPS) && to.scheme() != from.scheme();
        if gives_up_tls || check(to).is_err() {
            return Err(FetchError::RedirectTo(to.clone()));
        }
        Ok(Action::Follow)
    }
}

/// An error with what is behind it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
