//! The certificate of the webhook (`operator.md` §15): a Secret of type `kubernetes.io/tls` that the
//! operator makes and renews, and the CA of it in the webhook's configuration.
//!
//! | key of the Secret | holds, as PEM |
//! | --- | --- |
//! | `tls.key` | the private key |
//! | `tls.crt` | the certificate for `SERVICE.NAMESPACE.svc`, and its CA |
//! | `ca.crt` | that CA, and the one before it: what the configuration is told |
//!
//! A certificate holds for 90 days and is renewed when 30 are left, each time under a CA of its own,
//! whose key is thrown away: so nothing is left that could sign for another name. At a renewal the
//! configuration learns the new CA beside the old one first, then the Secret is written, and replicas
//! take the certificate over when they see it there. What cannot be used, such as a Secret that
//! somebody emptied, is replaced at once.
//!
//! | part | does |
//! | --- | --- |
//! | observe | reads the Secret and the configuration |
//! | `plan` | says what to do next; pure |
//! | `check` | says whether a certificate is good; pure |
//! | `issue` | makes one |
//! | apply | does it: every write names what it was made from, so replicas cannot undo each other's |

mod check;
mod issue;
mod plan;
mod reconcile;

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _, future, stream};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client, Resource};
use relay_core::Clock;
use secrecy::zeroize::Zeroizing;
use serde::de::DeserializeOwned;
use tracing::warn;

use self::check::{Standing, check};
use self::plan::authorities;
use crate::Telemetry;

/// How often it is looked whether a certificate ends soon.
const INTERVAL: Duration = Duration::from_secs(60 * 60);
/// The first and the longest pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Keeps the certificate of a webhook, and its CA in the webhook's configuration.
#[derive(Clone)]
pub struct Keeper {
    /// The way to the API server.
    pub client: Client,
    /// The objects.
    pub names: Names,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where it is told how that goes, as the controller `certificate`.
    pub telemetry: Telemetry,
}

/// The objects of a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The namespace of the Secret and the Service.
    pub namespace: String,
    /// The Secret.
    pub secret: String,
    /// The Service that leads to the webhook.
    pub service: String,
    /// The `MutatingWebhookConfiguration`.
    pub configuration: String,
}

/// A certificate with its chain, and the key of it, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate, and its CA.
    pub certificate: Vec<u8>,
    /// The private key.
    pub key: Zeroizing<Vec<u8>>,
}

impl Names {
    /// The name that the API server knows the webhook by.
    #[must_use]
    pub fn dns_name(&self) -> String {
        format!("{}.{}.svc", self.service, self.namespace)
    }
}

impl Keeper {
    /// Keeps them until `stop`. One replica does that, the one that leads: more would do no harm, and
    /// the same again.
    ///
    /// What somebody changes in the Secret or in the configuration is put right at once.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        // It can be broken off anywhere.
        tokio::select! {
            () = stop => {}
            () = self.keep() => {}
        }
    }

    async fn keep(&self) {
        let mut changes = pin!(self.changes());
        let mut failures = 0_u32;
        loop {
            match self.telemetry.reconcile("certificate", self.reconcile()).await {
                Ok(_) => {
                    failures = 0;
                    tokio::select! {
                        Some(()) = changes.next() => {}
                        () = tokio::time::sleep(INTERVAL) => {}
                    }
                }
                Err(error) => {
                    let (error, reason) = (error.chain(), error.reason());
                    warn!(error, reason, "the webhook's certificate could not be seen to");
                    let factor = 2_u32.saturating_pow(failures);
                    failures = failures.saturating_add(1);
                    tokio::time::sleep(PAUSE.saturating_mul(factor).min(MAX_PAUSE)).await;
                }
            }
        }
    }

    /// That something has happened to one of the two objects.
    fn changes(&self) -> impl Stream<Item = ()> + use<> {
        let secret = watch(self.secrets(), &self.names.secret).map(|_| ());
        let configuration = watch(self.configurations(), &self.names.configuration).map(|_| ());
        stream::select(secret, configuration)
    }

    /// What the Secret holds, now and whenever that changes, where it can be used.
    pub fn follow(&self) -> impl Stream<Item = Pair> + use<> {
        let secrets = watch(self.secrets(), &self.names.secret);
        let (dns_name, clock) = (self.names.dns_name(), Arc::clone(&self.clock));
        secrets.filter_map(move |seen| {
            let pair = seen.and_then(|secret| {
                let pair = Pair::of(&secret)?;
                match check(&pair, authorities(&secret), &dns_name, clock.now()) {
                    Standing::Unusable(_) => None,
                    Standing::Good | Standing::Due => Some(pair),
                }
            });
            future::ready(pair)
        })
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.names.namespace)
    }

    fn configurations(&self) -> Api<MutatingWebhookConfiguration> {
        Api::all(self.client.clone())
    }
}

impl Pair {
    fn of(secret: &Secret) -> Option<Self> {
        let data = secret.data.as_ref()?;
        Some(Self {
            certificate: data.get("tls.crt")?.0.clone(),
            key: Zeroizing::new(data.get("tls.key")?.0.clone()),
        })
    }
}

/// An object, now and whenever it changes; nothing where there is none.
fn watch<K>(api: Api<K>, name: &str) -> impl Stream<Item = Option<K>> + use<K>
where
    K: Resource + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
{
    watch_object(api, name).default_backoff().filter_map(|seen| {
        if let Err(error) = &seen {
            warn!(controller = "certificate", %error, "a watch failed and is begun again");
        }
        future::ready(seen.ok())
    })
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("names", &self.names).finish_non_exhaustive()
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").finish_non_exhaustive()
    }
}
