//! Whom to believe that an address of `https` is the metadata API.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// The environment variable with certificates to trust, as PEM.
pub const CA: &str = "METADATA_API_CA";
/// The environment variable that names a file with certificates to trust, as PEM.
pub const CA_FILE: &str = "METADATA_API_CA_FILE";
/// The same for all programs that use TLS.
const SYSTEM_FILE: &str = "SSL_CERT_FILE";

/// Whom to trust beside the public authorities, which are compiled in: an image may have none.
///
/// Nothing is read or parsed before an address of `https` asks for it.
#[derive(Clone, Debug, Default)]
pub struct Authorities {
    text: Option<OsString>,
    file: Option<PathBuf>,
    system_file: Option<PathBuf>,
}

/// Certificates that cannot be trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthoritiesError {
    /// A file cannot be read.
    #[error("the certificates in {path}, which {CA_FILE} names, cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// The failure.
        #[source]
        source: io::Error,
    },
    /// There are none.
    #[error("{variable} holds no PEM of certificates")]
    Pem {
        /// The variable that says where they are.
        variable: &'static str,
    },
    /// TLS cannot be spoken here.
    #[error("TLS cannot be used")]
    Tls(#[from] rustls::Error),
}

impl Authorities {
    /// Those that these variables name: [`CA`], [`CA_FILE`] and `SSL_CERT_FILE`. An empty one is as
    /// good as none.
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        Self {
            text: set(CA),
            file: set(CA_FILE).map(PathBuf::from),
            system_file: set(SYSTEM_FILE).map(PathBuf::from),
        }
    }

    /// How to speak with those who show a certificate of one of these.
    pub(super) fn config(&self) -> Result<ClientConfig, AuthoritiesError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(text) = &self.text {
            add(&mut roots, text.as_encoded_bytes(), CA)?;
        }
        if let Some(path) = &self.file {
            let pem = std::fs::read(path)
                .map_err(|source| AuthoritiesError::Read { path: path.clone(), source })?;
            add(&mut roots, &pem, CA_FILE)?;
        }
        // It may come from the image, and speak of a file that is elsewhere.
        if let Some(pem) = self.system_file.as_ref().and_then(|path| std::fs::read(path).ok()) {
            let certificates = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok);
            roots.add_parsable_certificates(certificates);
        }
        // Not the one of the process: which that is depends on who else is built in.
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(config)
    }
}

fn add(
    roots: &mut RootCertStore,
    pem: &[u8],
    variable: &'static str,
) -> Result<(), AuthoritiesError> {
    let wrong = || AuthoritiesError::Pem { variable };
    let mut added = false;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| wrong())?;
        roots.add(certificate).map_err(|_| wrong())?;
        added = true;
    }
    if added { Ok(()) } else { Err(wrong()) }
}
