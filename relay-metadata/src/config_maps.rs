//! Callers whose data is in the ConfigMaps that their claims name.

use std::sync::Arc;

use async_trait::async_trait;
use relay_core::{Action, AuthenticateError, Claims, SecretStore, Stores};
use relay_store::ConfigMaps;

use crate::token::CallerStores;

/// Gives callers the ConfigMaps that their claims name, and secrets from one store.
#[derive(Clone, Debug)]
pub struct ConfigMapStores {
    maps: Arc<ConfigMaps>,
    secrets: Arc<dyn SecretStore>,
}

impl ConfigMapStores {
    /// Callers with these ConfigMaps and these secrets.
    #[must_use]
    pub fn new(maps: ConfigMaps, secrets: Arc<dyn SecretStore>) -> Self {
        Self { maps: Arc::new(maps), secrets }
    }
}

#[async_trait]
impl CallerStores for ConfigMapStores {
    async fn stores(&self, action: &Action, claims: &Claims) -> Result<Stores, AuthenticateError> {
        let secrets = Some(Arc::clone(&self.secrets));
        Ok(Stores { secrets, ..named_by(claims, action, &self.maps)? })
    }
}

/// The definition and the journal of this action, in the ConfigMaps that its claims name.
pub(crate) fn named_by(
    claims: &Claims,
    action: &Action,
    maps: &ConfigMaps,
) -> Result<Stores, AuthenticateError> {
    let missing = |name: &str| AuthenticateError::refused(format!("the claim {name} is missing"));
    let claim = |claim: &'_ Option<String>, name: &str| claim.clone().ok_or_else(|| missing(name));
    let namespace = claim(&claims.namespace_name, "k8s.io/namespace-name")?;
    let immutable = claim(&claims.immutable_config_map, "relay.sh/k8s/immutable-config-map-name")?;
    let mutable = claim(&claims.mutable_config_map, "relay.sh/k8s/mutable-config-map-name")?;
    Ok(Stores {
        definition: Some(Arc::new(maps.definition(&namespace, &immutable, action.clone()))),
        journal: Some(Arc::new(maps.journal(&namespace, &mutable, action.clone()))),
        ..Stores::default()
    })
}
