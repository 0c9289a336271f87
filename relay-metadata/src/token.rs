//! Callers that present a token: sample mode and the embedded engine.

use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use async_trait::async_trait;
use relay_core::{
    Action, AuthenticateError, Authenticator, Caller, Claims, Clock, Presented, Stores,
    SystemClock, TokenError, TokenVerifier,
};

use crate::error::Chain;

/// Accepts requests with a token that a [`TokenVerifier`] trusts, and gives each caller the stores
/// that [`CallerStores`] has for it.
#[derive(Clone, Debug)]
pub struct TokenAuthenticator {
    verifier: Arc<dyn TokenVerifier>,
    stores: Arc<dyn CallerStores>,
    clock: Arc<dyn Clock>,
}

/// Finds the stores of a caller. A map of stores by action is one.
#[async_trait]
pub trait CallerStores: Send + Sync + fmt::Debug {
    /// The stores of this action. The claims are verified and name this very action; they tell
    /// where its data is.
    ///
    /// # Errors
    ///
    /// [`AuthenticateError::Refused`] where the action is not known (any more);
    /// [`AuthenticateError::Backend`] where that cannot be said.
    async fn stores(&self, action: &Action, claims: &Claims) -> Result<Stores, AuthenticateError>;
}

#[async_trait]
impl<S: BuildHasher + Send + Sync> CallerStores for HashMap<Action, Stores, S> {
    async fn stores(&self, action: &Action, _: &Claims) -> Result<Stores, AuthenticateError> {
        let stores = self.get(action).cloned();
        stores.ok_or_else(|| AuthenticateError::refused("no such step or trigger"))
    }
}

impl TokenAuthenticator {
    /// Accepts what this verifier trusts.
    #[must_use]
    pub fn new(verifier: Arc<dyn TokenVerifier>, stores: Arc<dyn CallerStores>) -> Self {
        Self { verifier, stores, clock: Arc::new(SystemClock) }
    }

    /// The same on another clock, which decides whether a token is valid now.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }
}

#[async_trait]
impl Authenticator for TokenAuthenticator {
    async fn authenticate(&self, presented: &Presented) -> Result<Caller, AuthenticateError> {
        let token = presented.token.as_ref();
        let token = token.ok_or_else(|| AuthenticateError::refused("no token was presented"))?;
        let claims = self.verifier.verify(token).await.map_err(|error| match error {
            TokenError::Refused(_) => AuthenticateError::refused(Chain(&error)),
            error => AuthenticateError::Backend(Box::new(error)),
        })?;
        let action = claims.action().map_err(AuthenticateError::refused)?;
        claims.check_time(self.clock.now()).map_err(AuthenticateError::refused)?;
        let stores = self.stores.stores(&action, &claims).await?;
        Ok(Caller { action, stores, expires_at: claims.end() })
    }
}
