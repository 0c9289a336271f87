//! Leader election. Time is made up, so seconds cost nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube_memory::{Fault, MemoryCluster};
use relay_reconcile::leader::Candidate;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

fn candidate(cluster: &MemoryCluster, identity: &str) -> Candidate {
    Candidate::new(cluster.client("default"), "default", "lease", identity)
}

async fn lease(cluster: &MemoryCluster) -> Lease {
    Api::default_namespaced(cluster.client("default")).get("lease").await.unwrap()
}

async fn holder(cluster: &MemoryCluster) -> Option<String> {
    lease(cluster).await.spec.unwrap().holder_identity
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_the_other_waits_as_long_as_it_renews() {
    let cluster = MemoryCluster::new();
    let mut first = candidate(&cluster, "a").acquire().await;
    assert_eq!(holder(&cluster).await.as_deref(), Some("a"));
    let waiting = candidate(&cluster, "b");
    let both = async { tokio::join!(first.hold(), waiting.acquire()) };
    assert!(timeout(300 * SECOND, both).await.is_err(), "neither ended");
    assert_eq!(holder(&cluster).await.as_deref(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn who_lets_go_is_followed_at_once_and_who_is_gone_after_the_lease_ran_out() {
    let cluster = MemoryCluster::new();
    let first = candidate(&cluster, "a").acquire().await;
    first.release().await;
    assert_eq!(holder(&cluster).await, None);
    let began = Instant::now();
    let second = candidate(&cluster, "b").acquire().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    // It does not renew any more.
    drop(second);
    candidate(&cluster, "c").acquire().await;
    assert!((15 * SECOND..20 * SECOND).contains(&began.elapsed()), "{:?}", began.elapsed());
    let spec = lease(&cluster).await.spec.unwrap();
    assert_eq!((spec.holder_identity.as_deref(), spec.lease_transitions), (Some("c"), Some(2)));
}

#[tokio::test(start_paused = true)]
async fn of_many_that_begin_together_one_leads() {
    let cluster = MemoryCluster::new();
    let mut all = tokio::task::JoinSet::new();
    for number in 0..8 {
        let candidate = candidate(&cluster, &number.to_string());
        all.spawn(async move { timeout(10 * SECOND, candidate.acquire()).await.is_ok() });
    }
    assert_eq!(all.join_all().await.iter().filter(|leads| **leads).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_another_one_took_is_lost_at_the_next_renewal() {
    let cluster = MemoryCluster::new();
    let mut first = candidate(&cluster, "a").acquire().await;
    let api: Api<Lease> = Api::default_namespaced(cluster.client("default"));
    // A label is none of its business.
    let patch = json!({"metadata": {"labels": {"seen": "true"}}});
    api.patch("lease", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    assert!(timeout(60 * SECOND, first.hold()).await.is_err());
    let patch = json!({"spec": {"holderIdentity": "somebody"}});
    api.patch("lease", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    timeout(6 * SECOND, first.hold()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_cannot_renew_stops_before_another_one_may_lead() {
    let cluster = MemoryCluster::new();
    let broken = Arc::new(AtomicBool::new(false));
    let decide = Arc::clone(&broken);
    let faulty = cluster.with_faults(move |_| {
        decide.load(Ordering::Relaxed).then(|| Fault::status(500, "InternalError", "down"))
    });
    let mut first = candidate(&faulty, "a").acquire().await;
    let other = tokio::spawn({
        let candidate = candidate(&cluster, "b");
        async move {
            candidate.acquire().await;
            Instant::now()
        }
    });
    // What fails once is tried again.
    assert!(timeout(30 * SECOND, first.hold()).await.is_err());
    broken.store(true, Ordering::Relaxed);
    first.hold().await;
    let stopped = Instant::now();
    let taken = other.await.unwrap();
    assert!(taken.duration_since(stopped) >= 4 * SECOND, "{:?}", taken.duration_since(stopped));
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_down_is_waited_for() {
    let cluster = MemoryCluster::new();
    let broken = Arc::new(AtomicBool::new(true));
    let decide = Arc::clone(&broken);
    let faulty = cluster.with_faults(move |_| {
        decide.load(Ordering::Relaxed).then(|| Fault::status(503, "ServiceUnavailable", "down"))
    });
    let leads = tokio::spawn({
        let candidate = candidate(&faulty, "a");
        async move { candidate.acquire().await }
    });
    sleep(60 * SECOND).await;
    assert!(!leads.is_finished());
    broken.store(false, Ordering::Relaxed);
    timeout(5 * SECOND, leads).await.unwrap().unwrap();
}
