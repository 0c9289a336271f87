//! Many runs at once. A measurement, so there is nothing of it in debug builds.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Resource as _, ResourceExt as _};
use kube_memory::MemoryCluster;
use relay_model::knative_condition::Condition;
use relay_model::tekton::{
    PIPELINE_RUN_LABEL, PIPELINE_TASK_LABEL, PipelineRun, TaskRun, TaskRunSpec, TaskRunStatus,
};
use relay_model::v1beta1::{RunStatus, Tenant};
use serde_json::json;

use crate::world::World;

/// Ends every PipelineRun of one step at once.
async fn instant_executor(client: kube::Client) {
    let pipelines: Api<PipelineRun> = Api::all(client.clone());
    let changes = watcher(pipelines, watcher::Config::default());
    let mut changes = std::pin::pin!(changes.default_backoff().applied_objects());
    while let Some(change) = changes.next().await {
        let Ok(pipeline) = change else { continue };
        if pipeline.status.is_some() {
            continue;
        }
        let (namespace, name) = (pipeline.namespace().unwrap(), pipeline.name_any());
        let task = &pipeline.spec.pipeline_spec.as_ref().unwrap().tasks[0];
        let given = task.task_spec.as_ref().unwrap().metadata.clone().unwrap();
        let mut labels = given.labels;
        labels.insert(PIPELINE_RUN_LABEL.to_owned(), name.clone());
        labels.insert(PIPELINE_TASK_LABEL.to_owned(), task.name.clone());
        let now = jiff::Timestamp::now();
        let done = |reason| vec![Condition::succeeded(Some(true), reason, "", now)];
        let metadata = ObjectMeta {
            name: Some(format!("{name}-task")),
            labels: Some(labels),
            annotations: Some(given.annotations),
            owner_references: Some(vec![pipeline.controller_owner_ref(&()).unwrap()]),
            ..ObjectMeta::default()
        };
        let tasks: Api<TaskRun> = Api::namespaced(client.clone(), &namespace);
        let task = TaskRun { metadata, spec: TaskRunSpec::default(), status: None };
        let task = tasks.create(&PostParams::default(), &task).await.unwrap();
        let status = TaskRunStatus { conditions: done("Succeeded"), ..Default::default() };
        let patch = Patch::Merge(json!({ "status": status }));
        tasks.patch_status(&task.name_any(), &PatchParams::default(), &patch).await.unwrap();
        let pipelines: Api<PipelineRun> = Api::namespaced(client.clone(), &namespace);
        let patch = Patch::Merge(json!({"status": {"conditions": done("Completed")}}));
        pipelines.patch_status(&name, &PatchParams::default(), &patch).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "a measurement; `RELAY_RUNS` says how many"]
async fn five_thousand_runs() {
    let number = std::env::var("RELAY_RUNS").ok().and_then(|number| number.parse().ok());
    let number = number.unwrap_or(5_000);
    // As much history as an API server keeps in a few minutes.
    let mut world = World::still_on(MemoryCluster::with_history(100_000));
    world.create_tenant("demo").await;
    world.create_workflow("w", json!([{"name": "a", "image": "i", "command": "c"}])).await;
    let tenants: Api<Tenant> = Api::default_namespaced(world.client.clone());
    for _ in 0..2 {
        let tenant = tenants.get("demo").await.unwrap().into();
        relay_reconcile::tenant::reconcile(tenant, &world.context).await.unwrap();
    }
    for run in 0..number {
        world.create_run(&format!("r-{run}"), "w").await;
    }
    let executor = tokio::spawn(instant_executor(world.client.clone()));
    let start = Instant::now();
    world.start_on(world.client.clone());
    let changes = watcher(world.runs(), watcher::Config::default());
    let mut changes = std::pin::pin!(changes.default_backoff().applied_objects());
    let mut finished = HashSet::new();
    while finished.len() < number {
        let limit = Duration::from_secs(300).saturating_sub(start.elapsed());
        let change = tokio::time::timeout(limit, changes.next()).await;
        let Ok(change) = change else { panic!("{} runs in five minutes", finished.len()) };
        let Some(Ok(run)) = change else { continue };
        if run.status.as_ref().is_some_and(RunStatus::is_completed) {
            finished.insert(run.name_any());
        }
    }
    println!("{number} runs of one step: {:.1} s", start.elapsed().as_secs_f64());
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    executor.abort();
}
