//! TLS with a certificate that can be changed while it is shown: certificates end before processes
//! do. It comes from files, which are read again, or from whoever holds one.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
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

/// What is shown to clients: a certificate chain, whose key is known. Clones share it.
#[derive(Clone, Debug)]
pub struct Tls {
    provider: Arc<CryptoProvider>,
    shown: Arc<dyn ResolvesServerCert>,
}

/// A certificate chain and its key, in two PEM files.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    provider: Arc<CryptoProvider>,
    files: Arc<Followed<Files>>,
}

/// A certificate chain and its key, which their holder replaces. Clones share them.
#[derive(Clone, Debug)]
pub struct TlsPair {
    provider: Arc<CryptoProvider>,
    current: Arc<Current>,
}

/// A pair, with what it was read from.
struct Current(RwLock<(Contents, Arc<CertifiedKey>)>);

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
    /// What should be PEM is something else.
    #[error("{place} holds no PEM of {what}")]
    Pem {
        /// Where it was read: a file, or its part of a pair.
        place: String,
        /// What it should hold.
        what: &'static str,
    },
    /// Certificate and key cannot be used, or not together.
    #[error("the certificate and its key cannot be used")]
    Unusable(#[source] rustls::Error),
}

/// A chain and its key, as PEM.
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
        let place = |path: &PathBuf| path.display().to_string();
        parse(contents, [place(&self.certificate), place(&self.key)], &self.provider)
    }
}

fn parse(
    (certificate, key): &Contents,
    [certificate_place, key_place]: [String; 2],
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let chain = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<Vec<_>, _>>()
        .ok()
        .filter(|chain| !chain.is_empty())
        .ok_or(TlsError::Pem { place: certificate_place, what: "certificates" })?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| TlsError::Pem { place: key_place, what: "a private key" })?;
    CertifiedKey::from_der(chain, key, provider).map_err(TlsError::Unusable)
}

impl TlsFiles {
    /// Reads the files once; [`TlsFiles::follow`] goes on with that.
    ///
    /// # Errors
    ///
    /// When they hold no certificate and the key that belongs to it.
    pub fn read(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let files = Files {
            certificate: certificate.into(),
            key: key.into(),
            provider: Arc::clone(&provider),
        };
        Ok(Self { provider, files: Arc::new(Followed::new(files)?) })
    }

    /// What they hold, which changes when they do as long as they are followed.
    #[must_use]
    pub fn tls(&self) -> Tls {
        Tls { provider: Arc::clone(&self.provider), shown: Arc::clone(&self.files) as _ }
    }

    /// Looks at the files again and again, for ever, and takes over what has changed. If they cannot
    /// be used, the certificate before goes on being shown, and log and numbers say so.
    pub async fn follow(self, metrics: Metrics) {
        self.files.follow(&metrics).await;
    }
}

impl TlsPair {
    /// A chain, its end first, and its key, both as PEM.
    ///
    /// # Errors
    ///
    /// When they are something else, or do not belong together.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let contents = (certificate.to_vec(), Zeroizing::new(key.to_vec()));
        let parsed = Arc::new(parse(&contents, Self::places(), &provider)?);
        let current = Arc::new(Current(RwLock::new((contents, parsed))));
        Ok(Self { provider, current })
    }

    /// Shows another one from now on, to connections that are made from now on. Returns whether it
    /// is another one.
    ///
    /// # Errors
    ///
    /// When it cannot be used; then nothing has changed.
    pub fn replace(&self, certificate: &[u8], key: &[u8]) -> Result<bool, TlsError> {
        let contents = (certificate.to_vec(), Zeroizing::new(key.to_vec()));
        let known = self.current.0.read().unwrap_or_else(PoisonError::into_inner).0 == contents;
        if known {
            return Ok(false);
        }
        let parsed = Arc::new(parse(&contents, Self::places(), &self.provider)?);
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = (contents, parsed);
        Ok(true)
    }

    /// What is shown, which changes when it is replaced.
    #[must_use]
    pub fn tls(&self) -> Tls {
        Tls { provider: Arc::clone(&self.provider), shown: Arc::clone(&self.current) as _ }
    }

    fn places() -> [String; 2] {
        ["the certificate".to_owned(), "the key".to_owned()]
    }
}

impl Tls {
    pub(crate) fn acceptor(&self) -> Result<Acceptor, TlsError> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.shown));
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

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current.1))
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}
