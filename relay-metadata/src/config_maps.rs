//! Callers whose data is in the ConfigMaps that their claims name.

use std::sync::Arc;

use async_trait::async_trait;
use relay_core::{Action, AuthenticateError, Claims, Definition, Journal, SecretStore, Stores};
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
        Ok(Stores { secrets, ..named_by(claims, action, &self.maps) })
    }
}

/// The definition and the journal of this action, as far as its claims name a ConfigMap for each.
pub(crate) fn named_by(claims: &Claims, action: &Action, maps: &ConfigMaps) -> Stores {
    let Some(namespace) = claims.namespace_name.as_deref() else { return Stores::default() };
    let definition = claims.immutable_config_map.as_deref().map(|name| {
        Arc::new(maps.definition(namespace, name, action.clone())) as Arc<dyn Definition>
    });
    let journal = claims
        .mutable_config_map
        .as_deref()
        .map(|name| Arc::new(maps.journal(namespace, name, action.clone())) as Arc<dyn Journal>);
    Stores { definition, journal, ..Stores::default() }
}
