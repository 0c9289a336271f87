//! What can go wrong between a step and the metadata API.

use std::error::Error;

use http::{Method, StatusCode};
use serde_json::Value;

use super::AddressError;

/// A request that brought no usable answer.
///
/// Messages name method and path, never the host's user information, the query or the body.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The URL of the API is unusable.
    #[error(transparent)]
    Address(#[from] AddressError),
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
