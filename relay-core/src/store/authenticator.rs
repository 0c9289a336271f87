use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;

use super::{Definition, EventSink, Journal, LogSink, RunLauncher, SecretStore};
use crate::action::Action;

/// What a request shows of its sender, without any trust in it.
#[derive(Clone, Debug, Default)]
pub struct Presented {
    /// The token of its `Authorization` header.
    pub token: Option<SecretString>,
    /// The address that it came from.
    pub address: Option<IpAddr>,
}

/// Makes a caller of a request. Production looks at the address, sample mode and the embedded
/// engine at the token.
///
/// ```
/// use async_trait::async_trait;
/// use relay_core::{AuthenticateError, Authenticator, Caller, Presented};
///
/// /// Knows nobody.
/// #[derive(Debug)]
/// struct Closed;
///
/// #[async_trait]
/// impl Authenticator for Closed {
///     async fn authenticate(&self, _: &Presented) -> Result<Caller, AuthenticateError> {
///         Err(AuthenticateError::refused("nobody is let in"))
///     }
/// }
/// ```
#[async_trait]
pub trait Authenticator: Send + Sync + fmt::Debug {
    /// The caller, with the stores that it may use.
    ///
    /// # Errors
    ///
    /// [`AuthenticateError::Refused`] for whatever is wrong with what was presented;
    /// [`AuthenticateError::Backend`] when nothing can be said of it.
    async fn authenticate(&self, presented: &Presented) -> Result<Caller, AuthenticateError>;
}

/// Who calls, and what it may use.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The step or trigger.
    pub action: Action,
    /// What tells it from others that are called the same, such as the UID of its pod: the steps of
    /// all tenants have names of one kind, and a run may be made again under its name.
    pub instance: Option<Arc<str>>,
    /// What it may use.
    pub stores: Stores,
    /// When its credential ends: checked on each request, also on a cached caller.
    pub expires_at: Option<Timestamp>,
}

/// What one caller may use. What is `None` is forbidden to it.
#[derive(Clone, Debug, Default)]
pub struct Stores {
    /// Its spec, environment, conditions and parameters.
    pub definition: Option<Arc<dyn Definition>>,
    /// Its run's outputs, state and statuses, as this caller sees them.
    pub journal: Option<Arc<dyn Journal>>,
    /// Its secrets and connections.
    pub secrets: Option<Arc<dyn SecretStore>>,
    /// Where its events go.
    pub events: Option<Arc<dyn EventSink>>,
    /// Where it starts other workflows.
    pub launcher: Option<Arc<dyn RunLauncher>>,
    /// Where its output goes.
    pub logs: Option<Arc<dyn LogSink>>,
    /// The image that it runs, as far as that is known.
    pub image: Option<String>,
}

/// Why a request has no caller. The cause is for the log, never for the answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthenticateError {
    /// The credential is missing or wrong.
    #[error("refused: {cause}")]
    Refused {
        /// What is wrong with it.
        cause: String,
    },
    /// The credential could not be checked.
    #[error("could not check the credential")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl AuthenticateError {
    /// A refusal with this cause.
    pub fn refused(cause: impl fmt::Display) -> Self {
        Self::Refused { cause: cause.to_string() }
    }
}
