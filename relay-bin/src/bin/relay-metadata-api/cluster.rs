//! Cluster mode: keys from directories, pods and data from the API server.

use std::error::Error as _;
use std::sync::Arc;

use kube::config::AuthInfo;
use kube::{Client, Config};
use relay_core::{SystemClock, TokenSealer};
use relay_metadata::cluster::{ClusterStores, PodAuthenticator, PodIndex};
use relay_metadata::{KeyFilesError, Router, SealKeyFiles, VerifyingKeyFiles};
use relay_store::ObjectLogs;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use secrecy::SecretString;

use crate::Failure;
use crate::options::{Kubernetes, Options};
use crate::vault::Vault;

/// The API for the pods of a cluster, the pods that it knows, and where their output goes.
pub(crate) async fn router(
    options: &Options,
) -> Result<(Router, PodIndex, Option<ObjectLogs>), Failure> {
    let vault = options.vault.connect()?;
    let seal_keys = options.seal_keys_dir().map(SealKeyFiles::read).transpose();
    let seal_keys = seal_keys.map_err(|error| unusable(&error))?;
    let sealer = sealer(seal_keys.clone(), vault.as_ref())?;
    let verifier = match options.verify_keys_dir() {
        Some(directory) => {
            Some(VerifyingKeyFiles::read(directory).map_err(|error| unusable(&error))?)
        }
        None if vault.is_some() => None,
        None => return Err(missing("--token-verify-keys-dir")),
    };
    let config = config(options.kubernetes())?;
    let failed = |what: &str, error: &dyn std::error::Error| Failure(format!("{what}: {error}"));
    let client = Client::try_from(config.clone())
        .map_err(|error| failed("the Kubernetes client could not be made", &error))?;
    let sinks = relay_store::sink_client()
        .map_err(|error| failed("the client of event sinks could not be made", &error))?;

    let pods = PodIndex::new();
    tokio::spawn(pods.clone().run(client.clone()));
    // A caller's own account, with nothing of ours.
    let account = move |token: &SecretString| {
        let mut config = config.clone();
        config.auth_info = AuthInfo { token: Some(token.clone()), ..AuthInfo::default() };
        Client::try_from(config)
    };
    let mut stores = ClusterStores::new(client.clone(), sinks).with_accounts(account);
    let logs = options.log_storage_url().map(log_storage).transpose()?;
    if let Some(logs) = &logs {
        stores = stores.with_logs(logs.clone());
    }
    if let Some(vault) = vault {
        tokio::spawn(vault.client.keep_token());
        stores = stores.with_vault(vault.login);
    }
    let index = pods.clone();
    let authenticator = match verifier.clone() {
        Some(keys) => PodAuthenticator::new(client, index, sealer, Arc::new(keys), stores),
        None => PodAuthenticator::checked_by_vault(client, index, sealer, stores),
    };
    let router = Router::new(Arc::new(authenticator));
    if let Some(keys) = seal_keys {
        tokio::spawn(keys.follow(router.metrics()));
    }
    if let Some(keys) = verifier {
        tokio::spawn(keys.follow(router.metrics()));
    }
    Ok((router, pods, logs))
}

fn log_storage(url: &str) -> Result<ObjectLogs, Failure> {
    // Stores are told of their keys and regions by the environment.
    let logs = ObjectLogs::from_url(url, std::env::vars(), Arc::new(SystemClock));
    logs.map_err(|error| match error.source() {
        Some(source) => Failure(format!("{error}: {source}")),
        None => Failure(error.to_string()),
    })
}

/// What unseals tokens: keys, or Vault, or for each token the one that sealed it.
fn sealer(
    keys: Option<SealKeyFiles>,
    vault: Option<&Vault>,
) -> Result<Arc<dyn TokenSealer>, Failure> {
    let keys = keys.map(Arc::new);
    match (vault.map(|vault| vault.transit.clone()), keys) {
        (Some(transit), Some(keys)) => Ok(Arc::new(transit.or(keys))),
        (Some(transit), None) => Ok(Arc::new(transit)),
        (None, Some(keys)) => Ok(keys),
        (None, None) => Err(missing("--token-seal-keys-dir")),
    }
}

fn missing(flag: &str) -> Failure {
    let hint = "or name a Vault with --vault-addr, or sample files with --sample-config-files";
    Failure(format!("{flag} says where the keys of tokens are, and is missing; {hint}"))
}

/// The API server that was named, or the one of the pod that this runs in.
fn config(named: Option<Kubernetes>) -> Result<Config, Failure> {
    let Some(Kubernetes { url, ca_data, token }) = named else {
        return Config::incluster().map_err(|error| {
            let text = "no API server: outside of a cluster, KUBERNETES_URL, KUBERNETES_CA_DATA and \
                        KUBERNETES_SERVICE_ACCOUNT_TOKEN have to be set, each with the prefix \
                        RELAY_METADATA_API_";
            Failure(format!("{text} ({error})"))
        });
    };
    let url = url.parse().map_err(|_| Failure("KUBERNETES_URL is no URL".to_owned()))?;
    let roots = CertificateDer::pem_slice_iter(ca_data.as_bytes())
        .map(|certificate| certificate.map(|certificate| certificate.as_ref().to_vec()))
        .collect::<Result<Vec<_>, _>>()
        .ok()
        .filter(|roots| !roots.is_empty())
        .ok_or_else(|| Failure("KUBERNETES_CA_DATA holds no PEM of certificates".to_owned()))?;
    let mut config = Config::new(url);
    config.root_cert = Some(roots);
    config.auth_info.token = Some(token);
    Ok(config)
}

fn unusable(error: &KeyFilesError) -> Failure {
    match error.source() {
        Some(source) => Failure(format!("{error}: {source}")),
        None => Failure(error.to_string()),
    }
}
