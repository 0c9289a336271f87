//! The watches that wake runs.

use std::collections::{HashMap, HashSet};
use std::future::{self, Future};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::runtime::{Controller, WatchStreamExt as _, watcher};
use kube::{Api, Resource, ResourceExt as _};
use relay_model::annotation;
use relay_model::tekton::CustomRun;
use relay_model::v1beta1::{Run, RunStatus, Tenant, Workflow};
use tracing::{Instrument as _, info_span};

use super::intake::take_in;
use super::observe::{PipelineView, TaskView};
use super::reconcile::{Reconciler, reconcile};
use crate::dependency::DependencyOf;
use crate::unread::Unread;
use crate::{Context, Error, Telemetry, telemetry, trim, unread};

/// How many objects are listed at once: what a page takes in memory is taken for good.
const PAGE: u32 = 100;
/// How long one stays with a run after the last thing that happened to it.
const PATIENCE: Duration = Duration::from_millis(5);

/// Works on all runs until `stopped` is done, finishing what is being worked on.
pub async fn controller(
    context: Arc<Context>,
    stopped: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let client = &context.client;
    let (seen, pipeline_runs) = reflector::store();
    let reconciler = Arc::new(Reconciler::new(seen));
    let telemetry = &context.telemetry;
    let ours = || watcher::Config::default().page_size(PAGE).labels(annotation::RUN_ID);
    let all = || watcher::Config::default().page_size(PAGE);

    let mut news = News::default();
    let pipeline_runs = watcher(Api::<PipelineView>::all(client.clone()), ours())
        .default_backoff()
        .modify(|object| trim::to_links(&mut object.metadata))
        .reflect(pipeline_runs)
        .try_filter_map(move |event| future::ready(Ok(news.of(event))));
    let index = Arc::clone(&reconciler);
    let task_runs = watcher(Api::<TaskView>::all(client.clone()), ours())
        .default_backoff()
        .modify(|object| trim::to_links(&mut object.metadata))
        .inspect_ok(move |event| {
            index.task_runs.apply(event);
            index.ring(event);
        })
        .touched_objects();
    let index = Arc::clone(&reconciler);
    let gates = watcher(Api::<Unread<CustomRun>>::all(client.clone()), ours())
        .default_backoff()
        .try_filter_map(|event| future::ready(Ok(unread::read(event, gate))))
        .modify(|object| trim::to_links(&mut object.metadata))
        .inspect_ok(move |event| {
            index.gates.apply(event);
            index.ring(event);
        })
        .touched_objects();
    // What changed in a map is read when it is needed; that something did is enough here.
    let maps = Api::<PartialObjectMeta<ConfigMap>>::all(client.clone());

    let (runs, writer) = reflector::store();
    let (known, told) = (runs.clone(), telemetry.clone());
    let taken_by = Arc::clone(&context);
    let changes = watcher(context.custom_resources::<Unread<Run>>(), all())
        .default_backoff()
        .try_filter_map(move |event| {
            let context = Arc::clone(&taken_by);
            async move { Ok(take_in(&context, event).await) }
        })
        .inspect_ok(move |event| tell(event, &known, &told))
        .reflect(writer)
        .applied_objects();
    let _counted = telemetry.metrics.watch_runs(runs.clone());
    let shared = Arc::new(Shared { context: Arc::clone(&context), reconciler, runs: runs.clone() });
    let controller = Controller::for_stream(changes, runs.clone());
    let waiting_in = move |namespace: Option<String>| {
        let waiting = |run: &Arc<Run>| {
            !run.status.as_ref().is_some_and(RunStatus::is_completed)
                && !run.annotations().contains_key(annotation::TARGET_NAMESPACE)
        };
        let runs = runs.state().into_iter().filter(move |run| run.namespace() == namespace);
        runs.filter(waiting).map(|run| ObjectRef::from_obj(&*run)).collect::<Vec<_>>()
    };
    let waiting_for_tenant = waiting_in.clone();

    controller
        .with_config(Config::default().concurrency(context.settings.workers))
        .watches(context.custom_resources::<Unread<Workflow>>(), all(), move |workflow| {
            waiting_in(workflow.namespace())
        })
        .watches(context.custom_resources::<Unread<Tenant>>(), all(), move |tenant| {
            waiting_for_tenant(tenant.namespace())
        })
        .watches_stream(pipeline_runs, |object| run_of(&object))
        .watches(maps, ours(), |object| run_of(&object))
        .watches_stream(task_runs, |object| run_of(&object))
        .watches_stream(gates, |object| run_of(&object))
        .graceful_shutdown_on(stopped)
        .run(
            |run, shared: Arc<Shared>| async move {
                let span = info_span!("run", run = %ObjectRef::from_obj(&*run));
                work(run, &shared).instrument(span).await
            },
            |run, error, shared| failed(&run, error, &shared),
            shared,
        )
        .for_each(|worked| async { telemetry::note(worked) })
        .await;
}

