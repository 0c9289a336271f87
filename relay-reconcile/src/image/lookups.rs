//! Which images are being asked for, what was found, and who waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::channel::mpsc;
use jiff::{SignedDuration, Timestamp};
use kube::runtime::reflector::ObjectRef;
use relay_core::{ImageError, ImageInspector, ImageProgram};
use relay_model::v1beta1::Run;
use tokio::sync::Semaphore;

use super::logins::logins;
use crate::Context;

/// What came of asking.
pub(crate) type Found = Result<ImageProgram, ImageError>;

/// How many registries are asked at once.
const AT_ONCE: usize = 8;
/// How long one image may take, all tries included.
const PATIENCE: Duration = Duration::from_secs(60);
/// The waits between tries.
const WAITS: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(8)];
/// How long an answer holds: for an image by digest, by tag, and for none.
const BY_DIGEST: SignedDuration = SignedDuration::from_hours(24);
const BY_TAG: SignedDuration = SignedDuration::from_mins(1);
const FAILED: SignedDuration = SignedDuration::from_secs(20);
/// How much longer it holds for the runs that were waiting for it: such a run may wait for others,
/// and it begins once all of them are there.
const PROMISED: SignedDuration = SignedDuration::from_hours(1);
/// The most answers that are kept.
const KEPT: usize = 4096;

/// An image as pods of a namespace pull it: others may have other logins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    namespace: String,
    account: String,
    image: String,
}

#[derive(Debug)]
enum Lookup {
    /// It is being asked for, since then; or it is going to be.
    Pending { since: Option<Timestamp>, waiting: Vec<ObjectRef<Run>> },
    /// It was answered. That holds until then, and longer for the runs that waited, by UID.
    Done { found: Found, until: Timestamp, waited: Vec<Option<String>> },
}

/// All look-ups.
#[derive(Debug)]
pub(crate) struct Lookups {
    known: Mutex<HashMap<Place, Lookup>>,
    places: Semaphore,
    done: mpsc::UnboundedSender<ObjectRef<Run>>,
    /// Until a controller takes it.
    woken: Mutex<Option<mpsc::UnboundedReceiver<ObjectRef<Run>>>>,
}

impl Default for Lookups {
    fn default() -> Self {
        let (done, woken) = mpsc::unbounded();
        Self {
            known: Mutex::default(),
            places: Semaphore::new(AT_ONCE),
            done,
            woken: Mutex::new(Some(woken)),
        }
    }
}

impl Lookups {
    fn known(&self) -> MutexGuard<'_, HashMap<Place, Lookup>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The runs whose images were answered for, for the one who asks first.
    pub(crate) fn woken(&self) -> Option<mpsc::UnboundedReceiver<ObjectRef<Run>>> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What is known of an image. Where nothing is, its registry is asked, and the run is woken when
    /// that is done.
    pub(crate) fn find(
        self: &Arc<Self>,
        context: &Context,
        inspector: &Arc<dyn ImageInspector>,
        (namespace, account): (&str, &str),
        image: &str,
        run: &ObjectRef<Run>,
    ) -> Option<Found> {
        let now = context.clock.now();
        let place = Place {
            namespace: namespace.to_owned(),
            account: account.to_owned(),
            image: image.to_owned(),
        };
        let mut known = self.known();
        match known.get_mut(&place) {
            Some(Lookup::Done { found, until, waited })
                if now < *until
                    || (waited.contains(&run.extra.uid)
                        && now.duration_since(*until) < PROMISED) =>
            {
                return Some(found.clone());
            }
            // One that takes longer than it may has been lost.
            Some(Lookup::Pending { since, waiting })
                if since.is_none_or(|since| {
                    now.duration_since(since).unsigned_abs() < 2 * PATIENCE
                }) =>
            {
                if !waiting.contains(run) {
                    waiting.push(run.clone());
                }
                return None;
            }
            _ => {}
        }
        if known.len() >= KEPT {
            known.retain(|_, lookup| matches!(lookup, Lookup::Pending { .. }));
        }
        known.insert(place.clone(), Lookup::Pending { since: None, waiting: vec![run.clone()] });
        drop(known);
        let (lookups, context) = (Arc::clone(self), context.clone());
        let inspector = Arc::clone(inspector);
        tokio::spawn(async move { lookups.look_up(&context, &*inspector, place).await });
        None
    }

    async fn look_up(&self, context: &Context, inspector: &dyn ImageInspector, place: Place) {
        // Closed it never is.
        let _place = self.places.acquire().await;
        if let Some(Lookup::Pending { since, .. }) = self.known().get_mut(&place) {
            *since = Some(context.clock.now());
        }
        let asked = ask(context, inspector, &place);
        let found = tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| {
            Err(ImageError {
                image: place.image.clone(),
                problem: format!("its registry did not answer within {} s", PATIENCE.as_secs()),
                is_temporary: true,
            })
        });
        let holds = match &found {
            Ok(_) if place.image.contains("@sha256:") => BY_DIGEST,
            Ok(_) => BY_TAG,
            Err(_) => FAILED,
        };
        let until = context.clock.now().saturating_add(holds).unwrap_or(Timestamp::MAX);
        let mut known = self.known();
        let waiting = match known.remove(&place) {
            Some(Lookup::Pending { waiting, .. }) => waiting,
            _ => Vec::new(),
        };
        let waited = waiting.iter().map(|run| run.extra.uid.clone()).collect();
        known.insert(place, Lookup::Done { found, until, waited });
        drop(known);
        for run in waiting {
            // Nobody may be listening: then runs are looked at by somebody else's clock.
            let _ = self.done.unbounded_send(run);
        }
    }
}

async fn ask(context: &Context, inspector: &dyn ImageInspector, place: &Place) -> Found {
    let logins = match logins(&context.client, &place.namespace, &place.account).await {
        Ok(logins) => logins,
        Err(problem) => {
            // It may do without.
            tracing::warn!(%problem, image = place.image, "pull Secrets could not be read");
            Vec::new()
        }
    };
    for wait in WAITS {
        match inspector.inspect(&place.image, &logins).await {
            Err(error) if error.is_temporary => tokio::time::sleep(wait).await,
            found => return found,
        }
    }
    inspector.inspect(&place.image, &logins).await
}
