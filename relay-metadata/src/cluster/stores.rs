//! What a pod may use (`metadata-api.md` §5).

use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Client;
use relay_core::{Action, AuthenticateError, Claims, EventSink, RunLauncher, Stores};
use relay_store::{
    ConfigMapDefinition, ConfigMapJournal, HttpEvents, HttpRuns, KubernetesSecrets, Watches,
};

use super::pod::Home;

/// Makes the stores of callers: the ConfigMaps that their claims name, the Kubernetes Secrets of
/// their tenant, and the sinks that their claims name. What is read often is held by watches, under
/// the identity of this client.
#[derive(Clone)]
pub struct ClusterStores {
    maps: Arc<Watches<ConfigMap>>,
    secrets: Arc<Watches<Secret>>,
    sinks: reqwest::Client,
}

impl ClusterStores {
    /// Reads and writes through this client; events and runs leave by `sinks`, which should follow
    /// no redirects (see [`relay_store::sink_client`]).
    #[must_use]
    pub fn new(client: Client, sinks: reqwest::Client) -> Self {
        let maps = Arc::new(Watches::new(client.clone()));
        Self { maps, secrets: Arc::new(Watches::new(client)), sinks }
    }

    pub(super) fn of(
        &self,
        action: &Action,
        claims: &Claims,
        home: &Home,
        image: Option<&str>,
    ) -> Result<Stores, AuthenticateError> {
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
        let workflow = claims.tenant_id.as_deref();
        let secrets =
            KubernetesSecrets::new(Arc::clone(&self.secrets), &home.tenant_namespace, workflow);
        Ok(Stores {
            definition: Some(Arc::new(definition)),
            journal: Some(Arc::new(journal)),
            secrets: Some(Arc::new(secrets)),
            events: self.events(action, claims)?,
            launcher: self.launcher(claims)?,
            logs: None,
            image: image.map(str::to_owned),
        })
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
