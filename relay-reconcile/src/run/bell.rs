//! Staying with a run for a moment after working on it.
//!
//! The queue of a controller counts in milliseconds, and so does the time that one step of a run
//! takes until the next one: where steps are short, the queue would take most of the run's time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::runtime::reflector::ObjectRef;
use relay_model::v1beta1::Run;
use tokio::sync::Notify;

/// Who works on a run at the moment, to be told of what happens to it.
#[derive(Debug, Default)]
pub(super) struct Bells(Mutex<HashMap<ObjectRef<Run>, Arc<Notify>>>);

impl Bells {
    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectRef<Run>, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whoever works on a run that something happened. Nobody may.
    pub(super) fn ring(&self, run: &ObjectRef<Run>) {
        if let Some(bell) = self.lock().get(run) {
            bell.notify_one();
        }
    }

    /// Listens for news of a run, also of those that come before they are waited for. One at a
    /// time works on a run.
    pub(super) fn listen(&self, run: ObjectRef<Run>) -> Listener<'_> {
        let bell = Arc::clone(self.lock().entry(run.clone()).or_default());
        Listener { bells: self, run, bell }
    }
}

/// Somebody who works on a run.
pub(super) struct Listener<'b> {
    bells: &'b Bells,
    run: ObjectRef<Run>,
    bell: Arc<Notify>,
}

impl Listener<'_> {
    /// Whether something happens within this time, or has happened since the last time.
    pub(super) async fn hears(&self, patience: Duration) -> bool {
        tokio::time::timeout(patience, self.bell.notified()).await.is_ok()
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        self.bells.lock().remove(&self.run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_who_listens_hears_and_only_of_its_run() {
        let (bells, patience) = (Bells::default(), Duration::from_millis(5));
        let run = |name| ObjectRef::<Run>::new(name).within("default");
        bells.ring(&run("a"));
        let listener = bells.listen(run("a"));
        assert!(!listener.hears(patience).await, "before anybody listened");
        bells.ring(&run("b"));
        assert!(!listener.hears(patience).await, "another run");
        bells.ring(&run("a"));
        bells.ring(&run("a"));
        assert!(listener.hears(patience).await, "while nobody waited");
        assert!(!listener.hears(patience).await, "once is enough");
        drop(listener);
        assert!(bells.lock().is_empty());
    }
}
