//! Leader election: of several replicas one works, by a Lease (`operator.md` §4).
//!
//! Clocks of replicas need not agree: whoever waits measures, by its own clock, how long a lease
//! stays unchanged. Every write names the version that it was made from, so of two that take a
//! lease one gets it.
//!
//! ```no_run
//! # async fn example(client: kube::Client, work: impl Future<Output = ()>) {
//! use relay_reconcile::leader::Candidate;
//!
//! let candidate = Candidate::new(client, "relay-system", "relay-operator", "replica-1");
//! let mut leadership = candidate.acquire().await;
//! tokio::select! {
//!     () = leadership.hold() => eprintln!("somebody else leads now"),
//!     () = work => leadership.release().await,
//! }
//! # }
//! ```

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt as _};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tracing::{debug, info, warn};

use crate::context::FIELD_MANAGER;
use crate::error::{is_already_exists, is_conflict, is_not_found};

/// How long a lease holds after it was renewed. Within this time after a crash another replica
/// takes over.
const DURATION: Duration = Duration::from_secs(15);
/// How often the holder renews it.
const RENEW: Duration = Duration::from_secs(5);
/// How long after the last renewal the holder stops working: well before others may take over.
const GIVE_UP: Duration = Duration::from_secs(10);
/// The pause between two tries, of the holder after a failure and of whoever waits.
const RETRY: Duration = Duration::from_secs(2);
/// How long letting go may take.
const RELEASE: Duration = Duration::from_secs(3);

/// A replica that may become the leader.
#[derive(Clone)]
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
}

/// A lease that this replica holds.
#[derive(Debug)]
pub struct Leadership {
    candidate: Candidate,
    lease: Lease,
    renewed: Instant,
}

/// A lease of somebody else, as it was seen first.
struct Seen {
    version: Option<String>,
    at: Instant,
}

impl Candidate {
    /// For the lease of this name. No two replicas may have the same identity.
    #[must_use]
    pub fn new(client: Client, namespace: &str, lease: &str, identity: &str) -> Self {
        let api = Api::namespaced(client, namespace);
        Self { api, name: lease.to_owned(), identity: identity.to_owned() }
    }

    /// Waits until this replica leads.
    pub async fn acquire(&self) -> Leadership {
        let mut seen = None;
        loop {
            match timeout(GIVE_UP, self.try_acquire(&mut seen)).await {
                Ok(Ok(Some(leadership))) => return leadership,
                Ok(Ok(None)) => {}
                Ok(Err(error)) => warn!(lease = self.name, %error, "the lease cannot be taken"),
                Err(_) => warn!(lease = self.name, "the API server does not answer"),
            }
            sleep(RETRY).await;
        }
    }

    async fn try_acquire(&self, seen: &mut Option<Seen>) -> kube::Result<Option<Leadership>> {
        let began = Instant::now();
        let params = params();
        let written = match self.api.get_opt(&self.name).await? {
            None => self.api.create(&params, &self.lease_of_mine(None)).await,
            Some(found) => {
                if !self.may_take(&found, seen) {
                    return Ok(None);
                }
                self.api.replace(&self.name, &params, &self.lease_of_mine(Some(found))).await
            }
        };
        match written {
            Ok(lease) => Ok(Some(Leadership { candidate: self.clone(), lease, renewed: began })),
            // Somebody was faster.
            Err(error) if is_already_exists(&error) || is_conflict(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether nobody holds the lease, or whoever does has not renewed it for too long.
    fn may_take(&self, found: &Lease, seen: &mut Option<Seen>) -> bool {
        let Some(holder) = holder(found).filter(|holder| *holder != self.identity) else {
            return true;
        };
        let version = found.resource_version();
        match seen {
            Some(seen) if seen.version == version => {
                let seconds = found.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
                let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
                seen.at.elapsed() >= seconds.map_or(DURATION, Duration::from_secs)
            }
            _ => {
                if seen.is_none() {
                    info!(lease = self.name, holder, "waiting: another replica leads");
                }
                *seen = Some(Seen { version, at: Instant::now() });
                false
            }
        }
    }

    fn lease_of_mine(&self, before: Option<Lease>) -> Lease {
        let mut lease = before.unwrap_or_else(|| Lease {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            spec: None,
        });
        let now = MicroTime(Timestamp::now());
        let is_new = holder(&lease) != Some(&self.identity);
        let spec = lease.spec.get_or_insert_default();
        if is_new {
            spec.acquire_time = Some(now.clone());
            spec.lease_transitions =
                Some(spec.lease_transitions.map_or(0, |n| n.saturating_add(1)));
        }
        spec.holder_identity = Some(self.identity.clone());
        spec.lease_duration_seconds = i32::try_from(DURATION.as_secs()).ok();
        spec.renew_time = Some(now);
        lease
    }
}

impl Leadership {
    /// Renews the lease as long as that works. When this ends, another replica may lead soon: what
    /// only a leader may do has to stop at once.
    pub async fn hold(&mut self) {
        loop {
            sleep(RENEW).await;
            let deadline = self.renewed + GIVE_UP;
            loop {
                let began = Instant::now();
                match timeout_at(deadline, self.renew()).await {
                    Ok(Ok(true)) => {
                        self.renewed = began;
                        break;
                    }
                    Ok(Ok(false)) | Err(_) => return,
                    Ok(Err(error)) => {
                        warn!(lease = self.candidate.name, %error, "the lease is not renewed");
                        sleep_until(deadline.min(Instant::now() + RETRY)).await;
                    }
                }
            }
        }
    }

    /// Whether the lease is still ours.
    async fn renew(&mut self) -> kube::Result<bool> {
        let Candidate { api, name, identity } = &self.candidate;
        loop {
            let wanted = self.candidate.lease_of_mine(Some(self.lease.clone()));
            match api.replace(name, &params(), &wanted).await {
                Ok(lease) => {
                    self.lease = lease;
                    return Ok(true);
                }
                Err(error) if is_not_found(&error) => return Ok(false),
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(error),
            }
            // A renewal whose answer was lost, somebody who set a label, or another leader.
            let found = api.get_opt(name).await?;
            let Some(found) = found.filter(|found| holder(found) == Some(identity)) else {
                return Ok(false);
            };
            self.lease = found;
        }
    }

    /// Lets go, so that another replica need not wait for the lease to run out.
    pub async fn release(mut self) {
        let spec = LeaseSpec {
            holder_identity: None,
            renew_time: Some(MicroTime(Timestamp::now())),
            ..self.lease.spec.take().unwrap_or_default()
        };
        self.lease.spec = Some(spec);
        let Candidate { api, name, .. } = &self.candidate;
        match timeout(RELEASE, api.replace(name, &params(), &self.lease)).await {
            Ok(Ok(_)) => debug!(lease = name, "let go"),
            Ok(Err(error)) => warn!(lease = name, %error, "the lease has to run out by itself"),
            Err(_) => warn!(lease = name, "the lease has to run out by itself"),
        }
    }
}

fn params() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

fn holder(lease: &Lease) -> Option<&str> {
    let holder = lease.spec.as_ref()?.holder_identity.as_deref()?;
    (!holder.is_empty()).then_some(holder)
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, identity, .. } = self;
        f.debug_struct("Candidate").field("lease", name).field("identity", identity).finish()
    }
}
