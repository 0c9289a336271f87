//! How many files this process may have open, which limits how many steps it can run.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What a step takes at most: two pipes, a handle on its process, both ends of a connection to
/// the metadata API, and one more while it starts.
const PER_STEP: u64 = 6;
/// For everything else.
const RESERVED: u64 = 128;
/// More than this helps nobody, and some programs go through all numbers up to the limit.
const ENOUGH: u64 = 16 * 1024;

/// Raises the number of files that this process, and the steps that it starts, may have open, as
/// far as the system lets it. Many systems begin with 1024, which is enough for 149 steps at a
/// time; an executor runs no more than the limit allows.
///
/// For programs: a library does not change the limits of its process unasked.
///
/// # Errors
/// Whatever the system reports; the limit is as before then.
pub fn raise_open_file_limit() -> io::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = hard.min(ENOUGH);
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
    }
    Ok(())
}

/// How many of the steps that may run at a time can.
pub(super) fn places(wanted: usize) -> usize {
    let possible = getrlimit(Resource::RLIMIT_NOFILE).map_or(usize::MAX, |(soft, _)| {
        usize::try_from(soft.saturating_sub(RESERVED) / PER_STEP).unwrap_or(usize::MAX)
    });
    if possible < wanted {
        tracing::warn!(wanted, possible, "the limit of open files allows fewer steps at a time");
    }
    wanted.min(possible).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_a_place() {
        assert_eq!(places(0), 1);
        assert_eq!(places(1), 1);
        raise_open_file_limit().unwrap();
        assert!(places(usize::MAX) > 1);
    }
}
