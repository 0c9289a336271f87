//! ConfigMaps, fetched no more often than needed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, Error};
use tokio::sync::OnceCell;

/// How many ConfigMaps are kept.
const KEPT: usize = 64;

/// Fetches ConfigMaps. Immutable ones are kept: a run has all its scripts in a single one, so to
/// fetch it for each step would take time in proportion to the square of the steps.
pub(super) struct ConfigMaps {
    client: Client,
    kept: Mutex<VecDeque<Entry>>,
}

struct Entry {
    key: Key,
    cell: Arc<OnceCell<Arc<ConfigMap>>>,
}

/// Names can be given again to something else. So an entry is for one PipelineRun only, which
/// names it by its UID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) asked_for: String,
}

impl ConfigMaps {
    pub(super) fn new(client: Client) -> Self {
        Self { client, kept: Mutex::default() }
    }

    /// The ConfigMap of this name. Those who ask at the same time share one answer.
    pub(super) async fn get(&self, key: Key) -> Result<Arc<ConfigMap>, Error> {
        let cell = self.cell(&key);
        let found = cell
            .get_or_try_init(|| async {
                let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &key.namespace);
                api.get(&key.name).await.map(Arc::new)
            })
            .await;
        if !matches!(found, Ok(map) if map.immutable == Some(true)) {
            self.forget(&cell);
        }
        found.cloned()
    }

    fn cell(&self, key: &Key) -> Arc<OnceCell<Arc<ConfigMap>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = kept.iter().find(|entry| entry.key == *key) {
            return Arc::clone(&entry.cell);
        }
        if kept.len() == KEPT {
            kept.pop_front();
        }
        let cell = Arc::default();
        kept.push_back(Entry { key: key.clone(), cell: Arc::clone(&cell) });
        cell
    }

    fn forget(&self, cell: &Arc<OnceCell<Arc<ConfigMap>>>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|entry| !Arc::ptr_eq(&entry.cell, cell));
    }
}