/// Tells of a change of a run. What a list shows for the first time has been told before, or ended
/// while nobody watched.
fn tell(event: &Event<Run>, known: &Store<Run>, telemetry: &Telemetry) {
    let (Event::Apply(run) | Event::InitApply(run)) = event else { return };
    let before = known.get(&ObjectRef::from_obj(run));
    if before.is_none() && matches!(event, Event::InitApply(_)) {
        return;
    }
    let before = before.as_ref().and_then(|run| run.status.as_ref());
    telemetry.metrics.run_changed(before, run);
    if let Some(status) = &run.status
        && let Some(news) = telemetry::of_run(before, status)
    {
        telemetry.tell(run, news);
    }
}

/// Picks the changes of PipelineRuns that matter: most tell of children, which are watched
/// themselves.
#[derive(Default)]
struct News {
    fingerprints: HashMap<ObjectRef<PipelineView>, u64>,
    /// What a list in progress has named so far.
    listed: HashSet<ObjectRef<PipelineView>>,
}

impl News {
    fn of(&mut self, event: Event<PipelineView>) -> Option<PipelineView> {
        match event {
            Event::Init => {
                self.listed.clear();
                None
            }
            Event::InitApply(object) => {
                self.listed.insert(ObjectRef::from_obj(&object));
                self.seen(object)
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                self.fingerprints.retain(|reference, _| listed.contains(reference));
                None
            }
            Event::Apply(object) => self.seen(object),
            Event::Delete(object) => {
                self.fingerprints.remove(&ObjectRef::from_obj(&object));
                Some(object)
            }
        }
    }

    fn seen(&mut self, object: PipelineView) -> Option<PipelineView> {
        let (reference, fingerprint) = (ObjectRef::from_obj(&object), object.fingerprint());
        (self.fingerprints.insert(reference, fingerprint) != Some(fingerprint)).then_some(object)
    }
}

pub(super) fn run_of<K: Resource>(object: &K) -> Option<ObjectRef<Run>> {
    DependencyOf::of(object.meta())?.object_ref()
}

/// A gate, if it is one that was made here.
fn gate(gate: Unread<CustomRun>) -> Option<CustomRun> {
    let (spec, status) = (gate.spec().ok()?, gate.status().ok()?);
    Some(CustomRun { metadata: gate.metadata, spec, status })
}

/// What all reconciles share.
struct Shared {
    context: Arc<Context>,
    reconciler: Arc<Reconciler>,
    runs: Store<Run>,
}

/// Works on a run, and goes on as long as something happens to it.
async fn work(mut run: Arc<Run>, shared: &Shared) -> Result<Action, Error> {
    let Shared { context, reconciler, runs } = shared;
    reconciler.ready().await;
    let uid = run.uid().unwrap_or_default();
    let reference = ObjectRef::from_obj(&*run);
    let listener = reconciler.bells.listen(reference.clone());
    loop {
        let action =
            context.telemetry.reconcile("run", reconcile(run, context, reconciler)).await?;
        reconciler.failures.forget(&uid);
        if !listener.hears(PATIENCE).await {
            return Ok(action);
        }
        run = match runs.get(&reference) {
            Some(run) => run,
            None => return Ok(action),
        };
    }
}

fn failed(run: &Run, error: &Error, shared: &Shared) -> Action {
    let uid = run.uid().unwrap_or_default();
    let (action, times) = shared.reconciler.failures.failed(&uid, shared.context.clock.now());
    shared.context.telemetry.failed(run, times, error);
    action
}
