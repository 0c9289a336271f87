//! What a pod may use (`metadata-api.md` §5).

use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Client;
use relay_core::{Action, AuthenticateError, Claims, EventSink, RunLauncher, SecretStore, Stores};
use relay_store::{
    ConfigMapDefinition, ConfigMapJournal, HttpEvents, HttpRuns, KubernetesSecrets, VaultLogin,
    VaultSecrets, VaultSession, Watches,
};
use secrecy::SecretString;

use super::authenticator::Verified;
use super::pod::Home;

/// Makes the stores of callers: the ConfigMaps that their claims name, the Kubernetes Secrets of
/// their tenant, and the sinks that their claims name. What is read often is held by watches, under
/// the identity of this client.
#[derive(Clone)]
pub struct ClusterStores {
    maps: Arc<Watches<ConfigMap>>,
    secrets: Arc<Watches<Secret>>,
    sinks: reqwest::Client,
    vault: Option<VaultLogin>,
}

impl ClusterStores {
    /// Reads and writes through this client; events and runs leave by `sinks`, which should follow
    /// no redirects (see [`relay_store::sink_client`]).
    #[must_use]
    pub fn new(client: Client, sinks: reqwest::Client) -> Self {
        let maps = Arc::new(Watches::new(client.clone()));
        Self { maps, secrets: Arc::new(Watches::new(client)), sinks, vault: None }
    }

    /// The same, where the secrets and connections of callers whose claims name a place in Vault
    /// come from there.
    #[must_use]
    pub fn with_vault(self, login: VaultLogin) -> Self {
        Self { vault: Some(login), ..self }
    }

    /// What the holder of this token may do in Vault.
    pub(super) fn vault_session(&self, token: &SecretString) -> Option<VaultSession> {
        self.vault.as_ref().map(|login| login.session(token.clone()))
    }

    pub(super) fn of(
        &self,
        verified: &Verified,
        home: &Home,
        image: Option<&str>,
    ) -> Result<Stores, AuthenticateError> {
        let Verified { action, claims, .. } = verified;
        let claim = |claim: Option<&String>, name: &str| {
            let missing = || AuthenticateError::refused(format!("the claim {name} is missing"));
            claim.cloned().ok_or_else(missing)
        };
        let namespace = claim(claims.namespace_name.as_ref(), "k8s.io/namespace-name")?;
        let immutable =
            claim(claims.immutable_config_map.as_ref(), "relay.sh/k8s/immutable-config-map-name")?;
        let mutable =
            claim(claims.mutable_config_map.as_ref(), "relay.sh/k8s/mutable-config-map-name")?;
        let definition =
            ConfigMapDefinition::watched(&self.maps, &namespace, &immutable, action.clone());
        let journal = ConfigMapJournal::watched(&self.maps, &namespace, &mutable, action.clone());
        Ok(Stores {
            definition: Some(Arc::new(definition)),
            journal: Some(Arc::new(journal)),
            secrets: Some(self.secrets(verified, home)?),
            events: self.events(action, claims)?,
            launcher: self.launcher(claims)?,
            logs: None,
            image: image.map(str::to_owned),
        })
    }

    fn secrets(
        &self,
        verified: &Verified,
        home: &Home,
    ) -> Result<Arc<dyn SecretStore>, AuthenticateError> {
        let claims = &verified.claims;
        if let (Some(session), Some(engine)) = (&verified.vault, &claims.vault_engine_path) {
            let secrets = claims.vault_secret_path.as_deref();
            let connections = claims.vault_connection_path.as_deref();
            let store = VaultSecrets::new(Arc::clone(session), engine, secrets, connections);
            return Ok(Arc::new(store.map_err(AuthenticateError::refused)?));
        }
        let (watches, workflow) = (Arc::clone(&self.secrets), claims.tenant_id.as_deref());
        Ok(Arc::new(KubernetesSecrets::new(watches, &home.tenant_namespace, workflow)))
    }

    /// Only triggers have a sink.
    fn events(
        &self,
        action: &Action,
        claims: &Claims,
    ) -> Result<Option<Arc<dyn EventSink>>, AuthenticateError> {
        let (Action::Trigger { name }, Some(url)) = (action, &claims.event_url) else {
            return Ok(None);
        };
        let token = claims.event_token.clone().unwrap_or_default();
        let sink = HttpEvents::new(self.sinks.clone(), url, token, name.as_str());
        let sink = sink.map_err(AuthenticateError::refused)?;
        Ok(Some(Arc::new(sink)))
    }

    fn launcher(&self, claims: &Claims) -> Result<Option<Arc<dyn RunLauncher>>, AuthenticateError> {
        let Some(url) = &claims.execution_url else {
            return Ok(None);
        };
        let token = claims.execution_token.clone().unwrap_or_default();
        let runs = HttpRuns::new(self.sinks.clone(), url, token);
        Ok(Some(Arc::new(runs.map_err(AuthenticateError::refused)?)))
    }
}

impl fmt::Debug for ClusterStores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterStores").finish_non_exhaustive()
    }
}
