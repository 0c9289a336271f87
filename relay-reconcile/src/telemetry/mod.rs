//! What controllers tell of their work: numbers for Prometheus, and Events on objects.

mod events;
mod metrics;

use std::any::Any;
use std::fmt::Debug;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures::FutureExt as _;
use kube::Resource;
use kube::runtime::controller::{self, Action};
use kube::runtime::events::EventType;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use tracing::{debug, info, warn};

pub use events::Events;
pub use metrics::Metrics;

use crate::Error;
pub(crate) use events::{News, of_run, of_tenant};

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
    /// Counts and times a reconcile. One that panics has failed, and stops no others.
    pub(crate) async fn reconcile<T>(
        &self,
        controller: &'static str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let _in_flight = self.metrics.begin(controller);
        let began = Instant::now();
        let work = AssertUnwindSafe(work).catch_unwind();
        let result = work.await.unwrap_or_else(|panic| Err(Error::Panicked(words(&*panic))));
        let reason = result.as_ref().err().map(Error::reason);
        self.metrics.reconciled(controller, reason, began.elapsed());
        result
    }

    /// Tells of a reconcile that failed so many times in a row.
    pub(crate) fn failed<K>(&self, object: &K, times: u32, error: &Error)
    where
        K: Resource<DynamicType = ()>,
    {
        let (error, reason) = (error.chain(), error.reason());
        let name = ObjectRef::from_obj(object);
        warn!(kind = %K::kind(&()), object = %name, error, reason, times, "a reconcile failed");
        if times >= NOTABLE_FAILURES {
            let reason = "ReconcileFailed".to_owned();
            self.events.tell(object, News { type_: EventType::Warning, reason, note: error });
        }
    }

    /// Tells of an object, in the log and in an Event.
    pub(crate) fn tell<K: Resource<DynamicType = ()>>(&self, object: &K, news: News) {
        let News { reason, note, .. } = &news;
        let name = ObjectRef::from_obj(object);
        info!(kind = %K::kind(&()), object = %name, reason, note, "changed");
        self.events.tell(object, news);
    }
}

/// What a controller says of each reconcile.
type Worked<K> = Result<(ObjectRef<K>, Action), controller::Error<Error, watcher::Error>>;

/// Logs what the controller itself met with. That a reconcile failed has been said by then.
pub(crate) fn note<K>(worked: Worked<K>)
where
    K: Resource<DynamicType = ()> + Debug,
{
    match worked {
        Ok((object, _)) => debug!(%object, "reconciled"),
        Err(controller::Error::QueueError(error)) => {
            let kind = K::kind(&());
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            warn!(controller = %kind, %error, cause, "a watch failed and is begun again");
        }
        Err(error) => debug!(%error, "not reconciled"),
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
