//! What can go wrong with a registry, in words for the author of a workflow: without addresses, which
//! may hold tokens.

use thiserror::Error;

#[derive(Debug, Error)]
pub(super) enum Problem {
    #[error("its registry does not answer")]
    Silent,
    #[error("its registry cannot be reached")]
    Unreachable,
    #[error("its registry broke off")]
    BrokenOff,
    #[error("its registry is too slow")]
    Slow,
    #[error("its registry answered {0}")]
    Answered(u16),
    #[error("its registry is asked too often")]
    Busy,
    #[error("its registry has no such image")]
    Unknown,
    #[error("its registry wants another login, or has no such image")]
    Refused,
    #[error("its {0} is too large")]
    TooLarge(&'static str),
    #[error("its {0} is not what its digest says")]
    Corrupt(&'static str),
    #[error("it is not there for processors of the kind {0}")]
    OtherProcessor(String),
    #[error("its registry's answer is not understood")]
    Strange,
    #[error("no registry can be asked for want of trusted certificates")]
    NoClient,
}

impl Problem {
    /// Whether it may be over soon.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::Silent | Self::Unreachable | Self::BrokenOff | Self::Slow | Self::Busy => true,
            Self::Answered(status) => *status >= 500,
            _ => false,
        }
    }

    /// Whether another login may do better.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused)
    }
}

impl From<reqwest::Error> for Problem {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::Silent
        } else if error.is_connect() {
            Self::Unreachable
        } else if error.is_request() || error.is_body() || error.is_decode() {
            Self::BrokenOff
        } else {
            Self::Strange
        }
    }
}
