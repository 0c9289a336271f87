//! Pods by address, kept by one watch.
//!
//! An address goes to the next pod as soon as its last one is gone, so an index that hears nothing
//! any more must not be believed: a pod of another tenant may call from there. While the watch is
//! lost, what the index says of a pod is asked of the API server, and what it does not know is no
//! reason to refuse anybody.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::StreamExt as _;
use kube::api::ListParams;
use kube::runtime::watcher as watch_pods;
use kube::runtime::watcher::{self, DefaultBackoff, Event};
use kube::{Api, Client, Resource as _};
use relay_core::AuthenticateError;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

use super::pod::{Pod, WirePod};

/// How long an address may be unknown before it is refused: a container may call before its address
/// reaches the watch.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many may wait at the same time.
const WAITERS: usize = 256;
/// How long after the loss of the watch the index is still believed. Most losses are mended sooner.
const BELIEVED: Duration = Duration::from_secs(5);
/// How often it is asked whether the API server is within reach. A watch whose connection hangs says
/// nothing of it for minutes.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long the API server may take to say so, or to say that a pod is still there.
const ANSWER: Duration = Duration::from_secs(5);

/// The live pods of a cluster, by address.
///
/// Clones share it. It knows what [`PodIndex::run`] tells it, which has to run all the time.
#[derive(Clone)]
pub struct PodIndex(Arc<Shared>);

struct Shared {
    pods: RwLock<Pods>,
    /// Counts changes; 0 until all pods were seen once.
    changes: watch::Sender<u64>,
    waiters: Semaphore,
    /// The API server did not answer: the watch is to be begun again.
    out_of_reach: Notify,
}

#[derive(Default)]
struct Pods {
    /// Since when there is no news. A new list, once it is whole, takes the place of all this.
    lost: Option<Instant>,
    by_uid: HashMap<Arc<str>, Arc<Pod>>,
    by_address: HashMap<IpAddr, Vec<Arc<Pod>>>,
}

/// A pod that calls from an address.
pub(super) struct Found {
    pub(super) pod: Arc<Pod>,
    /// The index had no news for a while: ask whether the pod is still there.
    pub(super) doubtful: bool,
}

/// What is known of an address.
enum Known {
    Pod(Found),
    /// Nobody in particular calls from there.
    HostNetwork,
    /// More than one pod: one of them is about to go, or nobody can tell them apart.
    Ambiguous,
    Nothing,
}

impl Default for PodIndex {
    fn default() -> Self {
        Self::new()
    }
}

