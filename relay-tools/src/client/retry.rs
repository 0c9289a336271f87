//! When to ask again, and how long to wait before.

use std::time::Duration;

use http::StatusCode;
use rand::TryRng as _;
use rand::rngs::SysRng;

/// Which failed requests are repeated, and for how long.
///
/// Requests that got no answer count as repeatable in every rule but [`Retry::never`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    within: Duration,
    rule: Rule,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Outages,
    AllButFinal,
}

impl Retry {
    /// Every request is sent once.
    pub const fn never() -> Self {
        Self { within: Duration::ZERO, rule: Rule::Outages }
    }

    /// The entrypoint's rule: 500, 502, 503 and 504 are repeated until `within` is over.
    pub const fn outages(within: Duration) -> Self {
        Self { within, rule: Rule::Outages }
    }

    /// The rule of `ni`: everything is repeated until `within` is over, except answers that
    /// will not change: 501 and statuses from 400 to 499 without 408, 425 and 429.
    pub const fn all_but_final(within: Duration) -> Self {
        Self { within, rule: Rule::AllButFinal }
    }

    /// How long one exchange may take with all its repetitions.
    pub const fn within(&self) -> Duration {
        self.within
    }

    pub(super) fn repeats(&self, status: StatusCode) -> bool {
        match self.rule {
            Rule::Outages => matches!(status.as_u16(), 500 | 502 | 503 | 504),
            Rule::AllButFinal => match status.as_u16() {
                408 | 425 | 429 => true,
                501 => false,
                code => code >= 500,
            },
        }
    }
}

/// Pauses that grow from 250 ms to 30 s, each drawn from the whole range below its limit so
/// that clients which failed together do not come back together.
#[derive(Debug)]
pub(crate) struct Backoff {
    limit: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(250);
    const LONGEST: Duration = Duration::from_secs(30);

    pub(crate) const fn new() -> Self {
        Self { limit: Self::FIRST }
    }

    pub(crate) fn pause(&mut self) -> Duration {
        let limit = self.limit;
        self.limit = limit.saturating_mul(2).min(Self::LONGEST);
        // Not the generator of the thread, which panics in a container without randomness.
        let part = SysRng.try_next_u32().unwrap_or(u32::MAX);
        limit.mul_f64(f64::from(part) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_stay_below_a_limit_that_doubles_up_to_thirty_seconds() {
        let mut backoff = Backoff::new();
        for limit in [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
            let pause = backoff.pause();
            assert!(pause <= Duration::from_millis(limit), "{pause:?} > {limit}");
        }
    }
}
