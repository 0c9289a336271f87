//! The reconcilers of Relay: they turn custom resources into pipelines, and what happened into status.
