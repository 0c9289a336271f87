//! The signals that end a run.

use relay_local::EngineError;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end a run.
pub(crate) struct Signals([Signal; 3]);

impl Signals {
    pub(crate) fn new() -> Result<Self, EngineError> {
        let listen = |kind| {
            signal(kind)
                .map_err(|source| EngineError::Machine { doing: "listen to signals", source })
        };
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(listen);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    pub(crate) async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
