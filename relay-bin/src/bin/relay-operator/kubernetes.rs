//! The way to the API server.

use std::time::Duration;

use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::limit::RateLimitLayer;

use crate::Failure;
use crate::options::Options;

/// How long an answer may be silent. Watches are closed by the server before that.
const SILENCE: Duration = Duration::from_secs(295);

/// What was learnt of the cluster, and the clients to it.
pub(crate) struct Cluster {
    /// For all work; as fast as it is allowed to be.
    pub(crate) client: Client,
    /// For what must not wait behind work: the Lease.
    pub(crate) unlimited: Client,
    /// The operator's own namespace.
    pub(crate) namespace: String,
    /// The address of the API server, for the log.
    pub(crate) url: String,
}

impl Cluster {
    pub(crate) async fn connect(options: &Options) -> Result<Self, Failure> {
        let config = config(options).await?;
        let namespace = options.namespace.0.clone();
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let url = config.cluster_url.to_string();
        let rate = options.kube_calls_per_second.0.unwrap_or(200).max(1);
        let failed = |error: kube::Error| {
            let error = crate::chain(&error);
            Failure(format!("the Kubernetes client could not be made: {error}"))
        };
        let unlimited = Client::try_from(config.clone()).map_err(failed)?;
        let limit = RateLimitLayer::new(u64::from(rate), Duration::from_secs(1));
        let client = ClientBuilder::try_from(config).map_err(failed)?.with_layer(&limit).build();
        Ok(Self { client, unlimited, namespace, url })
    }
}

async fn config(options: &Options) -> Result<Config, Failure> {
    let mut config = match &options.kubeconfig.0 {
        Some(file) => {
            let failed = |error| {
                let error = crate::chain(&error);
                Failure(format!("the kubeconfig {} cannot be used: {error}", file.display()))
            };
            let kubeconfig = Kubeconfig::read_from(file).map_err(failed)?;
            let options = KubeConfigOptions::default();
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(failed)?
        }
        None => Config::infer().await.map_err(|error| {
            Failure(format!(
                "no API server: set KUBECONFIG or --kubeconfig, or run in a cluster ({error})"
            ))
        })?,
    };
    config.read_timeout = Some(SILENCE);
    Ok(config)
}
