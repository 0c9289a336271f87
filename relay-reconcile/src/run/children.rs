//! The TaskRuns and gates of every run, kept from watches, so that no reconcile lists anything.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt as _};
use relay_model::tekton::{PIPELINE_RUN_LABEL, PIPELINE_TASK_LABEL};
use tokio::sync::watch;

/// The objects of one PipelineRun by pipeline task. Names are shared: a copy costs no text.
pub(super) type ByTask<K> = BTreeMap<Arc<str>, Arc<K>>;
/// By namespace and PipelineRun. A reconcile holds what it was given; only news in the meantime copy it.
type ByRun<K> = HashMap<(String, String), Arc<ByTask<K>>>;

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

fn place<K: Resource>(object: &K) -> Option<((String, String), Arc<str>)> {
    let run = object.labels().get(PIPELINE_RUN_LABEL)?.clone();
    let task = object.labels().get(PIPELINE_TASK_LABEL)?.as_str().into();
    Some(((object.namespace().unwrap_or_default(), run), task))
}

fn insert<K: Resource + Clone>(map: &Mutex<ByRun<K>>, object: &K) {
    if let Some((run, task)) = place(object) {
        let mut map = lock(map);
        Arc::make_mut(map.entry(run).or_default()).insert(task, Arc::new(object.clone()));
    }
}

impl<K: Resource + Clone> Children<K> {
    /// Takes in what a watch said.
    pub(super) fn apply(&self, event: &Event<K>) {
        match event {
            Event::Init => lock(&self.relisted).clear(),
            Event::InitApply(object) => {
                insert(&self.relisted, object);
                // It wakes its run at once, which has to find it.
                insert(&self.known, object);
            }
            Event::InitDone => {
                let relisted = std::mem::take(&mut *lock(&self.relisted));
                *lock(&self.known) = relisted;
                self.complete.send_replace(true);
            }
            Event::Apply(object) => insert(&self.known, object),
            Event::Delete(object) => {
                if let Some((run, task)) = place(object) {
                    let mut known = lock(&self.known);
                    if let Some(tasks) = known.get_mut(&run) {
                        Arc::make_mut(tasks).remove(&task);
                        if tasks.is_empty() {
                            known.remove(&run);
                        }
                    }
                }
            }
        }
    }

    /// Waits for the first complete list: before that, "not there" means nothing.
    pub(super) async fn ready(&self) {
        // The sender lives as long as this.
        let _ = self.complete.subscribe().wait_for(|complete| *complete).await;
    }

    /// The objects of a PipelineRun, by pipeline task.
    pub(super) fn of(&self, namespace: &str, pipeline_run: &str) -> Arc<ByTask<K>> {
        let run = (namespace.to_owned(), pipeline_run.to_owned());
        lock(&self.known).get(&run).cloned().unwrap_or_default()
    }
}
