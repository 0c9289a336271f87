//! The operator as a program (`operator.md` §4).

mod admission;
mod authorities;
mod health;
mod keys;
mod kubernetes;
mod lead;
#[path = "../../listen.rs"]
mod listen;
mod options;
mod pods;

use std::error::Error;
use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;
use relay_core::SystemClock;
use relay_reconcile::keys::KeySecrets;
use relay_reconcile::leader::Candidate;
use relay_reconcile::telemetry::{Events, Metrics};
use relay_reconcile::tenant::Network;
use relay_reconcile::{
    ClusterSecrets, Context, Environment, Registries, Settings, Telemetry, requirements,
};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::admission::Admission;
use crate::health::Readiness;
use crate::kubernetes::Cluster;
use crate::options::{LogFormat, Options};

/// How long Events that wait may take to be published at the end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why the program ends, for people.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        // Some say what their cause says.
        if !text.ends_with(&part) {
            text = format!("{text}: {part}");
        }
        cause = error.source();
    }
    text
}

fn main() -> ExitCode {
    let options = Options::parse();
    start_log(&options);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let started = runtime
        .map_err(|error| Failure(format!("could not start: {error}")))
        .and_then(|runtime| runtime.block_on(operate(&options)));
    match started {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "process ended with error");
            ExitCode::FAILURE
        }
    }
}

async fn operate(options: &Options) -> Result<(), Failure> {
    let stop = stop_signal()?;
    let ca = options.metadata_api_ca_file.0.as_deref().map(authorities::read).transpose()?;
    let readiness = Readiness::waiting_for("the API server");
    let metrics = Metrics::default();
    let port = options.listen_port.0.unwrap_or(8080);
    health::serve(port, readiness.clone(), metrics.clone()).await?;
    let cluster = Cluster::connect(options).await?;
    tracing::info!(url = cluster.url, namespace = cluster.namespace, "works with this API server");
    let telemetry = Telemetry { metrics, ..Telemetry::default() };
    let admission = Admission::from_options(options, &cluster, &telemetry)?;
    if admission.is_none() {
        tracing::info!("admission of pods is off: no webhook is served");
    }

    tokio::select! {
        done = prepare_and_lead(options, ca, &cluster, admission, &readiness, telemetry, &stop) => done?,
        // Nothing that cannot be broken off is going on before this replica leads.
        () = stopped_early(&stop, &readiness) => {}
    }
    tracing::info!("stopped");
    Ok(())
}

/// Completes when a stop is asked for while something is still waited for.
async fn stopped_early(stop: &CancellationToken, readiness: &Readiness) {
    stop.cancelled().await;
    if readiness.is_ready() {
        std::future::pending::<()>().await;
    }
}

