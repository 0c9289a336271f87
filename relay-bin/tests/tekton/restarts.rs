//! Runs go on while the engine itself comes and goes.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use relay_model::v1beta1::RunStatus;
use serde_json::json;

use crate::cluster::{Cluster, image, outputs, summary};
use crate::pods::Pods;

/// Where the engine is installed.
const ENGINE: &str = "relay-system";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Tekton and a node: .ci/tekton"]
async fn the_engine_may_be_killed_at_any_time() {
    let cluster = Cluster::new("restarts").await;
    let pods = Pods::watch(&cluster, "restarts");
    let engine: Api<Pod> = Api::namespaced(cluster.client.clone(), ENGINE);
    let image = image();
    let count = |from: &str| format!("sleep 4; ni output set -k n -v $(({from} + 1)) >/dev/null");
    let next = |name: &str, before: &str| {
        json!({
            "name": name, "image": image, "spec": {"n": format!("${{outputs.{before}.n}}")},
            "input": [count("$(ni get -p '{.n}')")],
        })
    };
    let first = json!({"name": "one", "image": image, "input": [count("0")]});
    let steps = json!([first, next("two", "one"), next("three", "two")]);
    cluster.start("restarts", json!({}), steps).await;
    for step in ["one", "two", "three"] {
        while pods.appeared(step).is_none() {
            let status = cluster.runs().get("restarts").await.unwrap().status.unwrap_or_default();
            assert!(!status.is_completed(), "{:?}", summary(&status));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // While the step is being started, so that it is in somebody's way.
        let now = DeleteParams::default().grace_period(0);
        engine.delete_collection(&now, &ListParams::default()).await.unwrap();
    }
    let status = cluster.until("restarts", RunStatus::is_completed).await;
    println!("{}\nended at {:.2} s", pods.table(), pods.elapsed().as_secs_f64());
    assert_eq!(
        summary(&status),
        ["one: True Succeeded", "two: True Succeeded", "three: True Succeeded", "run: True"]
    );
    assert_eq!(outputs(&status, "three"), [("n".to_owned(), "\"3\"".to_owned())]);
    cluster.remove().await;
}
