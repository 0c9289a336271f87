//! Room for recursion: trees may be nested 512 levels deep, and threads may have small stacks.

/// Runs a step of a recursion, on a fresh piece of stack when little is left.
pub(crate) fn grow<T>(step: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(128 * 1024, 2 * 1024 * 1024, step)
}
