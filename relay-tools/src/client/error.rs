//! What can go wrong between a step and the metadata API.

use std::error::Error;
use std::io;

use http::{Method, StatusCode};
use rustls::CertificateError;
use serde_json::Value;

use super::{AddressError, AuthoritiesError, CA_FILE};

/// A request that brought no usable answer.
///
/// Messages name method and path, never the host's user information, the query or the body.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The URL of the API is unusable.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Certificates that are to be trusted are unusable.
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
    /// The API does not show a certificate that can be trusted.
    #[error("the metadata API at {address} cannot be trusted: {problem}")]
    Untrusted {
        /// The address, without credentials.
        address: String,
        /// What is wrong with its certificate, and what to do about that.
        problem: String,
    },
    /// A name which no path can carry: empty, `.` or `..`.
    #[error("{name:?} cannot be used as a name")]
    Name {
        /// The name as given.
        name: String,
    },
    /// No complete answer: refused, cut off, or too slow.
    #[error("{method} {path}: no answer from the metadata API")]
    Connection {
        /// The HTTP method.
        method: Method,
        /// The path of the request.
        path: String,
        /// What the HTTP client says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// An answer with another status than the one which means success.
    #[error("{method} {path}: {status}{}", detail(.message))]
    Status {
        /// The HTTP method.
        method: Method,
        /// The path of the request.
        path: String,
        /// The status of the answer.
        status: StatusCode,
        /// The API's own explanation; empty if it gave none.
        message: String,
    },
    /// A body that is not what the API promises.
    #[error("{method} {path}: the answer cannot be read: {reason}")]
    Body {
        /// The HTTP method.
        method: Method,
        /// The path of the request.
        path: String,
        /// What is wrong, without the body.
        reason: String,
    },
}

impl ClientError {
    /// The status of the answer, if there was one and it was the reason.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The error and its causes in one line, for a message to a person.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// What is wrong with the certificate that was shown, if that is what an error comes from.
pub(super) fn distrust(error: &(dyn Error + 'static)) -> Option<String> {
    let rustls::Error::InvalidCertificate(problem) = cause(error)? else { return None };
    Some(match problem {
        // Two authorities may have the same name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
            "its certificate comes from an authority that is not known here; set {CA_FILE} to a file \
             with that authority's certificate as PEM (for the steps of a cluster, start the operator \
             with --metadata-api-ca-file)"
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired".to_owned()
        }
        other => format!("its certificate is not good: {other}"),
    })
}

/// What TLS says, if anything.
fn cause<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // Of what an error of I/O was made from it shows the source alone.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = inner.map(|inner| inner as _).or_else(|| error.source());
    }
    None
}

/// An error and its causes, separated by colons.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        // Many errors repeat their cause in their own text.
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = next.source();
    }
    text
}

fn detail(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

/// The readable part of an error answer: the envelope's text, else a short body as it is.
pub(super) fn explanation(body: &[u8]) -> String {
    const LONGEST: usize = 1000;
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(envelope) => ["/error/formatted/friendly", "/error/title", "/error/code"]
            .iter()
            .find_map(|member| envelope.pointer(member)?.as_str())
            .unwrap_or_default()
            .to_owned(),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    text.trim().chars().take(LONGEST).collect()
}
