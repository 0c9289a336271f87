//! Real `kube_runtime` machinery over the in-memory cluster.

#![cfg(test)]

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::controller::Action;
use kube::runtime::{Controller, WatchStreamExt, reflector, watcher};
use kube::{Resource, ResourceExt};
use kube_memory::{Fault, MemoryCluster, Verb};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn config_map(name: &str, value: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
        data: Some([("key".to_owned(), value.to_owned())].into()),
        ..ConfigMap::default()
    }
}

/// Waits until a condition holds, for at most five seconds.
async fn eventually<F, T>(what: &str, mut check: F) -> T
where
    F: AsyncFnMut() -> Option<T>,
{
    for _ in 0..500 {
        if let Some(found) = check().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never came true: {what}");
}

/// Copies every `ConfigMap` into a `Secret` that it owns.
async fn copy(source: Arc<ConfigMap>, client: Arc<kube::Client>) -> kube::Result<Action> {
    let namespace = source.namespace().unwrap_or_default();
    let secrets: Api<Secret> = Api::namespaced((*client).clone(), &namespace);
    let copy = Secret {
        metadata: ObjectMeta {
            name: Some(source.name_any()),
            owner_references: source.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        string_data: source.data.clone(),
        ..Secret::default()
    };
    let params = PatchParams::apply("copier").force();
    secrets.patch(&source.name_any(), &params, &Patch::Apply(&copy)).await?;
    Ok(Action::await_change())
}

fn start(client: kube::Client, runs: Arc<AtomicUsize>) -> tokio::task::JoinHandle<()> {
    let controller =
        Controller::new(Api::<ConfigMap>::all(client.clone()), watcher::Config::default())
            .owns(Api::<Secret>::all(client.clone()), watcher::Config::default());
    let run = controller
        .run(
            move |source, client| {
                runs.fetch_add(1, Ordering::Relaxed);
                copy(source, client)
            },
            |_, _, _| Action::requeue(Duration::from_millis(20)),
            Arc::new(client),
        )
        .for_each(|_| std::future::ready(()));
    tokio::spawn(run)
}

#[tokio::test]
async fn a_controller_follows_its_objects() {
    let cluster = MemoryCluster::new();
    let client = cluster.client("default");
    let runs = Arc::new(AtomicUsize::new(0));
    let controller = start(client.clone(), Arc::clone(&runs));
    let sources: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let copies: Api<Secret> = Api::default_namespaced(client);

    sources.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    let copied = eventually("the copy", async || copies.get_opt("a").await.unwrap()).await;
    assert_eq!(copied.data.unwrap()["key"].0, b"1");

    let patch = json!({ "data": { "key": "2" } });
    sources.patch("a", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    eventually("the new copy", async || {
        let copy = copies.get("a").await.unwrap();
        (copy.data.unwrap()["key"].0 == b"2").then_some(())
    })
    .await;

    // Someone else's deletion is repaired.
    copies.delete("a", &DeleteParams::default()).await.unwrap();
    eventually("the repaired copy", async || copies.get_opt("a").await.unwrap()).await;

    // And the copy goes with its source.
    sources.delete("a", &DeleteParams::default()).await.unwrap();
    eventually("no copy", async || copies.get_opt("a").await.unwrap().is_none().then_some(()))
        .await;
    controller.abort();
}

#[tokio::test]
async fn a_converged_controller_writes_nothing() {
    let cluster = MemoryCluster::new();
    let client = cluster.client("default");
    let sources: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let source = sources.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    let (source, client) = (Arc::new(source), Arc::new(client));
    copy(Arc::clone(&source), Arc::clone(&client)).await.unwrap();
    let writes = cluster.writes();
    for _ in 0..100 {
        copy(Arc::clone(&source), Arc::clone(&client)).await.unwrap();
    }
    assert_eq!(cluster.writes(), writes);
    let patches = cluster.requests().iter().filter(|request| request.verb == Verb::Patch).count();
    assert_eq!(patches, 101);
}

#[tokio::test]
async fn a_controller_survives_faults() {
    let cluster = MemoryCluster::new();
    let faulty = cluster.with_faults(|request| match (request.verb, request.number % 6) {
        (Verb::Patch, 0 | 1) => Some(Fault::status(503, "ServiceUnavailable", "later")),
        (Verb::Patch, 2) => Some(Fault::reset().after_the_write()),
        (Verb::Patch, 3) => Some(Fault::too_many_requests(1)),
        _ => None,
    });
    let controller = start(faulty.client("default"), Arc::default());
    let client = cluster.client("default");
    let sources: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let copies: Api<Secret> = Api::default_namespaced(client);
    for index in 0..10 {
        let source = config_map(&format!("a-{index}"), "1");
        sources.create(&PostParams::default(), &source).await.unwrap();
    }
    eventually("all copies", async || {
        let copies = copies.list(&ListParams::default()).await.unwrap();
        (copies.items.len() == 10).then_some(())
    })
    .await;
    controller.abort();
}

#[tokio::test]
async fn a_reflector_mirrors_the_store() {
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let cluster = MemoryCluster::new();
        let client = cluster.client("default");
        let api: Api<ConfigMap> = Api::default_namespaced(client);
        for index in 0..150 {
            let object = config_map(&format!("a-{index}"), "1");
            api.create(&PostParams::default(), &object).await.unwrap();
        }
        let (store, writer) = reflector::store();
        let stream = reflector(writer, watcher(api.clone(), config)).applied_objects();
        let task = tokio::spawn(async move { stream.try_for_each(|_| async { Ok(()) }).await });
        store.wait_until_ready().await.unwrap();
        assert_eq!(store.len(), 150);
        api.delete("a-0", &DeleteParams::default()).await.unwrap();
        eventually("one less", async || (store.len() == 149).then_some(())).await;
        // A watch that lost its place begins anew.
        cluster.compact();
        api.create(&PostParams::default(), &config_map("b", "1")).await.unwrap();
        eventually("the new one", async || (store.len() == 150).then_some(())).await;
        task.abort();
    }
}
