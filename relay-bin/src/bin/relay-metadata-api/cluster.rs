//! Cluster mode: keys from directories, pods and data from the API server.

use std::error::Error as _;
use std::path::Path;
use std::sync::Arc;

use kube::config::AuthInfo;
use kube::{Client, Config};
use relay_core::{SealKeys, SystemClock, TokenSealer, VerifyingKeys};
use relay_metadata::Router;
use relay_metadata::cluster::{ClusterStores, PodAuthenticator, PodIndex};
use relay_store::ObjectLogs;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::Failure;
use crate::options::{Kubernetes, Options};
use crate::vault::Vault;

/// The API for the pods of a cluster, the pods that it knows, and where their output goes.
pub(crate) async fn router(
    options: &Options,
) -> Result<(Router, PodIndex, Option<ObjectLogs>), Failure> {
    let vault = options.vault.connect()?;
    let sealer = sealer(options, vault.as_ref())?;
    let verifier = match options.verify_keys_dir() {
        Some(directory) => Some(verifying_keys(directory)?),
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
    let authenticator = match verifier {
        Some(keys) => PodAuthenticator::new(client, index, sealer, Arc::new(keys), stores),
        None => PodAuthenticator::checked_by_vault(client, index, sealer, stores),
    };
    Ok((Router::new(Arc::new(authenticator)), pods, logs))
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
fn sealer(options: &Options, vault: Option<&Vault>) -> Result<Arc<dyn TokenSealer>, Failure> {
    let keys = options.seal_keys_dir().map(seal_keys).transpose()?.map(Arc::new);
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

/// A key as it was read: its id, and what the file holds.
type KeyFile = (String, Zeroizing<Vec<u8>>);

/// The files of a directory by name, as a mounted Secret has them.
fn files(directory: &Path) -> Result<Vec<KeyFile>, Failure> {
    let shown = directory.display();
    let failed = |error| Failure(format!("could not read the keys in {shown}: {error}"));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // A mount keeps its versions in entries that begin with a dot.
        if name.starts_with('.') || !entry.path().is_file() {
            continue;
        }
        files.push((name, Zeroizing::new(std::fs::read(entry.path()).map_err(failed)?)));
    }
    if files.is_empty() {
        return Err(Failure(format!("there are no keys in {shown}")));
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(files)
}

fn seal_keys(directory: &Path) -> Result<SealKeys, Failure> {
    let mut keys = Vec::new();
    for (id, bytes) in files(directory)? {
        let wrong = || {
            Failure(format!("the key {id:?} to unseal with is not 32 bytes, nor base64 of them"))
        };
        keys.push((id.clone(), relay_core::seal::key_of(&bytes).ok_or_else(wrong)?));
    }
    Ok(SealKeys::new(keys))
}

fn verifying_keys(directory: &Path) -> Result<VerifyingKeys, Failure> {
    let files = files(directory)?;
    let pems = files.iter().map(|(id, pem)| (id.as_str(), pem.as_slice()));
    VerifyingKeys::from_pems(pems).map_err(|error| Failure(error.to_string()))
}
