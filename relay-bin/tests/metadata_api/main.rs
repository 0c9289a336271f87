//! The metadata API as programs: `relay-metadata-api` in sample mode and in a cluster, also with a
//! Vault, and `relay dev metadata`.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

mod cluster;
mod dev;
#[expect(dead_code, reason = "the tests of the store use the rest")]
#[path = "../../../relay-store/tests/vault/double.rs"]
mod double;
mod program;
mod sample;
#[expect(dead_code, reason = "the tests of the store use the rest")]
#[path = "../../../relay-store/tests/vault/stage.rs"]
mod stage;
mod vault;
