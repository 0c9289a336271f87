//! What is to be hidden in the logs of a cluster (`design.md` decision 10).
//!
//! Pods keep their logs as they were written. Whoever may read the Secrets of a run's namespace has
//! them hidden, as on one machine; whoever may not is told so. What is kept in a Vault is known to
//! the metadata API alone, and not hidden here.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::ListParams;
use relay_core::{MemorySecrets, Value};
use relay_local::Masks;
use relay_store::kubernetes_secrets::{CONNECTION, SECRET};

use super::Cluster;

/// What is to be hidden, or why that is not known.
pub(super) struct Hidden {
    pub(super) masks: Arc<Masks>,
    pub(super) problem: Option<String>,
}

/// What is to be hidden of the runs in this namespace: the secrets and connections in it.
pub(super) async fn hidden(cluster: &Cluster) -> Hidden {
    let problem = match known(cluster).await {
        Ok(known) => match Masks::of(&known).await {
            Ok(masks) => return Hidden { masks: Arc::new(masks), problem: None },
            Err(error) => error.to_string(),
        },
        Err(kube::Error::Api(status)) => status.message.clone(),
        Err(error) => error.to_string(),
    };
    let namespace = &cluster.namespace;
    let problem = format!(
        "secrets stand in the log as they were written: those of namespace {namespace:?} cannot be \
         read ({problem})"
    );
    Hidden { masks: Arc::default(), problem: Some(problem) }
}

async fn known(cluster: &Cluster) -> Result<MemorySecrets, kube::Error> {
    let api: Api<Secret> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let mut known = MemorySecrets::default();
    for label in [SECRET, CONNECTION] {
        let list = api.list(&ListParams::default().labels(label)).await?;
        for (number, secret) in list.into_iter().enumerate() {
            let values = secret.data.unwrap_or_default().into_values();
            let values = values.map(|bytes| match String::from_utf8(bytes.0) {
                Ok(text) => Value::from(text),
                Err(error) => Value::Bytes(error.into_bytes().into()),
            });
            known = known.with_secret(&format!("{label} {number}"), Value::list(values));
        }
    }
    Ok(known)
}
