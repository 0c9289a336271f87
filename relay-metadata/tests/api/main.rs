//! The metadata API from outside: requests in, answers out, on the in-memory stores of relay-core.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect has failed"
)]

mod authentication;
mod conditions;
mod errors;
mod leaving;
#[path = "../shared/log.rs"]
mod log;
mod metrics;
mod outputs;
mod reports;
mod routing;
mod sample;
mod schemas;
mod serving;
mod spec;
mod tls;
mod values;
mod world;
#[path = "../shared/wrong_claims.rs"]
mod wrong_claims;
