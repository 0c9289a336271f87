//! Asking an attempt to stop.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// A request to stop that can be made once. Clones make and see the same request.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop(Arc<State>);

#[derive(Debug, Default)]
struct State {
    why: OnceLock<Why>,
    requested: CancellationToken,
}

/// Why an attempt stops before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// `spec.status` says so; and `spec.statusMessage`, why.
    Cancelled(Option<Arc<str>>),
    /// The TaskRun was deleted.
    Deleted,
    /// The engine ends.
    Shutdown,
    /// It took too long.
    TimedOut,
}

impl Stop {
    pub(super) fn request(&self, why: Why) {
        // The first reason counts.
        let _ = self.0.why.set(why);
        self.0.requested.cancel();
    }

    /// Ends when there is a request.
    pub(super) async fn requested(&self) -> Why {
        self.0.requested.cancelled().await;
        self.0.why.get().cloned().unwrap_or(Why::Cancelled(None))
    }
}
