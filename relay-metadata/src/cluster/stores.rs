//! What a pod may use (`metadata-api.md` §5).

use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use relay_core::{
    Action, AuthenticateError, Claims, EventSink, LogSink, RunLauncher, SecretStore, Stores,
};
use relay_store::{
    ConfigMaps, HttpEvents, HttpRuns, KubernetesSecrets, ObjectLogs, VaultLogin, VaultSecrets,
    VaultSession, Watches,
};
use secrecy::SecretString;

use super::authenticator::Verified;
use super::pod::Home;
use crate::config_maps;

type Accounts = Arc<dyn Fn(&SecretString) -> kube::Result<Client> + Send + Sync>;

/// Makes the stores of callers: the ConfigMaps that their claims name, the Kubernetes Secrets of
/// their tenant, and the sinks that their claims name. What is read often is held by watches, under
/// the identity of this client.
#[derive(Clone)]
pub struct ClusterStores {
    maps: Arc<ConfigMaps>,
    accounts: Option<Accounts>,
    secrets: Arc<Watches<Secret>>,
    sinks: reqwest::Client,
    logs: Option<ObjectLogs>,
    vault: Option<VaultLogin>,
}

impl ClusterStores {
    /// Reads and writes through this client; events and runs leave by `sinks`, which should follow
    /// no redirects (see [`relay_store::sink_client`]).
    #[must_use]
    pub fn new(client: Client, sinks: reqwest::Client) -> Self {
        let maps = Arc::new(ConfigMaps::watched(client.clone()));
        let secrets = Arc::new(Watches::new(client));
        Self { maps, accounts: None, secrets, sinks, logs: None, vault: None }
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

    /// The same, which honours service account tokens: what is read and written for a caller whose
    /// claims hold one goes through the client that is made of it, by name and under its rights.
    /// Without, such a token is not looked at.
    #[must_use]
    pub fn with_accounts(
        self,
        client_of: impl Fn(&SecretString) -> kube::Result<Client> + Send + Sync + 'static,
    ) -> Self {
        Self { accounts: Some(Arc::new(client_of)), ..self }
    }

    /// The same, with the output of steps and triggers kept here. Without, it is refused.
    #[must_use]
    pub fn with_logs(self, logs: ObjectLogs) -> Self {
        Self { logs: Some(logs), ..self }
    }

    /// The ConfigMaps as these claims allow to see them. They outlive a request, since what was read
    /// by name is kept for a moment.
    pub(super) fn maps(&self, claims: &Claims) -> Result<Arc<ConfigMaps>, AuthenticateError> {
        let (Some(token), Some(client_of)) = (&claims.service_account_token, &self.accounts) else {
            return Ok(Arc::clone(&self.maps));
        };
        let client = client_of(token).map_err(|error| AuthenticateError::Backend(error.into()))?;
        Ok(Arc::new(ConfigMaps::by_name(client)))
    }

    pub(super) fn of(
        &self,
        verified: &Verified,
        home: &Home,
        image: Option<&str>,
    ) -> Result<Stores, AuthenticateError> {
        let Verified { action, claims, maps, .. } = verified;
        Ok(Stores {
            secrets: Some(self.secrets(verified, home)?),
            events: self.events(action, claims)?,
            launcher: self.launcher(claims)?,
            logs: self.logs.as_ref().map(|logs| {
                // The context is the caller's own, whatever it asks for.
                Arc::new(logs.of(&claims.log_context(action))) as Arc<dyn LogSink>
            }),
            image: image.map(str::to_owned),
            ..config_maps::named_by(claims, action, maps)
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
