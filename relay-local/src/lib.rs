//! The embedded engine: the reconcilers, the metadata API and an executor on one machine.
