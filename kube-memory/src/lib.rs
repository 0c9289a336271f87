//! An in-memory Kubernetes API for controllers and their tests.
