//! Vault: what is sent to it, what is made of its answers, and what of its faults.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect has failed"
)]

mod double;
mod faults;
mod owner;
mod real;
mod stage;
mod suite;
mod wire;
