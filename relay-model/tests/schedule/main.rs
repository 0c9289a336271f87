//! Schedules: the dialect, and the times at which they fire.

#[cfg(test)]
mod dialect;
#[cfg(test)]
mod times;