async fn prepare_and_lead(
    options: &Options,
    metadata_api_ca: Option<String>,
    cluster: &Cluster,
    admission: Option<Admission>,
    readiness: &Readiness,
    telemetry: Telemetry,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    readiness.set(Some("definitions of Relay and Tekton"));
    requirements::wait_for_kinds(&cluster.client).await;
    readiness.set(Some("the keys of tokens"));
    let secrets = KeySecrets::new(cluster.client.clone(), &cluster.namespace);
    let signer = keys::signer(options, &secrets).await?;
    let sealer = keys::sealer(options, &secrets).await?;
    let settings = Settings { metadata_api_ca, ..settings(options, &cluster.namespace) };
    let webhook = match admission {
        None => None,
        Some(admission) => {
            readiness.set(Some("the certificate of the webhook"));
            let url = &settings.metadata_api_url;
            if !admission.finds(url) {
                tracing::warn!(
                    url,
                    "pods are given name servers that do not know the metadata API: steps will fail \
                     unless --metadata-api-url is an address or a public name, or --pod-dns-policy \
                     is another one"
                );
            }
            Some(admission.start(&telemetry, stop).await?)
        }
    };
    readiness.set(None);

    let identity = identity();
    let (events, publish) = Events::new(cluster.client.clone(), &identity);
    let publishing = tokio::spawn(publish);
    let context = Context {
        client: cluster.client.clone(),
        settings,
        signer,
        sealer,
        secrets: Arc::new(ClusterSecrets::new(cluster.client.clone())),
        images: Some(Arc::new(Registries::new(options.pods.registries()))),
        clock: Arc::new(SystemClock),
        telemetry: Telemetry { events, ..telemetry },
    };
    let lease = match &options.kube_namespace.0 {
        None => "relay-operator".to_owned(),
        Some(only) => format!("relay-operator-{only}"),
    };
    let client = cluster.unlimited.clone();
    let candidate = Candidate::new(client, &cluster.namespace, &lease, &identity);
    tracing::info!(lease, identity, "ready");
    let keeper = webhook.as_ref().and_then(|webhook| webhook.keeper.as_ref());
    let led = lead::run(&candidate, &context, keeper, stop).await;
    drop(context);
    if let (Some(webhook), Ok(())) = (webhook, &led) {
        webhook.stopped().await;
    }
    // What could not be told in time is lost.
    let _ = tokio::time::timeout(LAST_WORDS, publishing).await;
    led
}

fn settings(options: &Options, namespace: &str) -> Settings {
    let default = Settings::default();
    let environment = match options.environment.0.as_deref() {
        None | Some("dev") => Environment::Development,
        Some("test") => Environment::Test,
        Some(_) => Environment::Other,
    };
    let url = options.metadata_api_url.0.clone();
    let mut policies = options.pods.policies(namespace);
    if options.is_standalone() {
        policies.network = Network::Open;
    }
    let place = &policies.metadata_api.namespace;
    let own = || format!("http://relay-metadata-api.{place}.svc.cluster.local");
    Settings {
        metadata_api_url: url.unwrap_or_else(own),
        runtime_tools_image: options
            .runtime_tools_image
            .0
            .clone()
            .unwrap_or_else(|| default.runtime_tools_image.clone()),
        environment,
        timeout: options.timeout.0.map(|limit| limit.0),
        step_timeout: options.step_timeout.0.map(|limit| limit.0),
        approval_timeout: options.approval_timeout.0.map_or(default.approval_timeout, |l| l.0),
        namespace: options.kube_namespace.0.clone(),
        pull_policy: options
            .image_pull_policy
            .0
            .clone()
            .map(|policy| policy.0)
            .or(default.pull_policy.clone()),
        policies: Some(policies),
        workers: options.num_workers.0.unwrap_or(16).max(1),
        ..default
    }
}

/// The name of this replica: that of its pod, and something that no other process has.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_default();
    let host = if host.is_empty() { "relay-operator".to_owned() } else { host };
    format!("{host}-{:08x}", rand::random::<u32>())
}

/// Cancelled when the process is asked to end.
fn stop_signal() -> Result<CancellationToken, Failure> {
    let on = |kind| signal(kind).map_err(|error| Failure(format!("could not start: {error}")));
    let mut interrupt = on(SignalKind::interrupt())?;
    let mut terminate = on(SignalKind::terminate())?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping: what is being worked on is finished first");
        token.cancel();
    });
    Ok(stop)
}

fn start_log(options: &Options) {
    let level = if options.debug.0 == Some(true) { "debug" } else { "info" };
    let filter = EnvFilter::try_from_env("RELAY_OPERATOR_LOG");
    // The client warns of what it cannot read with all of it, whatever may stand there.
    let own = || EnvFilter::new(format!("{level},kube_client::client=error"));
    let filter = filter.unwrap_or_else(|_| own());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stdout);
    match options.log_format.0 {
        Some(LogFormat::Text) => log.with_ansi(false).init(),
        None | Some(LogFormat::Json) => {
            log.json().flatten_event(true).with_span_list(false).init();
        }
    }
}
