//! The metadata API as programs: `relay-metadata-api` in sample mode, and `relay dev metadata`.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

mod dev;
mod program;
mod sample;
