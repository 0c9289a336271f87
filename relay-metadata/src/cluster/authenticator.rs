//! From an address to a caller.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ObjectMeta;
use kube::{Api, Client};
use relay_core::{
    Action, AuthenticateError, Authenticator, Caller, Claims, Clock, Presented, SealError,
    SystemClock, TokenError, TokenSealer, TokenVerifier,
};
use relay_store::{ConfigMaps, VaultSession};
use serde::Deserialize;
use tokio::time::Instant;

use super::index::{Found, PodIndex};
use super::pod::{Home, Pod, WirePod};
use super::stores::ClusterStores;
use crate::address::check_addresses;
use crate::error::Chain;

/// On the namespace of a tenant: the object that it was made for, as JSON.
const MADE_FOR: &str = "controller.relay.sh/dependency-of";

/// Accepts requests that come from the address of one pod, whose annotations hold a sealed token.
///
/// What a pod's token says is kept until the pod changes; whether it is valid at this time is
/// checked for each request.
#[derive(Clone)]
pub struct PodAuthenticator {
    client: Client,
    pods: PodIndex,
    namespaces: Api<Namespace>,
    sealer: Arc<dyn TokenSealer>,
    verifier: Option<Arc<dyn TokenVerifier>>,
    stores: ClusterStores,
    clock: Arc<dyn Clock>,
}

/// How long a pod is believed to be there after the API server said so.
const CONFIRMED: Duration = Duration::from_secs(5);
/// How long the API server may take to say so.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a pod that was known may not be the one that calls.
#[derive(Debug, thiserror::Error)]
enum Doubt {
    #[error("there is no news of pods, and the API server does not say whether the pod is there")]
    Silence,
    #[error("there is no news of pods, and it cannot be asked whether the pod is there")]
    Failure(#[source] kube::Error),
    #[error("there is no news of pods, and the pod that was at this address is gone")]
    Gone,
}

/// What the token of a pod says.
pub(super) struct Verified {
    pub(super) action: Action,
    pub(super) claims: Claims,
    pub(super) maps: Arc<ConfigMaps>,
    /// What its holder may do in Vault, where its claims name a place there.
    pub(super) vault: Option<Arc<VaultSession>>,
}

impl PodAuthenticator {
    /// Callers from the pods of this index.
    #[must_use]
    pub fn new(
        client: Client,
        pods: PodIndex,
        sealer: Arc<dyn TokenSealer>,
        verifier: Arc<dyn TokenVerifier>,
        stores: ClusterStores,
    ) -> Self {
        let verifier = Some(verifier);
        Self { verifier, ..Self::checked_by_vault(client, pods, sealer, stores) }
    }

    /// The same without a key to check tokens with: Vault checks them, by letting them log in (see
    /// [`ClusterStores::with_vault`]).
    #[must_use]
    pub fn checked_by_vault(
        client: Client,
        pods: PodIndex,
        sealer: Arc<dyn TokenSealer>,
        stores: ClusterStores,
    ) -> Self {
        let (namespaces, clock) = (Api::all(client.clone()), Arc::new(SystemClock));
        Self { client, pods, namespaces, sealer, verifier: None, stores, clock }
    }

    /// The same on another clock, which decides whether a token is valid now.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Asks the API server whether this very pod still has this address. One that has not says
    /// nothing of the pod that calls: it comes with the next news.
    async fn confirm(&self, pod: &Pod, address: IpAddr) -> Result<(), AuthenticateError> {
        let mut confirmed = pod.confirmed.lock().await;
        if confirmed.is_some_and(|confirmed| confirmed.elapsed() < CONFIRMED) {
            return Ok(());
        }
        let failed = |error: Doubt| AuthenticateError::Backend(Box::new(error));
        let api: Api<WirePod> = Api::namespaced(self.client.clone(), &pod.namespace);
        let found = tokio::time::timeout(PATIENCE, api.get_opt(&pod.name)).await;
        let found = found.map_err(|_| failed(Doubt::Silence))?;
        let found = found.map_err(|error| failed(Doubt::Failure(error)))?;
        let found = found.and_then(Pod::of).filter(|found| {
            found.uid == pod.uid && found.addresses.contains(&address) && !found.host_network
        });
        found.ok_or_else(|| failed(Doubt::Gone))?;
        *confirmed = Some(Instant::now());
        Ok(())
    }

