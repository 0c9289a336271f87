//! Secrets and connections as Kubernetes Secrets, one for each (`design.md` decision 7).

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use relay_core::{Map, SecretStore, SecretValue, StoreError, Value};

use crate::watched::Watches;

/// Label of a secret: its name. The value is under the key `value`.
pub const SECRET: &str = "relay.sh/secret";
/// Label of a connection: `TYPE.NAME`. Each key is a field.
pub const CONNECTION: &str = "relay.sh/connection";
/// Annotation with the name in full, where it is no value of a label.
pub const NAME: &str = "relay.sh/name";
/// Label of what only one workflow may see.
pub const WORKFLOW: &str = "relay.sh/workflow";

/// The secrets and connections in one namespace, as one workflow sees them.
///
/// What is there comes from a watch; what is not is asked for before that is said.
#[derive(Clone, Debug)]
pub struct KubernetesSecrets {
    watches: Arc<Watches<Secret>>,
    namespace: String,
    workflow: Option<String>,
}

impl KubernetesSecrets {
    /// Those in this namespace. Without a workflow, those that any workflow may see.
    #[must_use]
    pub fn new(watches: Arc<Watches<Secret>>, namespace: &str, workflow: Option<&str>) -> Self {
        let workflow = workflow.map(str::to_owned);
        Self { watches, namespace: namespace.to_owned(), workflow }
    }

    /// The entry of this name; the workflow's own before one for all.
    async fn find(
        &self,
        label: &str,
        is_it: impl Fn(&Secret) -> bool,
    ) -> Result<Option<Arc<Secret>>, StoreError> {
        let watch = self.watches.labelled(&self.namespace, label);
        let own = |secret: &Secret| secret.labels().contains_key(WORKFLOW);
        let visible = |secret: &Secret| is_it(secret) && self.is_visible(secret);
        let watched = match self.workflow {
            Some(_) => watch.find(|secret| visible(secret) && own(secret)),
            None => None,
        };
        if let Some(found) = watched.or_else(|| watch.find(visible)) {
            return Ok(Some(found));
        }
        let listed = self.list(label).await?;
        Ok(listed.into_iter().rev().find(|secret| is_it(secret)))
    }

    /// All entries, those of the workflow last.
    async fn list(&self, label: &str) -> Result<Vec<Arc<Secret>>, StoreError> {
        let api: Api<Secret> = Api::namespaced(self.watches.client().clone(), &self.namespace);
        let listed = api.list(&ListParams::default().labels(label)).await;
        let listed = listed.map_err(|source| StoreError::Backend {
            doing: format!("list the Secrets of namespace {}", self.namespace),
            source: Box::new(source),
        })?;
        let mut visible: Vec<_> =
            listed.items.into_iter().filter(|secret| self.is_visible(secret)).collect();
        visible.sort_by_key(|secret| secret.labels().contains_key(WORKFLOW));
        Ok(visible.into_iter().map(Arc::new).collect())
    }

    fn is_visible(&self, secret: &Secret) -> bool {
        match secret.labels().get(WORKFLOW) {
            Some(only) => self.workflow.as_ref() == Some(only),
            None => true,
        }
    }
}

fn full_name<'s>(secret: &'s Secret, label: &str) -> Option<&'s str> {
    let annotated = secret.annotations().get(NAME);
    annotated.or_else(|| secret.labels().get(label)).map(String::as_str)
}

/// Type and name: split at the first slash, which no label has, or else at the first dot.
fn connection_name(secret: &Secret) -> Option<(&str, &str)> {
    let full = full_name(secret, CONNECTION)?;
    full.split_once('/').or_else(|| full.split_once('.'))
}

fn secret_value(secret: &Secret) -> Option<SecretValue> {
    let value = Value::from_bytes(&secret.data.as_ref()?.get("value")?.0);
    Some(SecretValue::new(Box::new(value)))
}

fn connection_value(secret: &Secret) -> SecretValue {
    let fields = secret.data.iter().flatten();
    let fields: Map =
        fields.map(|(name, value)| (name.as_str().into(), Value::from_bytes(&value.0))).collect();
    SecretValue::new(Box::new(Value::from(fields)))
}

#[async_trait]
impl SecretStore for KubernetesSecrets {
    async fn secret(&self, name: &str) -> Result<Option<SecretValue>, StoreError> {
        // One without a value may be about to get it: that is asked for, as one that is missing is.
        let is_it = |secret: &Secret| {
            full_name(secret, SECRET) == Some(name)
                && secret.data.as_ref().is_some_and(|data| data.contains_key("value"))
        };
        let found = self.find(SECRET, is_it).await?;
        Ok(found.as_deref().and_then(secret_value))
    }

    async fn secrets(&self) -> Result<BTreeMap<String, SecretValue>, StoreError> {
        let all = self.list(SECRET).await?;
        let named = all.iter().filter_map(|secret| {
            let name = full_name(secret, SECRET)?;
            Some((name.to_owned(), secret_value(secret)?))
        });
        Ok(named.collect())
    }

    async fn connection(&self, kind: &str, name: &str) -> Result<Option<SecretValue>, StoreError> {
        let is_it = |secret: &Secret| connection_name(secret) == Some((kind, name));
        let found = self.find(CONNECTION, is_it).await?;
        Ok(found.as_deref().map(connection_value))
    }

    async fn connections(
        &self,
    ) -> Result<BTreeMap<String, BTreeMap<String, SecretValue>>, StoreError> {
        let mut connections = BTreeMap::<_, BTreeMap<_, _>>::new();
        for secret in self.list(CONNECTION).await? {
            if let Some((kind, name)) = connection_name(&secret) {
                let named = connections.entry(kind.to_owned()).or_default();
                named.insert(name.to_owned(), connection_value(&secret));
            }
        }
        Ok(connections)
    }
}
