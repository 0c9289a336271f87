//! Watches on the Secrets that tenants name, so that one that appears or changes wakes them.
//!
//! Each is watched by its name, in the namespace of its tenants, where the tenant's own RoleBinding
//! allows it; of what is watched only the metadata leaves the API server, and nothing of it is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::channel::mpsc;
use futures::{SinkExt as _, Stream, StreamExt as _, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use relay_model::v1beta1::Tenant;
use tokio::task::AbortHandle;
use tracing::warn;

use super::sink;

/// The most Secrets that are watched. A tenant that names others is looked at from time to time.
const MOST: usize = 1_000;
/// How many changes wait to be taken up, before watches do.
const CHANGES: usize = 64;

/// A Secret, or a tenant: its namespace and its name.
type Place = (String, String);

/// The Secrets that tenants name, watched one by one.
pub(super) struct SecretWatches {
    client: Client,
    changed: mpsc::Sender<Place>,
    open: Arc<Mutex<Open>>,
}

/// By Secret.
type Open = BTreeMap<Place, Watch>;

/// A watch on one Secret.
struct Watch {
    tenants: BTreeSet<Place>,
    task: AbortHandle,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SecretWatches {
    /// Nothing watched yet; and the tenants to wake, as something happens to their Secrets.
    pub(super) fn new(client: Client) -> (Self, impl Stream<Item = ObjectRef<Tenant>> + Send) {
        let (changed, changes) = mpsc::channel(CHANGES);
        let open = Arc::<Mutex<Open>>::default();
        let known = Arc::clone(&open);
        let woken = changes.flat_map(move |secret| {
            let tenants = lock(&known).get(&secret).map(|watch| watch.tenants.clone());
            let reference = |(namespace, name): Place| ObjectRef::new(&name).within(&namespace);
            stream::iter(tenants.unwrap_or_default().into_iter().map(reference))
        });
        (Self { client, changed, open }, woken)
    }

    /// Watches what a tenant names, and no more what it named before. A tenant is woken once as soon
    /// as a watch of it stands: until then nobody looked.
    pub(super) fn follow(&self, tenant: &Tenant) {
        let place = place_of(tenant);
        let named = named(tenant);
        let mut open = lock(&self.open);
        open.retain(|secret, watch| {
            if !named.contains(secret) {
                watch.tenants.remove(&place);
            }
            !watch.tenants.is_empty()
        });
        for secret in named {
            if let Some(watch) = open.get_mut(&secret) {
                watch.tenants.insert(place.clone());
            } else if open.len() < MOST {
                let task =
                    tokio::spawn(keep(self.client.clone(), secret.clone(), self.changed.clone()));
                let tenants = BTreeSet::from([place.clone()]);
                open.insert(secret, Watch { tenants, task: task.abort_handle() });
            } else {
                warn!(tenant = ?place, "too many Secrets are watched: changes of this one's are seen late");
            }
        }
    }

    /// Forgets the tenants that are gone, when a watch tells of that.
    pub(super) fn forget(&self, event: &Event<Tenant>, known: &Store<Tenant>) {
        let gone = |(namespace, name): &Place| {
            known.get(&ObjectRef::new(name).within(namespace)).is_none()
        };
        let mut open = lock(&self.open);
        match event {
            Event::Delete(tenant) => {
                let place = place_of(tenant);
                open.values_mut().for_each(|watch| watch.tenants.retain(|known| *known != place));
            }
            // They may have been deleted while nobody watched.
            Event::InitDone => {
                open.values_mut().for_each(|watch| watch.tenants.retain(|place| !gone(place)));
            }
            Event::Init | Event::InitApply(_) | Event::Apply(_) => return,
        }
        open.retain(|_, watch| !watch.tenants.is_empty());
    }
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

fn place_of(tenant: &Tenant) -> Place {
    (tenant.namespace().unwrap_or_default(), tenant.name_any())
}

/// The Secrets that a tenant names, as far as there can be one of that name.
fn named(tenant: &Tenant) -> BTreeSet<Place> {
    if tenant.metadata.deletion_timestamp.is_some() {
        return BTreeSet::new();
    }
    let namespace = tenant.namespace().unwrap_or_default();
    let spec = &tenant.spec;
    let selectors = [&spec.trigger_event_sink, &spec.workflow_execution_sink];
    let selectors = selectors.into_iter().filter_map(sink::secret);
    // What else there is in a name would be read as a part of the selector.
    let can_be = |name: &str| {
        name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b".-".contains(&c))
    };
    let names = selectors.map(|selector| selector.name.clone()).filter(|name| can_be(name));
    names.map(|name| (namespace.clone(), name)).collect()
}

/// Tells of each change of a Secret, until nobody listens.
async fn keep(client: Client, secret: Place, mut changed: mpsc::Sender<Place>) {
    let (namespace, name) = &secret;
    let api = Api::<PartialObjectMeta<Secret>>::namespaced(client, namespace);
    let this_one = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = pin!(watcher(api, this_one).default_backoff());
    while let Some(event) = events.next().await {
        match event {
            // A list has been read: what it shows, and what it does not, may be new.
            Ok(Event::InitDone | Event::Apply(_) | Event::Delete(_)) => {
                if changed.send(secret.clone()).await.is_err() {
                    return;
                }
            }
            Ok(Event::Init | Event::InitApply(_)) => {}
            Err(error) => warn!(namespace, name, %error, "a Secret cannot be watched"),
        }
    }
}
