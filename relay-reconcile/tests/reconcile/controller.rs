//! What controllers pay attention to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kube_memory::{Fault, Verb};
use relay_reconcile::Context;
use serde_json::json;

use crate::tekton::Tekton;
use crate::world::World;

#[tokio::test]
async fn all_runs_go_on_that_were_there_before_the_operator() {
    let mut world = World::still();
    let faulty = world.cluster.with_faults(|request| {
        let lists = request.resource == "pipelineruns" && request.name.is_none();
        lists.then(|| Fault::delay(Duration::from_millis(100)))
    });
    let context = Context { client: faulty.client("default"), ..(*world.context).clone() };
    world.context = Arc::new(context);
    world.create_tenant("demo").await;
    world.create_workflow("w", json!([{"name": "a", "image": "i", "input": ["x"]}])).await;
    for name in ["one", "two", "three"] {
        world.create_run(name, "w").await;
    }
    let world = world.start();
    let mut tekton = Tekton::new(world.client.clone());
    for name in ["one", "two", "three"] {
        world.finish(name, &mut tekton).await;
    }
}

#[tokio::test]
async fn only_one_namespace_is_worked_on_where_one_is_named() {
    let mut world = World::still();
    let mut context = (*world.context).clone();
    context.settings.namespace = Some("elsewhere".to_owned());
    world.context = Arc::new(context);
    let world = world.start();
    world.create_tenant("demo").await;
    world.create_run("r", "w").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.runs().get("r").await.unwrap().status, None);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_ends_is_given_up() {
    let mut world = World::still();
    let stuck = AtomicBool::new(true);
    let cluster = world.cluster.with_faults(move |request| {
        let strikes = request.resource == "configmaps" && request.verb == Verb::Create;
        let strikes = strikes && stuck.swap(false, Ordering::Relaxed);
        strikes.then(|| Fault::delay(Duration::from_secs(100 * 3600)))
    });
    world.start_on(cluster.client("default"));
    world.create_tenant("demo").await;
    world.create_workflow("w", json!([{"name": "a", "image": "i", "command": "c"}])).await;
    world.create_run("r", "w").await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    world.finish("r", &mut Tekton::new(world.client.clone())).await;
}