    async fn home(&self, pod: &Pod) -> Result<Home, AuthenticateError> {
        let found = self.namespaces.get_metadata_opt(&pod.namespace).await;
        let found = found.map_err(|error| AuthenticateError::Backend(Box::new(error)))?;
        let gone = || AuthenticateError::refused("the namespace of the pod is gone");
        let metadata = found.ok_or_else(gone)?.metadata;
        let uid = metadata.uid.clone().ok_or_else(gone)?;
        let tenant_namespace =
            tenant_namespace(&metadata).unwrap_or_else(|| pod.namespace.to_string());
        Ok(Home { uid, tenant_namespace })
    }

    async fn verify(&self, pod: &Pod, home: &Home) -> Result<Verified, AuthenticateError> {
        let credential = pod.credential.as_ref();
        let credential =
            credential.ok_or_else(|| AuthenticateError::refused("the pod has no token"))?;
        let token = self.sealer.unseal(&home.uid, &credential.sealed).await;
        let token = token.map_err(|error| match error {
            SealError::Refused => AuthenticateError::refused(error),
            error => AuthenticateError::Backend(Box::new(error)),
        })?;
        let vault = self.stores.vault_session(&token);
        let claims = match (&self.verifier, &vault) {
            (Some(verifier), _) => verifier.verify(&token).await,
            (None, Some(vault)) => vault.verify().await,
            (None, None) => return Err(AuthenticateError::refused("nothing checks tokens")),
        };
        let claims = claims.map_err(|error| match error {
            TokenError::Refused(_) => AuthenticateError::refused(Chain(&error)),
            error => AuthenticateError::Backend(Box::new(error)),
        })?;
        check_addresses(&claims)?;
        // The name as well: our own account, with which ConfigMaps are read, reaches other namespaces.
        let named = claims.namespace_name.as_deref() == Some(&*pod.namespace);
        if claims.namespace_uid.as_ref() != Some(&home.uid) || !named {
            return Err(AuthenticateError::refused("the token is for another namespace"));
        }
        let action = claims.action().map_err(AuthenticateError::refused)?;
        if claims.subject.as_deref() != Some(&*credential.subject) {
            return Err(AuthenticateError::refused("the token is for another pod"));
        }
        let maps = self.stores.maps(&claims)?;
        let vault = vault.filter(|_| claims.vault_engine_path.is_some()).map(Arc::new);
        Ok(Verified { action, claims, maps, vault })
    }
}

/// The namespace of the object that a namespace was made for.
fn tenant_namespace(metadata: &ObjectMeta) -> Option<String> {
    #[derive(Deserialize)]
    struct MadeFor {
        namespace: String,
    }
    let text = metadata.annotations.as_ref()?.get(MADE_FOR)?;
    let made_for: MadeFor = serde_json::from_str(text).ok()?;
    Some(made_for.namespace).filter(|namespace| !namespace.is_empty())
}

#[async_trait]
impl Authenticator for PodAuthenticator {
    async fn authenticate(&self, presented: &Presented) -> Result<Caller, AuthenticateError> {
        let address = presented.address.filter(|address| !address.is_unspecified());
        let address = address.ok_or_else(|| AuthenticateError::refused("there is no address"))?;
        let Found { pod, doubtful } = self.pods.find(address).await?;
        if doubtful {
            self.confirm(&pod, address).await?;
        }
        let home = pod.home.get_or_try_init(|| self.home(&pod)).await?;
        let verify = || async { self.verify(&pod, home).await.map(Arc::new) };
        let verified = pod.verified.get_or_try_init(verify).await?;
        let Verified { action, claims, .. } = verified.as_ref();
        claims.check_time(self.clock.now()).map_err(AuthenticateError::refused)?;
        let stores = self.stores.of(verified, home, pod.image.as_deref())?;
        let (action, instance) = (action.clone(), Some(Arc::clone(&pod.uid)));
        Ok(Caller { action, instance, stores, expires_at: claims.end() })
    }
}

impl fmt::Debug for PodAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PodAuthenticator")
            .field("pods", &self.pods)
            .field("sealer", &self.sealer)
            .field("verifier", &self.verifier)
            .finish_non_exhaustive()
    }
}
