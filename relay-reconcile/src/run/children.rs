//! The TaskRuns and gates of every run, kept from watches, so that no reconcile lists anything.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt as _};
use relay_model::tekton::{PIPELINE_RUN_LABEL, PIPELINE_TASK_LABEL};
use tokio::sync::watch;

use super::objects::Names;
use crate::DependencyOf;

/// The objects of one PipelineRun by pipeline task. Names are shared: a copy costs no text.
pub(super) type ByTask<K> = BTreeMap<Arc<str>, Arc<K>>;
/// By namespace and PipelineRun, and then by the UID of the run: what an earlier run of a name left
/// may be there for a while beside what the present one has. A reconcile holds what it was given;
/// only news in the meantime copy it.
type ByRun<K> = HashMap<(String, String), Vec<(String, Arc<ByTask<K>>)>>;

/// The objects of one kind that belong to PipelineRuns.
#[derive(Debug)]
pub(super) struct Children<K> {
    known: Mutex<ByRun<K>>,
    /// What a relist has shown so far; takes the place of what was known when it is complete.
    relisted: Mutex<ByRun<K>>,
    /// Whether a list was complete once.
    complete: watch::Sender<bool>,
}

impl<K> Default for Children<K> {
    fn default() -> Self {
        let complete = watch::Sender::new(false);
        Self { known: Mutex::default(), relisted: Mutex::default(), complete }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where an object belongs.
struct Place {
    /// Namespace and PipelineRun.
    pipeline_run: (String, String),
    /// The UID of the run.
    run: String,
    /// The pipeline task.
    task: Arc<str>,
}

impl Place {
    fn of<K: Resource>(object: &K) -> Option<Self> {
        let pipeline_run = object.labels().get(PIPELINE_RUN_LABEL)?.clone();
        Some(Self {
            pipeline_run: (object.namespace().unwrap_or_default(), pipeline_run),
            run: DependencyOf::of(object.meta())?.uid,
            task: object.labels().get(PIPELINE_TASK_LABEL)?.as_str().into(),
        })
    }
}

fn insert<K: Resource + Clone>(map: &Mutex<ByRun<K>>, object: &K) {
    let Some(Place { pipeline_run, run, task }) = Place::of(object) else { return };
    let object = Arc::new(object.clone());
    let mut map = lock(map);
    let runs = map.entry(pipeline_run).or_default();
    match runs.iter_mut().find(|(uid, _)| *uid == run) {
        Some((_, tasks)) => drop(Arc::make_mut(tasks).insert(task, object)),
        None => runs.push((run, Arc::new([(task, object)].into()))),
    }
}

fn remove<K: Resource + Clone>(map: &Mutex<ByRun<K>>, object: &K) {
    let Some(Place { pipeline_run, run, task }) = Place::of(object) else { return };
    let mut map = lock(map);
    let Some(runs) = map.get_mut(&pipeline_run) else { return };
    for (_, tasks) in runs.iter_mut().filter(|(uid, _)| *uid == run) {
        Arc::make_mut(tasks).remove(&task);
    }
    runs.retain(|(_, tasks)| !tasks.is_empty());
    if runs.is_empty() {
        map.remove(&pipeline_run);
    }
}

impl<K: Resource + Clone> Children<K> {
    /// Takes in what a watch said. Gives back what has vanished while nobody watched.
    pub(super) fn apply(&self, event: &Event<K>) -> Vec<Arc<K>> {
        match event {
            Event::Init => lock(&self.relisted).clear(),
            Event::InitApply(object) => {
                insert(&self.relisted, object);
                // It wakes its run at once, which has to find it.
                insert(&self.known, object);
            }
            Event::InitDone => {
                let relisted = std::mem::take(&mut *lock(&self.relisted));
                let known = std::mem::replace(&mut *lock(&self.known), relisted);
                self.complete.send_replace(true);
                return self.vanished(known);
            }
            Event::Apply(object) => insert(&self.known, object),
            Event::Delete(object) => remove(&self.known, object),
        }
        Vec::new()
    }

    /// What was known and is not any more.
    fn vanished(&self, known: ByRun<K>) -> Vec<Arc<K>> {
        let now = lock(&self.known);
        let mut vanished = Vec::new();
        for (pipeline_run, runs) in known {
            let left = now.get(&pipeline_run).map(Vec::as_slice).unwrap_or_default();
            for (run, tasks) in runs {
                let left = left.iter().find(|(uid, _)| *uid == run).map(|(_, tasks)| tasks);
                let gone = |task: &Arc<str>| left.is_none_or(|left| !left.contains_key(task));
                let tasks = tasks.iter().filter(|(task, _)| gone(task));
                vanished.extend(tasks.map(|(_, object)| Arc::clone(object)));
            }
        }
        vanished
    }

    /// Waits for the first complete list: before that, "not there" means nothing.
    pub(super) async fn ready(&self) {
        // The sender lives as long as this.
        let _ = self.complete.subscribe().wait_for(|complete| *complete).await;
    }

    /// The objects of a PipelineRun that this run has, by pipeline task.
    pub(super) fn of(&self, names: &Names) -> Arc<ByTask<K>> {
        let known = lock(&self.known);
        let runs = known.get(&Self::key(names)).map(Vec::as_slice).unwrap_or_default();
        let ours = runs.iter().find(|(uid, _)| *uid == names.run.uid);
        ours.map(|(_, tasks)| Arc::clone(tasks)).unwrap_or_default()
    }

    /// An object that another run of the same name left.
    pub(super) fn left_over(&self, names: &Names) -> Option<Arc<K>> {
        let known = lock(&self.known);
        let mut others = known.get(&Self::key(names))?.iter();
        let (_, tasks) = others.find(|(uid, _)| *uid != names.run.uid)?;
        tasks.values().next().cloned()
    }

    fn key(names: &Names) -> (String, String) {
        (names.namespace.clone(), names.pipeline_run.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::api::ObjectMeta;
    use relay_model::annotation;
    use relay_model::tekton::CustomRun;
    use relay_model::v1beta1::{Run, RunSpec};

    fn run(name: &str, uid: &str) -> Run {
        let mut run = Run::new(name, RunSpec::default());
        run.metadata.namespace = Some("ns".to_owned());
        run.metadata.uid = Some(uid.to_owned());
        run
    }

    fn gate(run: &str, task: &str) -> CustomRun {
        gate_of(run, "1", task)
    }

    fn gate_of(run: &str, uid: &str, task: &str) -> CustomRun {
        let link = DependencyOf::new(&self::run(run, uid)).to_json();
        let labels = [(PIPELINE_RUN_LABEL, run), (PIPELINE_TASK_LABEL, task)];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let metadata = ObjectMeta {
            name: Some(format!("{run}-{task}")),
            namespace: Some("ns".to_owned()),
            labels: Some(labels.into()),
            annotations: Some([(annotation::DEPENDENCY_OF.to_owned(), link)].into()),
            ..ObjectMeta::default()
        };
        CustomRun { metadata, ..CustomRun::new("", Default::default()) }
    }

    #[test]
    fn a_list_tells_what_vanished_before_it() {
        let children = Children::default();
        let gone = |event| {
            let gone = children.apply(&event);
            let mut names: Vec<_> =
                gone.iter().map(|gate: &Arc<CustomRun>| gate.name_any()).collect();
            names.sort();
            names
        };
        for (run, task) in [("r", "a"), ("r", "b"), ("s", "a")] {
            assert_eq!(gone(Event::Apply(gate(run, task))), [""; 0]);
        }
        assert_eq!(gone(Event::Init), [""; 0]);
        assert_eq!(gone(Event::InitApply(gate("r", "b"))), [""; 0]);
        assert_eq!(gone(Event::InitDone), ["r-a", "s-a"]);
        let names = Names::new(&run("r", "1"), "ns");
        assert_eq!(children.of(&names).len(), 1);
        assert_eq!(gone(Event::Delete(gate("r", "b"))), [""; 0], "that is told as such");
        assert!(children.of(&names).is_empty());
    }

    #[test]
    fn what_an_earlier_run_left_is_not_of_this_one() {
        let children = Children::default();
        let names = |uid| Names::new(&run("r", uid), "ns");
        children.apply(&Event::Apply(gate_of("r", "1", "a")));
        children.apply(&Event::Apply(gate_of("r", "2", "a")));
        children.apply(&Event::Apply(gate_of("r", "2", "b")));
        assert_eq!((children.of(&names("1")).len(), children.of(&names("2")).len()), (1, 2));
        assert!(children.left_over(&names("2")).is_some());
        children.apply(&Event::Delete(gate_of("r", "1", "a")));
        assert!(children.left_over(&names("2")).is_none());
        assert_eq!((children.of(&names("1")).len(), children.of(&names("2")).len()), (0, 2));
    }
}
