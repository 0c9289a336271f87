//! Objects kept by watches, so that reading what is there costs no call.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::NamespaceResourceScope;
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::task::AbortHandle;

use crate::stored::Trees;

/// How long a watch goes on that nobody asks for.
const IDLE: Duration = Duration::from_secs(60);
/// How often they are looked for.
const SWEEP: Duration = Duration::from_secs(5);

/// Watches that are begun when somebody asks, and ended when nobody does for a minute. What they
/// hold may lag behind: what is there was there a moment ago, and what is not has to be asked for.
pub struct Watches<K: Resource<DynamicType = ()> + 'static> {
    client: Client,
    open: Mutex<Open<K>>,
}

struct Open<K: Resource<DynamicType = ()> + 'static> {
    watches: HashMap<Scope, Arc<Watch<K>>>,
    /// When those were ended last that nobody asks for.
    swept: Instant,
}

/// What is watched: a namespace and a selector.
type Scope = (String, String);

/// One watch.
pub(crate) struct Watch<K: Resource<DynamicType = ()> + 'static> {
    store: Store<K>,
    task: AbortHandle,
    asked: Mutex<Instant>,
    /// What was written last: what is older is not to be read.
    written: AtomicU64,
    /// What was parsed of the latest object; begun anew with the next.
    trees: Mutex<Option<(Arc<K>, Arc<Trees>)>>,
}

impl<K> Watches<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + fmt::Debug
        + Send
        + Sync
        + 'static,
{
    /// Watches through this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        let open = Open { watches: HashMap::new(), swept: Instant::now() };
        Self { client, open: Mutex::new(open) }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The object of this name.
    pub(crate) fn named(&self, namespace: &str, name: &str) -> Arc<Watch<K>> {
        let selector = format!("metadata.name={name}");
        self.watch(namespace, selector, watcher::Config::fields)
    }

    /// All objects with this label.
    pub(crate) fn labelled(&self, namespace: &str, label: &str) -> Arc<Watch<K>> {
        self.watch(namespace, label.to_owned(), watcher::Config::labels)
    }

    fn watch(
        &self,
        namespace: &str,
        selector: String,
        select: impl FnOnce(watcher::Config, &str) -> watcher::Config,
    ) -> Arc<Watch<K>> {
        let now = Instant::now();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let used = |watch: &Watch<K>| {
            now.saturating_duration_since(
                *watch.asked.lock().unwrap_or_else(PoisonError::into_inner),
            ) < IDLE
        };
        if now.saturating_duration_since(open.swept) > SWEEP {
            open.watches.retain(|_, watch| used(watch));
            open.swept = now;
        }
        let watch = match open.watches.entry((namespace.to_owned(), selector)) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(free) => {
                let config = select(watcher::Config::default(), &free.key().1);
                let api = Api::namespaced(self.client.clone(), namespace);
                free.insert(Arc::new(Watch::begin(api, config)))
            }
        };
        *watch.asked.lock().unwrap_or_else(PoisonError::into_inner) = now;
        Arc::clone(watch)
    }
}

impl<K: Resource<DynamicType = ()> + 'static> fmt::Debug for Watches<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watches").finish_non_exhaustive()
    }
}

impl<K> Watch<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + Sync + 'static,
{
    fn begin(api: Api<K>, config: watcher::Config) -> Self {
        let (store, writer) = reflector::store();
        let changes = watcher(api, config).default_backoff().modify(|object| {
            object.meta_mut().managed_fields = None;
        });
        let keep = reflector::reflector(writer, changes).for_each(|change| {
            if let Err(error) = change {
                tracing::warn!(%error, "a watch failed and is begun again");
            }
            std::future::ready(())
        });
        let task = tokio::spawn(keep).abort_handle();
        let (asked, written) = (Mutex::new(Instant::now()), AtomicU64::new(0));
        Self { store, task, asked, written, trees: Mutex::default() }
    }

    /// What the watch holds, but for what is known to be outdated.
    pub(crate) fn current(&self) -> Vec<Arc<K>> {
        let written = self.written.load(Ordering::Acquire);
        let mut objects = self.store.state();
        objects.retain(|object| version(object.meta().resource_version.as_deref()) >= written);
        objects
    }

    /// What was parsed of this object before.
    pub(crate) fn trees(&self, object: &Arc<K>) -> Arc<Trees> {
        let mut latest = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        match latest.as_ref() {
            Some((parsed, trees)) if Arc::ptr_eq(parsed, object) => Arc::clone(trees),
            _ => {
                let trees = Arc::<Trees>::default();
                *latest = Some((Arc::clone(object), Arc::clone(&trees)));
                trees
            }
        }
    }

    /// Notes a write of our own, which the watch has to see before it is believed again.
    pub(crate) fn wrote(&self, resource_version: Option<&str>) {
        self.written.fetch_max(version(resource_version), Ordering::AcqRel);
    }
}

impl<K: Resource<DynamicType = ()> + 'static> Drop for Watch<K> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<K: Resource<DynamicType = ()> + 'static> fmt::Debug for Watch<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

/// API servers say that versions can be compared as numbers. One that is none is as old as can be.
fn version(resource_version: Option<&str>) -> u64 {
    resource_version.and_then(|version| version.parse().ok()).unwrap_or_default()
}
