//! The metadata API as programs: `relay-metadata-api` in sample mode and in a cluster, and
//! `relay dev metadata`.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

mod cluster;
mod dev;
mod program;
mod sample;
