//! Waiting for what has to be installed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kube_memory::MemoryCluster;
use relay_model::{tekton, v1beta1};
use relay_reconcile::requirements::wait_for_kinds;

#[tokio::test(start_paused = true)]
async fn definitions_may_come_later_one_by_one() {
    let cluster = MemoryCluster::new();
    let ready = Arc::new(AtomicBool::new(false));
    let (client, told) = (cluster.client("default"), Arc::clone(&ready));
    let waiting = tokio::spawn(async move {
        wait_for_kinds(&client).await;
        told.store(true, Ordering::Relaxed);
    });
    let needed = ["runs", "tenants", "workflows", "pipelineruns", "taskruns", "customruns"];
    let definitions: Vec<_> =
        v1beta1::definitions().into_iter().chain(tekton::definitions()).collect();
    for plural in needed {
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!ready.load(Ordering::Relaxed), "{plural} is missing");
        let definition = definitions.iter().find(|d| d.spec.names.plural == plural).unwrap();
        cluster.register(definition).unwrap();
    }
    waiting.await.unwrap();
}
