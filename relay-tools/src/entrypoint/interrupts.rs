//! What may come from outside while a step waits or runs.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A signal that is passed on to the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// `SIGINT`.
    Interrupt,
    /// `SIGQUIT`.
    Quit,
    /// `SIGTERM`.
    Terminate,
}

pub(super) struct Interrupts {
    cancel: CancellationToken,
    signals: Option<mpsc::Receiver<Signal>>,
}

impl Interrupts {
    pub(super) const fn new(
        cancel: CancellationToken,
        signals: Option<mpsc::Receiver<Signal>>,
    ) -> Self {
        Self { cancel, signals }
    }

    pub(super) fn cancelled(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// The next signal; never, if none can come.
    pub(super) async fn signal(&mut self) -> Signal {
        if let Some(signals) = &mut self.signals
            && let Some(signal) = signals.recv().await
        {
            return signal;
        }
        self.signals = None;
        std::future::pending().await
    }

    /// Ends as soon as there is a reason not to start the program.
    pub(super) async fn any(&mut self) {
        let cancelled = self.cancelled();
        tokio::select! {
            () = cancelled.cancelled() => {}
            _ = self.signal() => {}
        }
    }
}
