//! Durations as Go writes them.

use std::time::Duration;

use jiff::SignedDuration;

/// Text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no duration such as 1h30m0s")]
pub(super) struct DurationError(String);

/// Reads a limit such as `1h30m0s`. None for no limit, which `0` stands for as well.
pub(super) fn limit(text: Option<&str>) -> Result<Option<Duration>, DurationError> {
    let Some(text) = text.map(str::trim).filter(|text| !matches!(*text, "" | "0")) else {
        return Ok(None);
    };
    let refused = || DurationError(text.to_owned());
    let read: SignedDuration = text.parse().map_err(|_| refused())?;
    let read = Duration::try_from(read).map_err(|_| refused())?;
    Ok((!read.is_zero()).then_some(read))
}

/// Writes a limit as Go does, in full seconds unless it is shorter than one.
pub(super) fn display(limit: Duration) -> String {
    let (seconds, nanoseconds) = (limit.as_secs(), limit.subsec_nanos());
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0) => format!("{}ms", limit.as_millis()),
        (0, 0, s) if nanoseconds == 0 => format!("{s}s"),
        (0, 0, _) => format!("{}s", limit.as_secs_f64()),
        (0, m, s) => format!("{m}m{s}s"),
        (h, m, s) => format!("{h}h{m}m{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_are_read_and_written() {
        for (text, seconds, written) in [
            ("1h0m0s", 3600.0, "1h0m0s"),
            ("1h30m", 5400.0, "1h30m0s"),
            ("90s", 90.0, "1m30s"),
            ("1.5s", 1.5, "1.5s"),
            ("300ms", 0.3, "300ms"),
        ] {
            let read = limit(Some(text)).unwrap().unwrap();
            assert_eq!(read, Duration::from_secs_f64(seconds), "{text}");
            assert_eq!(display(read), written);
        }
        for none in [None, Some(""), Some("0"), Some("0s"), Some("0h0m0s")] {
            assert_eq!(limit(none), Ok(None));
        }
        for wrong in ["-1s", "soon", "1", "1h-3m"] {
            assert!(limit(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
