//! Which evaluation errors a step was already told of.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use relay_core::{Action, ActionHash, Message, MessageSource};

use crate::authentication::Authenticated;
use crate::error::Chain;
use crate::router::App;

/// Tells the author of a step, once for each distinct text: clients ask until they get an answer.
/// That it could not be told is no reason to fail.
pub(crate) async fn report(app: &App, caller: &Authenticated, source: MessageSource, text: &str) {
    let Ok(journal) = caller.step_journal() else {
        return;
    };
    let key = Key::of(caller.action(), caller.instance(), text);
    if !app.reported.note(key) {
        return;
    }
    let message = Message::new(source, app.clock.now(), text);
    if let Err(error) = journal.add_message(message).await {
        app.reported.forget(key);
        tracing::warn!(error = %Chain(&error), "could not store a message");
    }
}

/// Remembers the latest messages, so that a client which asks again and again for broken conditions
/// adds one message and not thousands. After a restart one more may be added.
#[derive(Debug, Default)]
pub(crate) struct Reported(Mutex<Latest>);

#[derive(Debug, Default)]
struct Latest {
    known: HashSet<Key>,
    oldest_first: VecDeque<Key>,
}

/// One text, of one caller: actions of other runs and tenants may have the same hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(ActionHash, u64);

impl Key {
    pub(crate) fn of(action: &Action, instance: Option<&str>, text: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (instance, text).hash(&mut hasher);
        Self(action.hash(), hasher.finish())
    }
}

impl Reported {
    const CAPACITY: usize = 4096;

    /// Notes a message; whether it is new.
    pub(crate) fn note(&self, key: Key) -> bool {
        let mut latest = self.lock();
        if !latest.known.insert(key) {
            return false;
        }
        latest.oldest_first.push_back(key);
        if latest.oldest_first.len() > Self::CAPACITY
            && let Some(oldest) = latest.oldest_first.pop_front()
        {
            latest.known.remove(&oldest);
        }
        true
    }

    /// Forgets a message that could not be stored.
    pub(crate) fn forget(&self, key: Key) {
        let mut latest = self.lock();
        latest.known.remove(&key);
        latest.oldest_first.retain(|other| *other != key);
    }

    fn lock(&self) -> MutexGuard<'_, Latest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(step: &str, instance: &str, text: &str) -> Key {
        let step = Action::step("1".parse().unwrap(), step.parse().unwrap());
        Key::of(&step, Some(instance), text)
    }

    #[test]
    fn a_message_is_new_once_until_it_is_forgotten() {
        let reported = Reported::default();
        assert!(reported.note(key("a", "pod", "broken")));
        assert!(!reported.note(key("a", "pod", "broken")));
        assert!(reported.note(key("b", "pod", "broken")));
        assert!(reported.note(key("a", "another pod", "broken")));
        assert!(reported.note(key("a", "pod", "broken otherwise")));
        reported.forget(key("a", "pod", "broken"));
        assert!(reported.note(key("a", "pod", "broken")));
    }

    #[test]
    fn the_oldest_go_first() {
        let reported = Reported::default();
        let key = |index: usize| key("a", "pod", &index.to_string());
        for index in 0..=Reported::CAPACITY {
            assert!(reported.note(key(index)));
        }
        assert!(!reported.note(key(Reported::CAPACITY)));
        assert!(reported.note(key(0)));
    }
}
