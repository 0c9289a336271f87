//! The pods of a run over time, by the watch that everybody has.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::{ListParams, LogParams};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};
use tokio::task::AbortHandle;

use crate::cluster::Cluster;

/// What was seen of the pods of a run.
#[derive(Clone)]
pub(crate) struct Pods {
    seen: Arc<Mutex<Vec<Seen>>>,
    watch: AbortHandle,
    started: Instant,
}

/// One change.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Duration,
    pub(crate) step: String,
    pub(crate) phase: String,
}

impl Pods {
    pub(crate) fn watch(cluster: &Cluster, run: &str) -> Self {
        let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
        let selector = format!("controller.relay.sh/run-id={run}");
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (notes, started) = (Arc::clone(&seen), Instant::now());
        let watch = tokio::spawn(async move {
            let config = watcher::Config::default().labels(&selector);
            let mut changes = pin!(watcher(api, config).default_backoff());
            while let Ok(Some(event)) = changes.try_next().await {
                let (pod, gone) = match event {
                    Event::Apply(pod) | Event::InitApply(pod) => (pod, false),
                    Event::Delete(pod) => (pod, true),
                    Event::Init | Event::InitDone => continue,
                };
                let step = pod.annotations().get("relay.sh/step").cloned().unwrap_or_default();
                let phase = if gone { GONE.to_owned() } else { phase(pod) };
                let mut notes = notes.lock().unwrap();
                let last = notes.iter().rev().find(|seen: &&Seen| seen.step == step);
                if last.is_none_or(|last| last.phase != phase) {
                    notes.push(Seen { at: started.elapsed(), step, phase });
                }
            }
        });
        Self { seen, watch: watch.abort_handle(), started }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// All changes in the order in which they were seen.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// When the first pod of a step was seen.
    pub(crate) fn appeared(&self, step: &str) -> Option<Duration> {
        self.seen().iter().find(|seen| seen.step == step).map(|seen| seen.at)
    }

    /// When the pod of a step was seen to have ended.
    pub(crate) fn ended(&self, step: &str) -> Option<Duration> {
        let over = |seen: &&Seen| seen.step == step && is_over(&seen.phase);
        self.seen().iter().find(over).map(|seen| seen.at)
    }

    /// Waits until the pods that were seen are gone.
    pub(crate) async fn until_gone(&self, limit: Duration) {
        let started = Instant::now();
        loop {
            let last: BTreeMap<_, _> =
                self.seen().into_iter().map(|seen| (seen.step, seen.phase)).collect();
            if last.values().all(|phase| phase == GONE) {
                return;
            }
            assert!(started.elapsed() < limit, "{last:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A line for each change, with how many pods there were that had not ended.
    pub(crate) fn table(&self) -> String {
        let mut phases = BTreeMap::new();
        let mut lines = Vec::new();
        for Seen { at, step, phase } in self.seen() {
            phases.insert(step.clone(), is_over(&phase));
            let live = phases.values().filter(|over| !**over).count();
            lines.push(format!("{:6.2} s  {live} live  {step}: {phase}", at.as_secs_f64()));
        }
        lines.join("\n")
    }
}

const GONE: &str = "gone";
const ENDED: &str = "ended";

/// The pod's phase, or that its containers have ended, which the phase says a second later.
fn phase(pod: Pod) -> String {
    let status = pod.status.unwrap_or_default();
    let containers = status.container_statuses.unwrap_or_default();
    let ended = |container: &ContainerStatus| {
        container.state.as_ref().is_some_and(|state| state.terminated.is_some())
    };
    if !containers.is_empty() && containers.iter().all(ended) {
        return ENDED.to_owned();
    }
    status.phase.unwrap_or_default()
}

fn is_over(phase: &str) -> bool {
    matches!(phase, GONE | ENDED | "Succeeded" | "Failed")
}

impl Drop for Pods {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// What the program of a step printed.
pub(crate) async fn log(cluster: &Cluster, run: &str, step: &str) -> String {
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let selector = format!("controller.relay.sh/run-id={run}");
    let pods = api.list(&ListParams::default().labels(&selector)).await.unwrap();
    let of = |pod: &&Pod| pod.annotations().get("relay.sh/step").map(String::as_str) == Some(step);
    let pod = pods.iter().find(of).unwrap();
    let params = LogParams { container: Some("step-step".to_owned()), ..LogParams::default() };
    api.logs(&pod.name_any(), &params).await.unwrap()
}
