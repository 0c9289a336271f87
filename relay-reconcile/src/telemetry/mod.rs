//! What controllers tell of their work: numbers for Prometheus, and Events on objects.

mod events;
mod metrics;

use std::fmt::Display;
use std::time::Instant;

use kube::Resource;
use kube::runtime::events::EventType;

pub use events::Events;
pub use metrics::Metrics;

use crate::Error;
use events::News;
pub(crate) use events::{of_run, of_tenant};

/// Numbers and Events. The default one counts, and publishes no Events.
#[derive(Clone, Debug, Default)]
pub struct Telemetry {
    /// The numbers.
    pub metrics: Metrics,
    /// The Events.
    pub events: Events,
}

/// From this failure in a row on a failing reconcile is an Event: many a failure, such as a
/// conflict, is over with the next try.
const NOTABLE_FAILURES: u32 = 4;

impl Telemetry {
    /// Counts and times a reconcile.
    pub(crate) async fn reconcile<T>(
        &self,
        controller: &'static str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let _in_flight = self.metrics.begin(controller);
        let began = Instant::now();
        let result = work.await;
        let reason = result.as_ref().err().map(Error::reason);
        self.metrics.reconciled(controller, reason, began.elapsed());
        result
    }

    /// Tells of a reconcile that failed so many times in a row.
    pub(crate) fn failed<K>(&self, object: &K, times: u32, error: &dyn Display)
    where
        K: Resource<DynamicType = ()>,
    {
        if times >= NOTABLE_FAILURES {
            let news = News {
                type_: EventType::Warning,
                reason: "ReconcileFailed".to_owned(),
                note: error.to_string(),
            };
            self.events.tell(object, news);
        }
    }
}
