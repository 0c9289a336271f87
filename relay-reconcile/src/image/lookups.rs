//! Which images are being asked for, what was found, and who waits for it.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash as _, Hasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::channel::mpsc;
use jiff::{SignedDuration, Timestamp};
use kube::runtime::reflector::ObjectRef;
use relay_core::{ImageError, ImageInspector, ImageProgram, RegistryLogin};
use relay_model::v1beta1::Run;
use secrecy::ExposeSecret as _;
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
    /// It was answered. That holds until then, and longer for the runs that were told; what came of
    /// nothing only for these, and for others with the same logins.
    Done { found: Found, until: Timestamp, logins: u64, told: Vec<ObjectRef<Run>> },
}

/// A failure that is still good, and the logins that it came with.
type Failure = (ImageError, Timestamp, u64);

/// All look-ups.
#[derive(Debug)]
pub(crate) struct Lookups {
    known: Mutex<HashMap<Place, Lookup>>,
    places: Semaphore,
    done: mpsc::UnboundedSender<ObjectRef<Run>>,
    /// Until a controller takes it.
    woken: Mutex<Option<mpsc::UnboundedReceiver<ObjectRef<Run>>>>,
    /// Seeded by chance.
    hashes: RandomState,
}

impl Default for Lookups {
    fn default() -> Self {
        let (done, woken) = mpsc::unbounded();
        Self {
            known: Mutex::default(),
            places: Semaphore::new(AT_ONCE),
            done,
            woken: Mutex::new(Some(woken)),
            hashes: RandomState::new(),
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
        let mut failure = None;
        match known.get_mut(&place) {
            Some(Lookup::Done { found, until, logins, told }) => {
                // A run that was made anew under its name was told nothing.
                let is_told =
                    told.iter().any(|known| known == run && known.extra.uid == run.extra.uid);
                if is_told && now.duration_since(*until) < PROMISED {
                    return Some(found.clone());
                }
                if now < *until {
                    match found {
                        Err(error) => failure = Some((error.clone(), *until, *logins)),
                        found => return Some(found.clone()),
                    }
                }
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
        tokio::spawn(async move { lookups.look_up(&context, &*inspector, place, failure).await });
        None
    }

    async fn look_up(
        &self,
        context: &Context,
        inspector: &dyn ImageInspector,
        place: Place,
        failure: Option<Failure>,
    ) {
        // Closed it never is.
        let _place = self.places.acquire().await;
        if let Some(Lookup::Pending { since, .. }) = self.known().get_mut(&place) {
            *since = Some(context.clock.now());
        }
        let (mut fingerprint, mut holds) = (0, None);
        let asked = async {
            let logins = logins(&context.client, &place.namespace, &place.account).await;
            let logins = logins.unwrap_or_else(|problem| {
                // It may do without.
                tracing::warn!(%problem, image = place.image, "pull Secrets could not be read");
                Vec::new()
            });
            fingerprint = self.fingerprint(&logins);
            match failure {
                // The registry would say the same.
                Some((error, until, before)) if before == fingerprint => {
                    holds = Some(until);
                    Err(error)
                }
                _ => ask(inspector, &place.image, &logins).await,
            }
        };
        let found = tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| {
            Err(ImageError {
                image: place.image.clone(),
                problem: format!("its registry did not answer within {} s", PATIENCE.as_secs()),
                is_temporary: true,
            })
        });
        let until = holds.unwrap_or_else(|| {
            let holds = match &found {
                Ok(_) if place.image.contains("@sha256:") => BY_DIGEST,
                Ok(_) => BY_TAG,
                Err(_) => FAILED,
            };
            context.clock.now().saturating_add(holds).unwrap_or(Timestamp::MAX)
        });
        let mut known = self.known();
        let told = match known.get_mut(&place) {
            Some(Lookup::Pending { waiting, .. }) => std::mem::take(waiting),
            _ => Vec::new(),
        };
        let done = Lookup::Done { found, until, logins: fingerprint, told: told.clone() };
        known.insert(place, done);
        drop(known);
        for run in told {
            // Nobody may be listening: then runs are looked at by somebody else's clock.
            let _ = self.done.unbounded_send(run);
        }
    }

    /// A number for these logins, which tells nothing of them.
    fn fingerprint(&self, logins: &[RegistryLogin]) -> u64 {
        let mut hasher = self.hashes.build_hasher();
        for RegistryLogin { registry, user, password } in logins {
            (registry, user, password.expose_secret()).hash(&mut hasher);
        }
        hasher.finish()
    }
}

async fn ask(inspector: &dyn ImageInspector, image: &str, logins: &[RegistryLogin]) -> Found {
    for wait in WAITS {
        match inspector.inspect(image, logins).await {
            Err(error) if error.is_temporary => tokio::time::sleep(wait).await,
            found => return found,
        }
    }
    inspector.inspect(image, logins).await
}
