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
        Vec::new()
    }

    /// What was known and is not any more.
    fn vanished(&self, known: ByRun<K>) -> Vec<Arc<K>> {
        let now = lock(&self.known);
        let mut vanished = Vec::new();
        for (run, tasks) in known {
            let left = now.get(&run);
            let gone = |task: &Arc<str>| left.is_none_or(|left| !left.contains_key(task));
            vanished
                .extend(tasks.iter().filter(|(task, _)| gone(task)).map(|(_, k)| Arc::clone(k)));
        }
        vanished
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

#[cfg(test)]
mod tests {
    use super::*;
    use kube::api::ObjectMeta;
    use relay_model::tekton::CustomRun;

    fn gate(run: &str, task: &str) -> CustomRun {
        let labels = [(PIPELINE_RUN_LABEL, run), (PIPELINE_TASK_LABEL, task)];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let metadata = ObjectMeta {
            name: Some(format!("{run}-{task}")),
            namespace: Some("ns".to_owned()),
            labels: Some(labels.into()),
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
        assert_eq!(children.of("ns", "r").len(), 1);
        assert_eq!(gone(Event::Delete(gate("r", "b"))), [""; 0], "that is told as such");
        assert!(children.of("ns", "r").is_empty());
    }
}
