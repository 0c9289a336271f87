//! Cluster mode with Vault: tokens that it sealed and checks, secrets that it holds. The Vault is a
//! double; or a real one, for the ignored test, of which `relay-store/tests/vault/real.rs` says what
//! it takes.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect has failed"
)]

mod callers;
mod canary;
#[expect(dead_code, reason = "the tests of the store use the rest")]
#[path = "../../../relay-store/tests/vault/double.rs"]
mod double;
mod installation;
#[path = "../shared/log.rs"]
mod log;
#[path = "../../../relay-store/tests/vault/owner.rs"]
mod owner;
#[expect(dead_code, reason = "the tests of the store use the rest")]
#[path = "../../../relay-store/tests/vault/stage.rs"]
mod stage;
#[expect(dead_code, reason = "the tests of cluster mode use the rest")]
#[path = "../cluster/world.rs"]
mod world;
