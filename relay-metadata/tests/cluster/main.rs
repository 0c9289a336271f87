//! Cluster mode on an API in memory: who is let in by the address of its pod, and what it gets.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect has failed"
)]

mod accounts;
mod callers;
mod canary;
mod data;
mod keys;
#[path = "../shared/log.rs"]
mod log;
mod logs;
mod real;
mod world;
#[path = "../shared/wrong_claims.rs"]
mod wrong_claims;