impl PodIndex {
    /// An index that knows no pod yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            pods: RwLock::default(),
            changes: watch::Sender::new(0),
            waiters: Semaphore::new(WAITERS),
            out_of_reach: Notify::new(),
        }))
    }

    /// Watches the pods of all namespaces, for ever.
    pub async fn run(self, client: Client) {
        let api: Api<WirePod> = Api::all(client);
        tokio::join!(self.follow(&api), self.listen(&api));
    }

    async fn follow(&self, api: &Api<WirePod>) {
        let mut pauses = DefaultBackoff::default();
        loop {
            let mut seen = None;
            let mut changes = pin!(watch_pods(api.clone(), watcher::Config::default()));
            let failure = loop {
                let change = tokio::select! {
                    change = changes.next() => change,
                    () = self.0.out_of_reach.notified() => break None,
                };
                match change {
                    Some(Ok(change)) => self.apply(change, &mut seen),
                    Some(Err(error)) => break Some(error),
                    None => break None,
                }
            };
            self.lose();
            if let Some(error) = failure {
                tracing::warn!(%error, "the watch of pods failed and is begun again");
            }
            // From a new list on: a watch that goes on where it ended does not say when it has
            // caught up.
            let pause = pauses.next().unwrap_or(HEARTBEAT).min(HEARTBEAT);
            tokio::time::sleep(pause).await;
        }
    }

    async fn listen(&self, api: &Api<WirePod>) {
        let one = ListParams::default().limit(1);
        loop {
            tokio::time::sleep(HEARTBEAT).await;
            let answer = tokio::time::timeout(ANSWER, api.list_metadata(&one)).await;
            // One that is busy says so, and is there.
            let is_there = match answer {
                Ok(Ok(_)) => true,
                Ok(Err(kube::Error::Api(status))) => status.code == 429,
                _ => false,
            };
            if !is_there {
                tracing::warn!("the API server does not tell of pods");
                self.lose();
                self.0.out_of_reach.notify_waiters();
            }
        }
    }

    fn lose(&self) {
        let mut pods = self.0.pods.write().unwrap_or_else(PoisonError::into_inner);
        pods.lost.get_or_insert_with(Instant::now);
    }

    /// Whether all pods were seen, and there was news of them lately.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let pods = self.0.pods.read().unwrap_or_else(PoisonError::into_inner);
        *self.0.changes.borrow() > 0 && !pods.is_doubtful()
    }

    /// How many live pods it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.pods.read().unwrap_or_else(PoisonError::into_inner).by_uid.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes over a change. `seen` gathers a new list until it is whole.
    fn apply(&self, change: Event<WirePod>, seen: &mut Option<Pods>) {
        let mut guard = self.0.pods.write().unwrap_or_else(PoisonError::into_inner);
        match change {
            Event::Init => *seen = Some(Pods::default()),
            Event::InitApply(wire) => {
                if let (Some(pod), Some(new)) = (Pod::of(wire), seen.as_mut()) {
                    let known = guard.by_uid.get(&pod.uid).cloned();
                    new.insert(pod, known);
                }
                return;
            }
            Event::InitDone => *guard = seen.take().unwrap_or_default(),
            Event::Apply(wire) => {
                let uid = wire.meta().uid.clone().unwrap_or_default();
                let known = guard.remove(&uid);
                if let Some(pod) = Pod::of(wire) {
                    guard.insert(pod, known);
                }
            }
            Event::Delete(wire) => {
                guard.remove(wire.meta().uid.as_deref().unwrap_or_default());
            }
        }
        let whole = seen.is_none();
        drop(guard);
        if whole {
            self.0.changes.send_modify(|changes| *changes += 1);
        }
    }

    /// The one pod that calls from this address. An address that says nothing is waited for, since
    /// news of a pod may come later than its first request.
    ///
    /// While the index has seen nothing, or has no news, it cannot refuse anybody.
    pub(super) async fn find(&self, address: IpAddr) -> Result<Found, AuthenticateError> {
        match self.known(address) {
            Known::Pod(found) => return Ok(found),
            Known::HostNetwork => return Err(on_host()),
            Known::Ambiguous | Known::Nothing => {}
        }
        let refused = |cause: &str| AuthenticateError::refused(format!("{cause} at {address}"));
        let Ok(_permit) = self.0.waiters.try_acquire() else {
            if !self.is_ready() {
                return Err(AuthenticateError::Backend(Box::new(NoNews)));
            }
            return Err(refused("too many wait for news already, and there is no pod"));
        };
        let mut changes = self.0.changes.subscribe();
        let wait = async {
            loop {
                match self.known(address) {
                    Known::Pod(found) => return Ok(found),
                    Known::HostNetwork => return Err(on_host()),
                    Known::Ambiguous | Known::Nothing => {}
                }
                if changes.changed().await.is_err() {
                    return Err(refused("there is no pod"));
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, wait).await;
        found.unwrap_or_else(|_| match self.known(address) {
            _ if !self.is_ready() => Err(AuthenticateError::Backend(Box::new(NoNews))),
            Known::Ambiguous => Err(refused("there is more than one pod")),
            _ => Err(refused("there is no pod")),
        })
    }

    fn known(&self, address: IpAddr) -> Known {
        let pods = self.0.pods.read().unwrap_or_else(PoisonError::into_inner);
        match pods.by_address.get(&address).map(Vec::as_slice) {
            None | Some([]) => Known::Nothing,
            Some(there) if there.iter().any(|pod| pod.host_network) => Known::HostNetwork,
            Some([pod]) => Known::Pod(Found { pod: Arc::clone(pod), doubtful: pods.is_doubtful() }),
            Some(_) => Known::Ambiguous,
        }
    }
}

/// Why nothing can be said of an address.
#[derive(Debug, thiserror::Error)]
#[error("there is no news of pods from the API server")]
struct NoNews;

fn on_host() -> AuthenticateError {
    AuthenticateError::refused("the pod shares the address of its node")
}

impl fmt::Debug for PodIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PodIndex").field("pods", &self.len()).finish_non_exhaustive()
    }
}

