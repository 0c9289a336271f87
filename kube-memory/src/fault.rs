//! Faults on purpose, and a record of what was asked.

use crate::request::Verb;
use std::sync::Arc;
use std::time::Duration;

/// What a request asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestInfo {
    /// The number of the request, from 1 on, in order of arrival.
    pub number: u64,
    /// What was to be done.
    pub verb: Verb,
    /// The API group, empty for the core group.
    pub group: String,
    /// The resource in the plural, such as `configmaps`.
    pub resource: String,
    /// The namespace, for objects that live in one.
    pub namespace: Option<String>,
    /// The object, where the path names one.
    pub name: Option<String>,
    /// Such as `status`.
    pub subresource: Option<String>,
    /// The field manager, where the query names one.
    pub manager: Option<String>,
    /// Nothing was to be stored.
    pub dry_run: bool,
}

/// Something that goes wrong with one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    pub(crate) kind: FaultKind,
    pub(crate) after: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FaultKind {
    Status { code: u16, reason: String, message: String, retry_after: Option<u32> },
    Reset,
    Delay(Duration),
}

impl Fault {
    /// The API answers with an error, such as 503 and `ServiceUnavailable`.
    #[must_use]
    pub fn status(code: u16, reason: &str, message: &str) -> Self {
        Self {
            kind: FaultKind::Status {
                code,
                reason: reason.to_owned(),
                message: message.to_owned(),
                retry_after: None,
            },
            after: false,
        }
    }

    /// The API asks the caller to come back after some seconds (429).
    #[must_use]
    pub fn too_many_requests(retry_after_seconds: u32) -> Self {
        Self {
            kind: FaultKind::Status {
                code: 429,
                reason: "TooManyRequests".to_owned(),
                message: "the server has received too many requests and has asked us to try again \
                          later"
                    .to_owned(),
                retry_after: Some(retry_after_seconds),
            },
            after: false,
        }
    }

    /// The connection breaks.
    #[must_use]
    pub fn reset() -> Self {
        Self { kind: FaultKind::Reset, after: false }
    }

    /// The request takes that much longer, and then goes on as usual.
    #[must_use]
    pub fn delay(time: Duration) -> Self {
        Self { kind: FaultKind::Delay(time), after: false }
    }

    /// The fault strikes after the request was carried out: the caller does not learn of it.
    #[must_use]
    pub fn after_the_write(mut self) -> Self {
        self.after = true;
        self
    }
}

/// Decides which request meets a fault.
pub(crate) type Faults = Arc<dyn Fn(&RequestInfo) -> Option<Fault> + Send + Sync>;
