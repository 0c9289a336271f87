//! Callers whose data is in the ConfigMaps that their claims name.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use kube::Client;
use relay_core::{Action, AuthenticateError, Claims, SecretStore, Stores};
use relay_store::{ConfigMapJournal, Definitions};

use crate::token::CallerStores;

/// Gives callers the ConfigMaps that their claims name, and secrets from one store.
#[derive(Clone)]
pub struct ConfigMapStores {
    client: Client,
    definitions: Arc<Definitions>,
    secrets: Arc<dyn SecretStore>,
}

impl ConfigMapStores {
    /// Reads and writes ConfigMaps through this client.
    #[must_use]
    pub fn new(client: Client, secrets: Arc<dyn SecretStore>) -> Self {
        let definitions = Arc::new(Definitions::new(client.clone()));
        Self { client, definitions, secrets }
    }
}

impl fmt::Debug for ConfigMapStores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigMapStores").field("secrets", &self.secrets).finish_non_exhaustive()
    }
}

#[async_trait]
impl CallerStores for ConfigMapStores {
    async fn stores(&self, action: &Action, claims: &Claims) -> Result<Stores, AuthenticateError> {
        let claim = |claim: &Option<String>, name: &str| {
            let missing = || AuthenticateError::refused(format!("the claim {name} is missing"));
            claim.clone().ok_or_else(missing)
        };
        let namespace = claim(&claims.namespace_name, "k8s.io/namespace-name")?;
        let immutable =
            claim(&claims.immutable_config_map, "relay.sh/k8s/immutable-config-map-name")?;
        let mutable = claim(&claims.mutable_config_map, "relay.sh/k8s/mutable-config-map-name")?;
        let definition = self.definitions.of(&namespace, &immutable, action.clone());
        let client = self.client.clone();
        let journal = ConfigMapJournal::new(client, &namespace, &mutable, action.clone());
        Ok(Stores {
            definition: Some(Arc::new(definition)),
            journal: Some(Arc::new(journal)),
            secrets: Some(Arc::clone(&self.secrets)),
            ..Stores::default()
        })
    }
}