impl Pods {
    fn is_doubtful(&self) -> bool {
        self.lost.is_some_and(|lost| lost.elapsed() >= BELIEVED)
    }

    /// Adds a pod, of which this was known before.
    fn insert(&mut self, mut pod: Pod, known: Option<Arc<Pod>>) {
        let pod = match known {
            Some(known) if known.version == pod.version => known,
            Some(known) => {
                pod.home = Arc::clone(&known.home);
                Arc::new(pod)
            }
            None => Arc::new(pod),
        };
        for address in &pod.addresses {
            self.by_address.entry(*address).or_default().push(Arc::clone(&pod));
        }
        self.by_uid.insert(pod.uid.clone(), pod);
    }

    fn remove(&mut self, uid: &str) -> Option<Arc<Pod>> {
        let pod = self.by_uid.remove(uid)?;
        for address in &pod.addresses {
            if let Some(there) = self.by_address.get_mut(address) {
                there.retain(|other| !Arc::ptr_eq(other, &pod));
                if there.is_empty() {
                    self.by_address.remove(address);
                }
            }
        }
        Some(pod)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kilobytes that this process holds.
    fn resident() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    fn wire(index: u32) -> WirePod {
        let [_, high, middle, low] = index.to_be_bytes();
        let ip = format!("10.{high}.{middle}.{low}");
        let pod = serde_json::json!({
            "metadata": {
                "name": format!("pod-{index}"), "namespace": "tenant",
                "uid": format!("00000000-0000-0000-0000-{index:012}"), "resourceVersion": "123456",
                "labels": {"a": "b".repeat(60)},
                "annotations": {
                    "relay.sh/subject": "s".repeat(46),
                    "relay.sh/token": "t".repeat(1400),
                    "other": "o".repeat(2000),
                },
                "managedFields": [{"manager": "m".repeat(2000)}],
            },
            "spec": {"containers": [{"name": "step-step", "image": "alpine"}]},
            "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]},
        });
        serde_json::from_value(pod).unwrap()
    }

    /// `cargo test -p relay-metadata ten_thousand -- --ignored --nocapture`, alone in its process.
    #[test]
    #[ignore = "measures the memory of the whole process"]
    fn ten_thousand_pods_need_less_than_40_mib() {
        let index = PodIndex::new();
        let mut seen = None;
        index.apply(Event::Apply(wire(20_000)), &mut seen);
        let before = resident();
        index.apply(Event::Init, &mut seen);
        for number in 0..10_000 {
            index.apply(Event::InitApply(wire(number)), &mut seen);
        }
        index.apply(Event::InitDone, &mut seen);
        assert_eq!(index.len(), 10_000);
        let kilobytes = resident().saturating_sub(before);
        assert!(kilobytes < 40 << 10, "{kilobytes} kB");
        eprintln!("10,000 pods: {kilobytes} kB");
    }

    #[test]
    fn changes_replace_and_ends_remove() {
        let index = PodIndex::new();
        let mut seen = None;
        for number in [1, 2, 1] {
            index.apply(Event::Apply(wire(number)), &mut seen);
        }
        assert_eq!(index.len(), 2);
        assert!(matches!(index.known("10.0.0.1".parse().unwrap()), Known::Pod(_)));
        index.apply(Event::Delete(wire(1)), &mut seen);
        assert!(matches!(index.known("10.0.0.1".parse().unwrap()), Known::Nothing));

        // A new list takes the place of all that was known, once it is whole.
        index.apply(Event::Init, &mut seen);
        index.apply(Event::InitApply(wire(3)), &mut seen);
        assert!(matches!(index.known("10.0.0.2".parse().unwrap()), Known::Pod(_)));
        index.apply(Event::InitDone, &mut seen);
        assert!(matches!(index.known("10.0.0.2".parse().unwrap()), Known::Nothing));
        assert!(matches!(index.known("10.0.0.3".parse().unwrap()), Known::Pod(_)));
    }
}
