//! The webhook that admits pods of tenants: every replica serves it (`operator.md` §14).

pub(crate) mod options;
mod server;
#[cfg(test)]
mod tests;

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use relay_core::SystemClock;
use relay_metadata::{TlsFiles, TlsPair};
use relay_reconcile::Telemetry;
use relay_reconcile::admission::certificate::{Keeper, Pair};
use relay_reconcile::admission::{Dns, PodPolicy};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Failure;
use crate::kubernetes::Cluster;
use crate::options::Options;

/// How long after the signal to stop questions are still taken: API servers hear later than this
/// process does that they have to ask another one.
const LINGER: Duration = Duration::from_secs(5);
/// The longest pause between two tries to get a certificate.
const MAX_PAUSE: Duration = Duration::from_secs(15);

/// The webhook, as it is set.
#[derive(Debug)]
pub(crate) struct Admission {
    policy: PodPolicy,
    port: u16,
    source: Source,
}

/// Where the certificate comes from.
#[derive(Debug)]
enum Source {
    /// A directory that somebody else keeps.
    Files(TlsFiles),
    /// A Secret that the operator keeps.
    Secret(Box<Keeper>),
}

/// The webhook while it is served.
#[derive(Debug)]
pub(crate) struct Webhook {
    serving: JoinHandle<()>,
    /// Keeps the certificate and its CA; for who leads.
    pub(crate) keeper: Option<Keeper>,
}

impl Admission {
    /// The webhook, where one is asked for.
    pub(crate) fn from_options(
        options: &Options,
        cluster: &Cluster,
        telemetry: &Telemetry,
    ) -> Result<Option<Self>, Failure> {
        let given = &options.admission;
        if !given.is_on() {
            return Ok(None);
        }
        let policy = given.policy(options.is_standalone())?;
        let source = match &given.webhook_server_key_dir.0 {
            Some(directory) => {
                let failed = |error| {
                    let error = crate::chain(&error);
                    Failure(format!("the webhook's certificate cannot be used: {error}"))
                };
                let (certificate, key) = (directory.join("tls.crt"), directory.join("tls.key"));
                Source::Files(TlsFiles::read(certificate, key).map_err(failed)?)
            }
            None => Source::Secret(Box::new(Keeper {
                client: cluster.client.clone(),
                names: given.names(&cluster.namespace),
                clock: Arc::new(SystemClock),
                telemetry: telemetry.clone(),
            })),
        };
        Ok(Some(Self { policy, port: given.webhook_server_port.0.unwrap_or(443), source }))
    }

    /// Whether pods will find the host of this URL.
    pub(crate) fn finds(&self, url: &str) -> bool {
        finds(&self.policy, url)
    }

    /// Gets a certificate, and serves from then on until `stop`.
    pub(crate) async fn start(
        self,
        telemetry: &Telemetry,
        stop: &CancellationToken,
    ) -> Result<Webhook, Failure> {
        let Self { policy, port, source } = self;
        let (tls, keeper) = match source {
            Source::Files(files) => {
                let tls = files.tls();
                tokio::spawn(files.follow(relay_metadata::Metrics::default()));
                (tls, None)
            }
            Source::Secret(keeper) => {
                let pair = first_pair(&keeper).await;
                let shown = TlsPair::from_pem(&pair.certificate, &pair.key).map_err(|error| {
                    Failure(format!("the webhook's certificate: {}", crate::chain(&error)))
                })?;
                let tls = shown.tls();
                tokio::spawn(take_over(Keeper::clone(&keeper), shown));
                (tls, Some(*keeper))
            }
        };
        let failed = |error| Failure(format!("could not listen on port {port}: {error}"));
        let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let listener = match TcpListener::bind(address).await {
            Ok(listener) => listener,
            // A machine without IPv6.
            Err(_) => TcpListener::bind(("0.0.0.0", port)).await.map_err(failed)?,
        };
        let addr = listener.local_addr().map_err(failed)?;
        tracing::info!(%addr, "listening for questions about pods");
        let router = server::router(policy, telemetry.metrics.clone(), server::MAX_TIME);
        let stop = stop.clone();
        let stopped = async move {
            stop.cancelled().await;
            tokio::time::sleep(LINGER).await;
        };
        let serving = tokio::spawn(async move {
            if let Err(error) = relay_metadata::serve_tls(router, listener, &tls, stopped).await {
                tracing::error!(error = crate::chain(&error), "the webhook is not served");
            }
        });
        Ok(Webhook { serving, keeper })
    }
}

impl Webhook {
    /// Waits until questions that were begun are answered.
    pub(crate) async fn stopped(self) {
        // A panic has been logged by then.
        let _ = self.serving.await;
    }
}

fn finds(policy: &PodPolicy, url: &str) -> bool {
    let url: Option<http::Uri> = url.parse().ok();
    let host = url.as_ref().and_then(http::Uri::host).unwrap_or_default();
    let short = !host.is_empty() && !host.contains(['.', ':']);
    let of_cluster = short || [".svc", ".cluster.local"].iter().any(|end| host.ends_with(end));
    !of_cluster || policy.dns.as_ref().is_none_or(Dns::knows_the_cluster)
}

/// Tries until there is a certificate.
async fn first_pair(keeper: &Keeper) -> Pair {
    let mut pause = Duration::from_millis(500);
    loop {
        match keeper.reconcile().await {
            Ok(pair) => return pair,
            Err(error) => {
                tracing::warn!(error = error.chain(), "waiting for the webhook's certificate");
            }
        }
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(MAX_PAUSE);
    }
}

/// Shows what the Secret holds, for ever.
async fn take_over(keeper: Keeper, shown: TlsPair) {
    let mut pairs = std::pin::pin!(keeper.follow());
    while let Some(pair) = pairs.next().await {
        match shown.replace(&pair.certificate, &pair.key) {
            Ok(true) => tracing::info!("a new certificate of the webhook is in use"),
            Ok(false) => {}
            Err(error) => {
                let error = crate::chain(&error);
                tracing::warn!(error, "the webhook's certificate stays as it was");
            }
        }
    }
}
