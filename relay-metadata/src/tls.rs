//! TLS with a certificate that can be changed while it is shown: certificates end before processes
//! do. It comes from files, which are read again, or from whoever holds one.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
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

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(10);
/// How long a client may take to agree on keys.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A certificate chain and its key. Clones share them.
#[derive(Clone)]
pub struct Tls {
    provider: Arc<CryptoProvider>,
    current: Arc<Current>,
}

/// The same in two PEM files.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
    tls: Tls,
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

/// What is shown to clients, with what it was read from.
struct Current(RwLock<(Contents, Arc<CertifiedKey>)>);

const CERTIFICATES: &str = "certificates";
const KEY: &str = "a private key";

impl Tls {
    /// A chain, its end first, and its key, both as PEM.
    ///
    /// # Errors
    ///
    /// When they are something else, or do not belong together.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let contents = (certificate.to_vec(), Zeroizing::new(key.to_vec()));
        let parsed = Arc::new(parse(&contents, &provider)?);
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
        let known = {
            let current = self.current.0.read().unwrap_or_else(PoisonError::into_inner);
            let (known_certificate, known_key) = &current.0;
            known_certificate == certificate && **known_key == key
        };
        if known {
            return Ok(false);
        }
        let contents = (certificate.to_vec(), Zeroizing::new(key.to_vec()));
        let parsed = Arc::new(parse(&contents, &self.provider)?);
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = (contents, parsed);
        Ok(true)
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
        let (certificate, key) = (certificate.into(), key.into());
        let (chain, secret) = (contents(&certificate)?, contents(&key)?);
        let tls =
            Tls::from_pem(&chain, &secret).map_err(|error| located(error, &certificate, &key))?;
        Ok(Self { certificate, key, tls })
    }

    /// What they hold, which changes when they do as long as they are followed.
    #[must_use]
    pub fn tls(&self) -> Tls {
        self.tls.clone()
    }

    /// Looks at the files again and again, for ever, and takes over what has changed. What cannot be
    /// used is logged, and the certificate before it goes on being shown.
    pub async fn follow(self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            match self.reload() {
                Ok(true) => tracing::info!("a new certificate is in use"),
                Ok(false) => {}
                Err(error) => {
                    let error = crate::error::Chain(&error);
                    tracing::error!(%error, "the certificate stays as it was");
                }
            }
        }
    }

    /// Whether there was something new.
    fn reload(&self) -> Result<bool, TlsError> {
        let (chain, secret) = (contents(&self.certificate)?, contents(&self.key)?);
        let replaced = self.tls.replace(&chain, &secret);
        replaced.map_err(|error| located(error, &self.certificate, &self.key))
    }
}

fn contents(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let read = std::fs::read(path).map(Zeroizing::new);
    read.map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

/// The same error with the file that it is about.
fn located(error: TlsError, certificate: &Path, key: &Path) -> TlsError {
    match error {
        TlsError::Pem { what, .. } => {
            let path = if what == CERTIFICATES { certificate } else { key };
            TlsError::Pem { place: path.display().to_string(), what }
        }
        other => other,
    }
}

fn parse(contents: &Contents, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let wrong = |place: &str, what| TlsError::Pem { place: place.to_owned(), what };
    let chain = CertificateDer::pem_slice_iter(&contents.0)
        .collect::<Result<Vec<_>, _>>()
        .ok()
        .filter(|chain| !chain.is_empty())
        .ok_or_else(|| wrong("the certificate", CERTIFICATES))?;
    let key = PrivateKeyDer::from_pem_slice(&contents.1).map_err(|_| wrong("the key", KEY))?;
    CertifiedKey::from_der(chain, key, provider).map_err(TlsError::Unusable)
}

/// Agrees on keys with clients.
#[derive(Clone)]
pub(crate) struct Acceptor(TlsAcceptor);

impl Acceptor {
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        tokio::time::timeout(HANDSHAKE, self.0.accept(stream)).await?
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

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
