//! Time, as a thing that is handed in.

use std::fmt;

use jiff::Timestamp;

/// Tells the time. Reconcilers and evaluation never ask the system themselves.
///
/// ```
/// use relay_core::{Clock, FixedClock};
///
/// let clock = FixedClock("2031-02-03T04:05:06Z".parse()?);
/// assert_eq!(clock.now().as_second(), 1_927_857_906);
/// # Ok::<(), jiff::Error>(())
/// ```
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that stands still, for tests.
#[derive(Clone, Copy, Debug)]
pub struct FixedClock(pub Timestamp);

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        self.0
    }
}
