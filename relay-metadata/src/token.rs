//! Callers that present a token: sample mode and the embedded engine.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use relay_core::{
    Action, AuthenticateError, Authenticator, Caller, Claims, Clock, Presented, Stores,
    SystemClock, TokenError, TokenVerifier,
};

use secrecy::{ExposeSecret as _, SecretString};

use crate::address::check_addresses;
use crate::error::Chain;

/// Accepts requests with a token that a [`TokenVerifier`] trusts, and gives each caller the stores
/// that [`CallerStores`] has for it.
///
/// That a token is trusted is kept for a minute; whether it is valid at this time, and what its
/// holder may use, is asked for each request.
#[derive(Clone, Debug)]
pub struct TokenAuthenticator {
    verifier: Arc<dyn TokenVerifier>,
    stores: Arc<dyn CallerStores>,
    clock: Arc<dyn Clock>,
    trusted: Arc<Trusted>,
}

/// How long a token is not verified again.
const RECENT: Duration = Duration::from_secs(60);
/// How many tokens are kept.
const MOST: usize = 1024;

/// The tokens that were verified a moment ago.
#[derive(Default)]
struct Trusted {
    hasher: RandomState,
    /// By a keyed hash of the token's signature, which says nothing of it.
    recent: RwLock<HashMap<u64, Arc<Recent>>>,
}

struct Recent {
    token: SecretString,
    verified: Instant,
    claims: Claims,
    action: Action,
    instance: Arc<str>,
}

impl Trusted {
    /// Signatures differ where tokens do, and are the shortest part.
    fn hash(&self, token: &SecretString) -> u64 {
        let token = token.expose_secret();
        self.hasher.hash_one(token.rsplit_once('.').map_or(token, |(_, signature)| signature))
    }

    fn get(&self, token: &SecretString) -> Option<Arc<Recent>> {
        let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner);
        let known = recent.get(&self.hash(token))?;
        let is_it = known.token.expose_secret() == token.expose_secret();
        (is_it && known.verified.elapsed() < RECENT).then(|| Arc::clone(known))
    }

    fn add(&self, known: &Arc<Recent>) {
        let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= MOST {
            recent.retain(|_, known| known.verified.elapsed() < RECENT);
        }
        if recent.len() >= MOST {
            recent.clear();
        }
        recent.insert(self.hash(&known.token), Arc::clone(known));
    }
}

impl fmt::Debug for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trusted").finish_non_exhaustive()
    }
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
        Self { verifier, stores, clock: Arc::new(SystemClock), trusted: Arc::default() }
    }

    /// The same on another clock, which decides whether a token is valid now.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    async fn verified(&self, token: &SecretString) -> Result<Arc<Recent>, AuthenticateError> {
        if let Some(known) = self.trusted.get(token) {
            return Ok(known);
        }
        let claims = self.verifier.verify(token).await.map_err(|error| match error {
            TokenError::Refused(_) => AuthenticateError::refused(Chain(&error)),
            error => AuthenticateError::Backend(Box::new(error)),
        })?;
        check_addresses(&claims)?;
        let action = claims.action().map_err(AuthenticateError::refused)?;
        let parts = [&claims.namespace_uid, &claims.namespace_name, &claims.mutable_config_map];
        let instance = parts.map(|part| part.as_deref().unwrap_or_default()).join("/").into();
        let (token, verified) = (token.clone(), Instant::now());
        let known = Arc::new(Recent { token, verified, claims, action, instance });
        self.trusted.add(&known);
        Ok(known)
    }
}

#[async_trait]
impl Authenticator for TokenAuthenticator {
    async fn authenticate(&self, presented: &Presented) -> Result<Caller, AuthenticateError> {
        let token = presented.token.as_ref();
        let token = token.ok_or_else(|| AuthenticateError::refused("no token was presented"))?;
        let known = self.verified(token).await?;
        let Recent { claims, action, instance, .. } = known.as_ref();
        claims.check_time(self.clock.now()).map_err(AuthenticateError::refused)?;
        let stores = self.stores.stores(action, claims).await?;
        let (action, instance) = (action.clone(), Some(Arc::clone(instance)));
        Ok(Caller { action, instance, stores, expires_at: claims.end() })
    }
}
