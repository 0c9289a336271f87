//! When to try again after a failure.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kube::runtime::controller::Action;

/// The longest wait between two tries.
const MAX: Duration = Duration::from_secs(300);

/// Failures in a row, by the UID of the object.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<HashMap<String, u32>>);

impl Failures {
    /// Counts a failure: the object comes back later the more of them there were. Says how many
    /// that is in a row.
    pub(crate) fn failed(&self, uid: &str, now: Timestamp) -> (Action, u32) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(uid.to_owned()).or_default();
        let before = *count;
        *count = count.saturating_add(1);
        (Action::requeue(backoff(before, now)), *count)
    }

    /// How many failures in a row there were.
    pub(crate) fn count(&self, uid: &str) -> u32 {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(uid).copied().unwrap_or_default()
    }

    /// Forgets all but these.
    pub(crate) fn keep(&self, is_there: impl Fn(&str) -> bool) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|uid, _| is_there(uid));
    }

    /// Begins anew.
    pub(crate) fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

/// The wait after so many failures in a row: doubling from 50 ms, with jitter so that many objects
/// do not come back at once; the nanoseconds of `now` are random enough for that.
fn backoff(failures: u32, now: Timestamp) -> Duration {
    let base = Duration::from_millis(50).saturating_mul(1 << failures.min(13)).min(MAX);
    let fraction = now.subsec_nanosecond().unsigned_abs() % 1000;
    base.mul_f64(0.5 + f64::from(fraction) / 2000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_begin_anew() {
        let failures = Failures::default();
        // On a full second the jitter takes half of the wait.
        let fail = |uid| failures.failed(uid, Timestamp::UNIX_EPOCH).0;
        let wait = |milliseconds| Action::requeue(Duration::from_millis(milliseconds));
        assert_eq!([fail("a"), fail("a"), fail("a"), fail("b")], [25, 50, 100, 25].map(wait));
        failures.forget("a");
        assert_eq!(fail("a"), wait(25));
        for _ in 0..100 {
            fail("a");
        }
        assert_eq!(fail("a"), wait(150_000));
    }
}
