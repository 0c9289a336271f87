//! Durations for people.

use jiff::SignedDuration;

/// `0.42s`, `42s`, `3m 5s`.
pub(crate) fn short(duration: SignedDuration) -> String {
    if duration < SignedDuration::from_secs(10) {
        return format!("{:.2}s", duration.as_secs_f64());
    }
    format!("{:#}", SignedDuration::from_secs(duration.as_secs()))
}
