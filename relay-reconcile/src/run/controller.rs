//! The watches that wake runs.

use std::collections::{HashMap, HashSet};
use std::future::{self, Future};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::{ObjectMeta, PartialObjectMeta};
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::runtime::{Controller, WatchStreamExt as _, watcher};
use kube::{Api, Resource, ResourceExt as _};
use relay_model::annotation;
use relay_model::tekton::{CustomRun, CustomRunSpec, PipelineRun, TaskRun};
use relay_model::v1beta1::{Run, Tenant, Workflow};
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
/// After this time a reconcile is given up and tried again later: a call that never ends must not
/// hold one of the workers for good.
const DEADLINE: Duration = Duration::from_secs(300);

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
    let pipeline_runs = watcher(Api::<Unread<PipelineRun>>::all(client.clone()), ours())
        .default_backoff()
        .try_filter_map(|event| {
            let event = unread::read_or_skip(event, PipelineView::read, PipelineView::bare);
            future::ready(Ok(event))
        })
        .modify(|object| trim::to_links(&mut object.metadata))
        .reflect(pipeline_runs)
        .map_ok(move |event| stream::iter(news.of(event).into_iter().map(Ok)))
        .try_flatten();
    let index = Arc::clone(&reconciler);
    let task_runs = watcher(Api::<Unread<TaskRun>>::all(client.clone()), ours())
        .default_backoff()
        .try_filter_map(|event| {
            let event = unread::read_or_skip(event, TaskView::read, TaskView::bare);
            future::ready(Ok(event))
        })
        .modify(|object| trim::to_links(&mut object.metadata))
        .map_ok(move |event| stream::iter(index.task(event).into_iter().map(Ok)))
        .try_flatten();
    let index = Arc::clone(&reconciler);
    let gates = watcher(Api::<Unread<CustomRun>>::all(client.clone()), ours())
        .default_backoff()
        .try_filter_map(|event| {
            let bare =
                |metadata| CustomRun { metadata, ..CustomRun::new("", CustomRunSpec::default()) };
            future::ready(Ok(unread::read_or_skip(event, gate, bare)))
        })
        .modify(|object| trim::to_links(&mut object.metadata))
        .map_ok(move |event| stream::iter(index.gate(event).into_iter().map(Ok)))
        .try_flatten();
    // What changed in a map is read when it is needed; that something did is enough here.
    let maps = Api::<PartialObjectMeta<ConfigMap>>::all(client.clone());

    let (runs, writer) = reflector::store();
    let (known, told) = (runs.clone(), telemetry.clone());
    let (there, noted) = (runs.clone(), Arc::clone(&reconciler));
    let taken_by = Arc::clone(&context);
    let changes = watcher(context.custom_resources::<Unread<Run>>(), all())
        .default_backoff()
        .try_filter_map(move |event| {
            let context = Arc::clone(&taken_by);
            async move { Ok(take_in(&context, event).await) }
        })
        .inspect_ok(move |event| tell(event, &known, &told))
        .reflect(writer)
        .inspect_ok(move |event| forget_gone(event, &noted, &there))
        .applied_objects();
    let _counted = telemetry.metrics.watch_runs(runs.clone());
    let woken = stream::iter(reconciler.images.woken()).flatten();
    let shared = Arc::new(Shared { context: Arc::clone(&context), reconciler, runs: runs.clone() });
    let controller = Controller::for_stream(changes, runs.clone());
    let waiting_in = move |namespace: Option<String>| {
        let waiting = |run: &Arc<Run>| {
            let status = run.status.as_ref();
            !status.is_some_and(|status| status.is_completed() || status.start_time.is_some())
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
        .reconcile_on(woken)
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

/// Forgets what is noted of runs that are gone. Most are forgotten when their finalizer is taken away;
/// some never had one, or were deleted while nobody watched.
fn forget_gone(event: &Event<Run>, reconciler: &Reconciler, runs: &Store<Run>) {
    match event {
        Event::Delete(run) => reconciler.forget(run.metadata.uid.as_deref().unwrap_or_default()),
        Event::InitDone => {
            let there: HashSet<_> = runs.state().iter().filter_map(|run| run.uid()).collect();
            reconciler.keep(|uid| there.contains(uid));
        }
        _ => {}
    }
}

/// Picks the changes of PipelineRuns that matter: most tell of children, which are watched
/// themselves.
#[derive(Default)]
struct News {
    seen: HashMap<ObjectRef<PipelineView>, Seen>,
    /// What a list in progress has named so far.
    listed: HashSet<ObjectRef<PipelineView>>,
}

/// What is kept of a PipelineRun.
struct Seen {
    fingerprint: u64,
    /// The annotation that names its run.
    link: Option<String>,
}

impl News {
    fn of(&mut self, event: Event<PipelineView>) -> Vec<PipelineView> {
        match event {
            Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                self.listed.insert(ObjectRef::from_obj(&object));
                self.seen(object)
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                let gone = self.seen.extract_if(|reference, _| !listed.contains(reference));
                // Deleted while nobody watched.
                gone.map(|(reference, seen)| vanished(&reference, seen)).collect()
            }
            Event::Apply(object) => self.seen(object),
            Event::Delete(object) => {
                self.seen.remove(&ObjectRef::from_obj(&object));
                vec![object]
            }
        }
    }

    fn seen(&mut self, object: PipelineView) -> Vec<PipelineView> {
        let (reference, fingerprint) = (ObjectRef::from_obj(&object), object.fingerprint());
        let link = object.annotations().get(annotation::DEPENDENCY_OF).cloned();
        let before = self.seen.insert(reference, Seen { fingerprint, link });
        let is_news = before.is_none_or(|before| before.fingerprint != fingerprint);
        is_news.then_some(object).into_iter().collect()
    }
}

/// As much of a PipelineRun that is gone as tells whose it was.
fn vanished(reference: &ObjectRef<PipelineView>, seen: Seen) -> PipelineView {
    let link = seen.link.map(|link| (annotation::DEPENDENCY_OF.to_owned(), link));
    PipelineView::bare(ObjectMeta {
        name: Some(reference.name.clone()),
        namespace: reference.namespace.clone(),
        annotations: Some(link.into_iter().collect()),
        ..ObjectMeta::default()
    })
}

pub(super) fn run_of<K: Resource>(object: &K) -> Option<ObjectRef<Run>> {
    DependencyOf::of(object.meta())?.object_ref()
}

fn gate(gate: Unread<CustomRun>) -> serde_json::Result<CustomRun> {
    let (spec, status) = (gate.spec()?, gate.status()?);
    Ok(CustomRun { metadata: gate.metadata, spec, status })
}

/// What all reconciles share.
struct Shared {
    context: Arc<Context>,
    reconciler: Arc<Reconciler>,
    runs: Store<Run>,
}

impl Shared {
    fn is_there(&self, run: &Run) -> bool {
        let found = self.runs.get(&ObjectRef::from_obj(run));
        found.is_some_and(|found| found.metadata.uid == run.metadata.uid)
    }
}

/// Works on a run, and goes on as long as something happens to it.
async fn work(mut run: Arc<Run>, shared: &Shared) -> Result<Action, Error> {
    let Shared { context, reconciler, runs } = shared;
    reconciler.ready().await;
    let reference = ObjectRef::from_obj(&*run);
    let listener = reconciler.bells.listen(reference.clone());
    loop {
        let uid = run.uid().unwrap_or_default();
        let worked = Box::pin(reconcile(Arc::clone(&run), context, reconciler));
        let worked = async {
            let worked = tokio::time::timeout(DEADLINE, worked).await;
            worked.unwrap_or(Err(Error::TooLong(DEADLINE)))
        };
        let worked = context.telemetry.reconcile("run", worked).await;
        if !shared.is_there(&run) {
            // It went while it was worked on.
            reconciler.forget(&uid);
        }
        let action = match worked {
            Ok(action) => action,
            Err(error) => {
                reconciler.tell(&run, context, &error).await;
                return Err(error);
            }
        };
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
    if !shared.is_there(run) {
        return Action::await_change();
    }
    let uid = run.uid().unwrap_or_default();
    let (action, times) = shared.reconciler.failures.failed(&uid, shared.context.clock.now());
    shared.context.telemetry.failed(run, times, error);
    action
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipeline(name: &str) -> PipelineView {
        let link = DependencyOf {
            api_version: "relay.sh/v1beta1".to_owned(),
            kind: "Run".to_owned(),
            namespace: "ns".to_owned(),
            name: format!("run-of-{name}"),
            uid: "1".to_owned(),
        };
        let reference = ObjectRef::new(name).within("ns");
        vanished(&reference, Seen { fingerprint: 0, link: Some(link.to_json()) })
    }

    #[test]
    fn what_vanished_while_nobody_watched_is_news() {
        let mut news = News::default();
        let mut told = |event| {
            let objects = news.of(event);
            objects.iter().filter_map(run_of).map(|run| run.name).collect::<Vec<_>>()
        };
        assert_eq!(told(Event::Apply(pipeline("a"))), ["run-of-a"]);
        assert_eq!(told(Event::Apply(pipeline("a"))), [""; 0], "nothing new");
        assert_eq!(told(Event::Apply(pipeline("b"))), ["run-of-b"]);
        assert_eq!(told(Event::Init), [""; 0]);
        assert_eq!(told(Event::InitApply(pipeline("b"))), [""; 0]);
        assert_eq!(told(Event::InitDone), ["run-of-a"]);
        assert_eq!(told(Event::Delete(pipeline("b"))), ["run-of-b"]);
    }

    #[test]
    fn what_is_noted_of_runs_goes_with_them() {
        let run = |name: &str| {
            let mut run = Run { metadata: ObjectMeta::default(), ..Run::default() };
            (run.metadata.name, run.metadata.uid) = (Some(name.into()), Some(name.into()));
            run
        };
        let (runs, mut writer) = reflector::store();
        let reconciler = Reconciler::default();
        let noted = || ["a", "b", "c"].map(|uid| reconciler.failures.count(uid));
        for uid in ["a", "b", "c"] {
            reconciler.failures.failed(uid, jiff::Timestamp::UNIX_EPOCH);
        }
        let mut tell = |event| {
            writer.apply_watcher_event(&event);
            forget_gone(&event, &reconciler, &runs);
        };
        tell(Event::Apply(run("a")));
        assert_eq!(noted(), [1, 1, 1]);
        tell(Event::Delete(run("a")));
        assert_eq!(noted(), [0, 1, 1]);
        tell(Event::Init);
        tell(Event::InitApply(run("b")));
        assert_eq!(noted(), [0, 1, 1], "a list that is not complete says nothing");
        tell(Event::InitDone);
        assert_eq!(noted(), [0, 1, 0]);
    }
}
