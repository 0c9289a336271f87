//! t
#![cfg(test)]
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::*;
use kube_memory::MemoryCluster;
use futures::{StreamExt};
use serde_json::json;
use std::time::Instant;
#[tokio::test]
async fn perf() {
    let cluster = MemoryCluster::new();
    let client = cluster.client("default");
    let api: Api<ConfigMap> = Api::default_namespaced(client);
    let mut tasks = vec![];
    for _ in 0..10 {
        let api = api.clone();
        tasks.push(tokio::spawn(async move {
            let s = api.watch(&WatchParams::default(), "0").await.unwrap();
            s.take(5000).count().await
        }));
    }
    let t = Instant::now();
    for i in 0..5000 {
        let o: ConfigMap = serde_json::from_value(json!({"metadata":{"name":format!("a{i}"),"labels":{"a":"b"}},"data":{"x":"y".repeat(1000)}})).unwrap();
        api.create(&PostParams::default(), &o).await.unwrap();
    }
    println!("create 5000: {:?}", t.elapsed());
    for t in tasks { t.await.unwrap(); }
    println!("10 watchers done: {:?}", t.elapsed());
    let t = Instant::now();
    for i in 0..2000 {
        let p = json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":format!("a{i}")},"data":{"z":"1"}});
        api.patch(&format!("a{i}"), &PatchParams::apply("m"), &Patch::Apply(p)).await.unwrap();
    }
    println!("apply 2000: {:?}", t.elapsed());
    let t = Instant::now();
    for i in 0..2000 {
        let p = json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":format!("a{i}")},"data":{"z":"1"}});
        api.patch(&format!("a{i}"), &PatchParams::apply("m"), &Patch::Apply(p)).await.unwrap();
    }
    println!("noop apply 2000: {:?}", t.elapsed());
    let t = Instant::now();
    for _ in 0..10 { api.list(&ListParams::default()).await.unwrap(); }
    println!("10 lists of 5000: {:?}", t.elapsed());
    let t = Instant::now();
    for _ in 0..1 { api.list(&ListParams::default().labels("a=c")).await.unwrap(); }
    println!("selective list of 5000: {:?}", t.elapsed());
}
