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
    if !app.reported.note(caller.action(), text) {
        return;
    }
    let message = Message::new(source, app.clock.now(), text);
    if let Err(error) = journal.add_message(message).await {
        app.reported.forget(caller.action(), text);
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

type Key = (ActionHash, u64);

impl Reported {
    const CAPACITY: usize = 4096;

    /// Notes a message; whether it is new.
    pub(crate) fn note(&self, action: &Action, text: &str) -> bool {
        let key = key(action, text);
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
    pub(crate) fn forget(&self, action: &Action, text: &str) {
        let key = key(action, text);
        let mut latest = self.lock();
        latest.known.remove(&key);
        latest.oldest_first.retain(|other| *other != key);
    }

    fn lock(&self) -> MutexGuard<'_, Latest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(action: &Action, text: &str) -> Key {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    (action.hash(), hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_new_once_until_it_is_forgotten() {
        let reported = Reported::default();
        let step = |name: &str| Action::step("1".parse().unwrap(), name.parse().unwrap());
        assert!(reported.note(&step("a"), "broken"));
        assert!(!reported.note(&step("a"), "broken"));
        assert!(reported.note(&step("b"), "broken"));
        assert!(reported.note(&step("a"), "broken otherwise"));
        reported.forget(&step("a"), "broken");
        assert!(reported.note(&step("a"), "broken"));
    }

    #[test]
    fn the_oldest_go_first() {
        let reported = Reported::default();
        let step = Action::step("1".parse().unwrap(), "a".parse().unwrap());
        for index in 0..=Reported::CAPACITY {
            assert!(reported.note(&step, &index.to_string()));
        }
        assert!(!reported.note(&step, &Reported::CAPACITY.to_string()));
        assert!(reported.note(&step, "0"));
    }
}
