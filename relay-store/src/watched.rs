//! Objects kept by watches, so that reading what is there costs no call.

use std::collections::HashMap;
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

use crate::stored::Parsed;

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
    namespaces: HashMap<Box<str>, Namespace<K>>,
    /// When those were ended last that nobody asks for.
    swept: Instant,
}

/// What is watched in a namespace.
struct Namespace<K: Resource<DynamicType = ()> + 'static> {
    named: Watched<K>,
    labelled: Watched<K>,
}

/// By name, or by label.
type Watched<K> = HashMap<Box<str>, Arc<Watch<K>>>;

/// One watch.
pub(crate) struct Watch<K: Resource<DynamicType = ()> + 'static> {
    api: Api<K>,
    store: Store<K>,
    task: AbortHandle,
    asked: Mutex<Instant>,
    /// What was written last: what is older is not to be read.
    written: AtomicU64,
    /// What was parsed of the latest object; begun anew with the next.
    parsed: Mutex<Option<(Arc<K>, Arc<Parsed>)>>,
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
        let open = Open { namespaces: HashMap::new(), swept: Instant::now() };
        Self { client, open: Mutex::new(open) }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The object of this name.
    pub(crate) fn named(&self, namespace: &str, name: &str) -> Arc<Watch<K>> {
        let config = || watcher::Config::default().fields(&format!("metadata.name={name}"));
        self.watch(namespace, name, |namespace| &mut namespace.named, config)
    }

    /// All objects with this label.
    pub(crate) fn labelled(&self, namespace: &str, label: &str) -> Arc<Watch<K>> {
        let config = || watcher::Config::default().labels(label);
        self.watch(namespace, label, |namespace| &mut namespace.labelled, config)
    }

    fn watch(
        &self,
        namespace: &str,
        name: &str,
        kind: impl FnOnce(&mut Namespace<K>) -> &mut Watched<K>,
        config: impl FnOnce() -> watcher::Config,
    ) -> Arc<Watch<K>> {
        let now = Instant::now();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.sweep(now);
        // Names are copied for what is new only: each request asks for some.
        if !open.namespaces.contains_key(namespace) {
            open.namespaces.insert(namespace.into(), Namespace::default());
        }
        let known = open.namespaces.get_mut(namespace).map(kind);
        let begin =
            || Arc::new(Watch::begin(Api::namespaced(self.client.clone(), namespace), config()));
        let Some(known) = known else { return begin() };
        if let Some(watch) = known.get(name) {
            *watch.asked.lock().unwrap_or_else(PoisonError::into_inner) = now;
            return Arc::clone(watch);
        }
        let watch = begin();
        known.insert(name.into(), Arc::clone(&watch));
        watch
    }
}

impl<K: Resource<DynamicType = ()> + 'static> Open<K> {
    fn sweep(&mut self, now: Instant) {
        if now.saturating_duration_since(self.swept) <= SWEEP {
            return;
        }
        let used = |watch: &Watch<K>| {
            let asked = watch.asked.lock().unwrap_or_else(PoisonError::into_inner);
            now.saturating_duration_since(*asked) < IDLE
        };
        self.namespaces.retain(|_, namespace| {
            namespace.named.retain(|_, watch| used(watch));
            namespace.labelled.retain(|_, watch| used(watch));
            !(namespace.named.is_empty() && namespace.labelled.is_empty())
        });
        self.swept = now;
    }
}

impl<K: Resource<DynamicType = ()> + 'static> Default for Namespace<K> {
    fn default() -> Self {
        Self { named: HashMap::new(), labelled: HashMap::new() }
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
        let changes = watcher(api.clone(), config).default_backoff().modify(|object| {
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
        Self { api, store, task, asked, written, parsed: Mutex::default() }
    }

    pub(crate) fn api(&self) -> &Api<K> {
        &self.api
    }

    /// An object that the watch holds and that is not known to be outdated.
    pub(crate) fn find(&self, is_it: impl Fn(&K) -> bool) -> Option<Arc<K>> {
        let written = self.written.load(Ordering::Acquire);
        let fresh = |object: &K| {
            written == 0 || version(object.meta().resource_version.as_deref()) >= written
        };
        self.store.find(|object| fresh(object) && is_it(object))
    }

    /// What was parsed of this object before.
    pub(crate) fn parsed(&self, object: &Arc<K>) -> Arc<Parsed> {
        let mut latest = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        match latest.as_ref() {
            Some((of, parsed)) if Arc::ptr_eq(of, object) => Arc::clone(parsed),
            _ => {
                let parsed = Arc::<Parsed>::default();
                *latest = Some((Arc::clone(object), Arc::clone(&parsed)));
                parsed
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
