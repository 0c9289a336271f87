//! The signals that end a run.

use relay_local::EngineError;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end a run.
pub(crate) struct Signals {
    cancel: [Signal; 3],
    quit: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// To end the steps, and then the run.
    Cancel,
    /// Not to wait for the steps.
    Leave,
}

impl Signals {
    pub(crate) fn new() -> Result<Self, EngineError> {
        let listen = |kind| {
            signal(kind)
                .map_err(|source| EngineError::Machine { doing: "listen to signals", source })
        };
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(listen);
        let cancel = [interrupt?, terminate?, hangup?];
        Ok(Self { cancel, quit: listen(SignalKind::quit())? })
    }

    pub(crate) async fn next(&mut self) -> Demand {
        let [interrupt, terminate, hangup] = &mut self.cancel;
        tokio::select! {
            _ = interrupt.recv() => Demand::Cancel,
            _ = terminate.recv() => Demand::Cancel,
            _ = hangup.recv() => Demand::Cancel,
            _ = self.quit.recv() => Demand::Leave,
        }
    }
}
