//! TLS from files, which are read again when they change: certificates end before processes do.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::zeroize::Zeroizing;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;

use crate::followed::{Followed, Source};
use crate::metrics::Metrics;

/// How long a client may take to agree on keys.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A certificate chain and its key, in two PEM files.
#[derive(Clone)]
pub struct Tls {
    provider: Arc<CryptoProvider>,
    current: Arc<Followed<Files>>,
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
}

/// Why no certificate can be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("could not read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The failure.
        #[source]
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{path} holds no PEM of {what}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// Certificate and key cannot be used, or not together.
    #[error("the certificate and its key cannot be used")]
    Unusable(#[source] rustls::Error),
}

/// What the files say.
type Contents = (Vec<u8>, Zeroizing<Vec<u8>>);

impl Source for Files {
    type Contents = Contents;
    type Value = CertifiedKey;
    type Error = TlsError;

    fn name(&self) -> &'static str {
        "certificate"
    }

    fn read(&self) -> Result<Contents, TlsError> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|source| TlsError::Read { path: path.clone(), source })
        };
        Ok((read(&self.certificate)?, Zeroizing::new(read(&self.key)?)))
    }

    fn parse(&self, contents: &Contents) -> Result<CertifiedKey, TlsError> {
        let wrong = |path: &PathBuf, what| TlsError::Pem { path: path.clone(), what };
        let chain = CertificateDer::pem_slice_iter(&contents.0)
            .collect::<Result<Vec<_>, _>>()
            .ok()
            .filter(|chain| !chain.is_empty())
            .ok_or_else(|| wrong(&self.certificate, "certificates"))?;
        let key = PrivateKeyDer::from_pem_slice(&contents.1)
            .map_err(|_| wrong(&self.key, "a private key"))?;
        CertifiedKey::from_der(chain, key, &self.provider).map_err(TlsError::Unusable)
    }
}

impl Tls {
    /// Reads the files once; [`Tls::follow`] goes on with that.
    ///
    /// # Errors
    ///
    /// When they hold no certificate and the key that belongs to it.
    pub fn from_files(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let files = Files {
            certificate: certificate.into(),
            key: key.into(),
            provider: Arc::clone(&provider),
        };
        Ok(Self { provider, current: Arc::new(Followed::new(files)?) })
    }

    /// Looks at the files again and again, for ever, and takes over what has changed. If they cannot
    /// be used, the certificate before goes on being shown, and log and numbers say so.
    pub async fn follow(self, metrics: Metrics) {
        self.current.follow(&metrics).await;
    }

    pub(crate) fn acceptor(&self) -> Result<Acceptor, TlsError> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.current) as _);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Acceptor(TlsAcceptor::from(Arc::new(config))))
    }
}

/// Agrees on keys with clients.
#[derive(Clone)]
pub(crate) struct Acceptor(TlsAcceptor);

impl Acceptor {
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        tokio::time::timeout(HANDSHAKE, self.0.accept(stream)).await?
    }
}

impl ResolvesServerCert for Followed<Files> {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("current", &self.current).finish_non_exhaustive()
    }
}
