//! When to try again after a failure.

use std::time::Duration;

use jiff::Timestamp;

/// The longest wait between two tries.
const MAX: Duration = Duration::from_secs(300);

/// The wait after so many failures in a row: doubling from 50 ms, with jitter so that many objects
/// do not come back at once; the nanoseconds of `now` are random enough for that.
pub(crate) fn backoff(failures: u32, now: Timestamp) -> Duration {
    let base = Duration::from_millis(50).saturating_mul(1 << failures.min(13)).min(MAX);
    let fraction = now.subsec_nanosecond().unsigned_abs() % 1000;
    base.mul_f64(0.5 + f64::from(fraction) / 2000.0)
}
