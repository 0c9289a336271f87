//! What a run costs the API server.

use std::time::Duration;

use kube_memory::RequestInfo;
use serde_json::json;

use crate::tekton::Tekton;
use crate::world::World;

fn describe(request: &RequestInfo) -> String {
    let subresource = request.subresource.as_ref().map(|name| format!("/{name}"));
    let name = request.name.clone().unwrap_or_default();
    let what = format!("{}{}", request.resource, subresource.unwrap_or_default());
    format!("{:?} {what} {name}", request.verb).trim_end().to_owned()
}

#[tokio::test]
async fn a_run_of_one_step_takes_six_writes() {
    let world = World::running();
    world.create_tenant("demo").await;
    world.create_workflow("w", json!([{"name": "a", "image": "i", "command": "c"}])).await;
    // The tenant comes to rest first.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = world.cluster.requests().len();
    world.create_run("r", "w").await;
    world.finish("r", &mut Tekton::new(world.client.clone())).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let requests = world.cluster.requests();
    let ours = |request: &&RequestInfo| request.manager.as_deref() == Some("relay-operator");
    let writes: Vec<_> = requests[before..]
        .iter()
        .filter(|request| request.verb.is_write())
        .filter(ours)
        .map(describe)
        .collect();
    assert_eq!(
        writes,
        [
            "Patch runs r",
            "Create configmaps",
            "Create configmaps",
            "Create pipelineruns",
            "Patch runs/status r",
            "Patch runs/status r",
        ]
    );
    // And then nothing.
    let before = world.cluster.requests().len();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let idle = &world.cluster.requests()[before..];
    assert!(idle.iter().all(|request| !request.verb.is_write()), "{idle:?}");
}
