//! The watches that wake runs.

use std::future::Future;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Controller, WatchStreamExt as _, watcher};
use kube::{Api, Resource, ResourceExt as _};
use relay_model::annotation;
use relay_model::tekton::{CustomRun, PipelineRun, TaskRun};
use relay_model::v1beta1::{Run, Tenant, Workflow};
use tracing::{debug, warn};

use super::reconcile::{Reconciler, reconcile};
use crate::dependency::DependencyOf;
use crate::requeue::backoff;
use crate::{Context, Error};

/// How many runs are worked on at once.
const CONCURRENCY: u16 = 16;

/// Works on all runs until `stopped` is done, finishing what is being worked on.
pub async fn controller(
    context: Arc<Context>,
    stopped: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let client = &context.client;
    let reconciler = Arc::new(Reconciler::default());
    let ours = || watcher::Config::default().labels(annotation::RUN_ID);

    let index = Arc::clone(&reconciler);
    let task_runs = watcher(Api::<TaskRun>::all(client.clone()), ours())
        .default_backoff()
        .inspect_ok(move |event| index.task_runs.apply(event))
        .touched_objects();
    let index = Arc::clone(&reconciler);
    let gates = watcher(Api::<CustomRun>::all(client.clone()), ours())
        .default_backoff()
        .inspect_ok(move |event| index.gates.apply(event))
        .touched_objects();

    let controller = Controller::new(Api::<Run>::all(client.clone()), watcher::Config::default());
    let runs = controller.store();
    let waiting_in = move |namespace: Option<String>| {
        let waiting = |run: &Arc<Run>| {
            !run.status.as_ref().is_some_and(|status| status.is_completed())
                && !run.annotations().contains_key(annotation::TARGET_NAMESPACE)
        };
        let runs = runs.state().into_iter().filter(move |run| run.namespace() == namespace);
        runs.filter(waiting).map(|run| ObjectRef::from_obj(&*run)).collect::<Vec<_>>()
    };
    let waiting_for_tenant = waiting_in.clone();

    controller
        .with_config(Config::default().concurrency(CONCURRENCY))
        .watches(
            Api::<Workflow>::all(client.clone()),
            watcher::Config::default(),
            move |workflow| waiting_in(workflow.namespace()),
        )
        .watches(Api::<Tenant>::all(client.clone()), watcher::Config::default(), move |tenant| {
            waiting_for_tenant(tenant.namespace())
        })
        .watches(Api::<PipelineRun>::all(client.clone()), ours(), |object| run_of(&object))
        .watches(Api::<ConfigMap>::all(client.clone()), ours(), |object| run_of(&object))
        .watches_stream(task_runs, |object| run_of(&object))
        .watches_stream(gates, |object| run_of(&object))
        .graceful_shutdown_on(stopped)
        .run(
            |run, shared: Arc<(Arc<Context>, Arc<Reconciler>)>| async move {
                work(run, &shared.0, &shared.1).await
            },
            |run, error, shared| failed(&run, error, &shared.1),
            Arc::new((context, reconciler)),
        )
        .for_each(|result| async move {
            match result {
                Ok((run, _)) => debug!(%run, "reconciled"),
                Err(error) => debug!(%error, "not reconciled"),
            }
        })
        .await;
}

fn run_of<K: Resource>(object: &K) -> Option<ObjectRef<Run>> {
    DependencyOf::of(object.meta())?.object_ref()
}

async fn work(run: Arc<Run>, context: &Context, reconciler: &Reconciler) -> Result<Action, Error> {
    let uid = run.uid().unwrap_or_default();
    let action = reconcile(run, context, reconciler).await?;
    reconciler.succeeded(&uid);
    Ok(action)
}

fn failed(run: &Run, error: &Error, reconciler: &Reconciler) -> Action {
    let failures = reconciler.failed(&run.uid().unwrap_or_default());
    let wait = backoff(failures);
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    warn!(run = run.name_any(), %error, cause, retry_in = ?wait, "a reconcile failed");
    Action::requeue(wait)
}
