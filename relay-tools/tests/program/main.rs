//! The program that is copied into pods, run as a pod would run it.

#[cfg(test)]
mod api;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod program;
