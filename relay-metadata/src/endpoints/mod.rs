//! The endpoints, one module each. They ask the caller's stores and never a network themselves.

pub(crate) mod conditions;
pub(crate) mod decorators;
pub(crate) mod environment;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod logs;
pub(crate) mod outputs;
pub(crate) mod secrets;
pub(crate) mod spec;
pub(crate) mod state;
pub(crate) mod status;
pub(crate) mod validate;
pub(crate) mod workflows;
