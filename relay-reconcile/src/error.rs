//! Why a reconcile did not get through. It is tried again, later and later.

use std::time::Duration;

use kube::core::Status;

/// What failed, and on which object.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The API server refused a call, or could not be reached.
    #[error("could not {verb} {object}")]
    Api {
        /// What was being done.
        verb: &'static str,
        /// To which object.
        object: String,
        /// The failure.
        #[source]
        source: Box<kube::Error>,
    },
    /// A token could not be made.
    #[error("could not make the token of step {step:?}")]
    Token {
        /// The step.
        step: String,
        /// The failure.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A condition could not be evaluated because a store failed.
    #[error("could not evaluate the conditions of step {step:?}")]
    Store {
        /// The step.
        step: String,
        /// The failure.
        #[source]
        source: relay_core::StoreError,
    },
    /// A name could not be stored.
    #[error(transparent)]
    Refused(#[from] relay_core::StoreError),
    /// An object of an earlier run of the same name is still being deleted.
    #[error("{object} of an earlier run of this name is still being deleted")]
    LeftOver {
        /// The object.
        object: String,
    },
    /// Somebody else changes an object again and again.
    #[error("{object} does not stay as it is written")]
    Contended {
        /// The object.
        object: String,
    },
    /// The webhook's certificate could not be made.
    #[error("could not make a certificate")]
    Certificate(#[source] rcgen::Error),
    /// The code has a flaw.
    #[error("the reconcile panicked: {0}")]
    Panicked(String),
    /// The reconcile was given up.
    #[error("the reconcile took longer than {} s", .0.as_secs())]
    TooLong(Duration),
    /// An object lacks what the API server always sets.
    #[error("{0} has no name, namespace or UID")]
    Incomplete(&'static str),
}

impl Error {
    /// What kind of failure it is, in one word for programs.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Api { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => match status.code {
                    403 => "Forbidden",
                    404 => "NotFound",
                    409 => "Conflict",
                    429 => "TooManyRequests",
                    400 | 413 | 422 => "Refused",
                    _ => "ApiServer",
                },
                _ => "Connection",
            },
            Self::Token { .. } => "Token",
            Self::Store { .. } => "Store",
            Self::Refused(_) => "Name",
            Self::LeftOver { .. } => "LeftOver",
            Self::Contended { .. } => "Contended",
            Self::Certificate(_) => "Certificate",
            Self::Panicked(_) => "Panicked",
            Self::TooLong(_) => "TooLong",
            Self::Incomplete(_) => "Incomplete",
        }
    }

    /// The failure with its causes, on one line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        if let Self::Api { source, .. } = self
            && let kube::Error::Api(status) = source.as_ref()
        {
            // The error itself shows all that came with it, twice.
            return format!("{text}: {} ({})", status.message, status.reason);
        }
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
    /// An error of a call.
    pub(crate) fn api(
        verb: &'static str,
        object: impl Into<String>,
    ) -> impl FnOnce(kube::Error) -> Self {
        let object = object.into();
        move |source| Self::Api { verb, object, source: Box::new(source) }
    }
}

/// Whether an error is what an API server answers, and would answer again.
pub(crate) fn is_answer(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 400..=408 | 410..=428))
}

/// Whether an API server said that there is no such object.
pub(crate) fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// Whether an API server said that this may not be done.
pub(crate) fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

/// Whether an API server said that there is such an object already.
pub(crate) fn is_already_exists(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.reason == "AlreadyExists")
}

/// Whether an API server said that an object is not as it was thought to be.
pub(crate) fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.reason == "Conflict")
}

/// Whether an API server said that the object itself is wrong, so that trying again is no use.
pub(crate) fn is_refused(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status)
        if matches!(status.code, 400 | 403 | 413 | 422) && status.reason != "AlreadyExists")
}

/// Whether an API server, or etcd behind it, said that an object is too large.
pub(crate) fn is_too_large(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if says_too_large(status))
}

/// The same of its answer. That it is too large for etcd comes as an error of the server.
pub(crate) fn says_too_large(status: &Status) -> bool {
    let words = ["request is too large", "message larger than max"];
    status.code == 413 || words.iter().any(|words| status.message.contains(words))
}

/// Whether an API server said that the request itself makes no sense.
pub(crate) fn is_invalid(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 400 | 422))
}
