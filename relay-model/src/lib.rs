//! The documents of Relay: custom resources, the workflow file, and the conversion between them.
