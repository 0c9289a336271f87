//! The keys of tokens: read, and made where there are none.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use relay_core::{SealKeys, SigningKey, TokenSealer, TokenSigner};
use relay_reconcile::keys::{KeySecrets, KeysError};
use relay_store::{VaultClient, VaultError, VaultOptions, VaultTransit};
use secrecy::zeroize::Zeroizing;

use crate::Failure;
use crate::options::Options;

/// The longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_secs(15);

/// What signs tokens.
pub(crate) async fn signer(
    options: &Options,
    secrets: &KeySecrets,
) -> Result<Arc<dyn TokenSigner>, Failure> {
    let Some(file) = &options.jwt_signing_key_file.0 else {
        return Ok(Arc::new(persist(|| secrets.signing_key(Timestamp::now())).await?));
    };
    let shown = file.display();
    let wrong = |error: &dyn std::fmt::Display| {
        Failure(format!("the signing key {shown} cannot be used: {error}"))
    };
    let pem = std::fs::read(file).map(Zeroizing::new).map_err(|error| wrong(&error))?;
    let id = key_id(file);
    let public = SigningKey::public_pem(&id, &pem).map_err(|error| wrong(&error))?;
    let signer = SigningKey::from_pem(&id, &pem).map_err(|error| wrong(&error))?;
    let public = BTreeMap::from([(id, public)]);
    persist(|| secrets.publish(public.clone())).await?;
    Ok(Arc::new(signer))
}

/// The id of a key in a file: the file's name, as far as a Secret takes it as a key.
fn key_id(file: &Path) -> String {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let fits = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let id: String = name.chars().map(fits).take(63).collect();
    format!("file-{id}")
}

/// What seals tokens: Vault where one is named, else keys of our own.
pub(crate) async fn sealer(
    options: &Options,
    secrets: &KeySecrets,
) -> Result<Arc<dyn TokenSealer>, Failure> {
    if let Some(transit) = vault(options)? {
        return Ok(Arc::new(transit));
    }
    let keys: SealKeys = persist(|| secrets.seal_keys(Timestamp::now())).await?;
    Ok(Arc::new(keys))
}

/// The Vault that was named, if one was.
fn vault(options: &Options) -> Result<Option<VaultTransit>, Failure> {
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let address = variable("VAULT_ADDR");
    let (path, key) =
        (options.vault_transit_path.0.as_deref(), options.vault_transit_key.0.as_deref());
    if address.is_none() && path.is_none() && key.is_none() {
        return Ok(None);
    }
    let transit = || -> Result<VaultTransit, VaultError> {
        let options = VaultOptions::from_variables(variable)?;
        let address = address.as_deref().unwrap_or("http://localhost:8200");
        let client = VaultClient::new(address, &options)?;
        tokio::spawn(client.clone().keep_token());
        VaultTransit::new(client, path.unwrap_or("transit"), key.unwrap_or("metadata-api"))
    };
    let failed = |error| Failure(format!("Vault cannot be used: {}", crate::chain(&error)));
    transit().map(Some).map_err(failed)
}

/// Tries until it works; what cannot work by trying again is a failure. An operator that may not
/// read its Secrets yet waits until it may.
async fn persist<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, KeysError>>,
{
    let mut pause = Duration::from_millis(500);
    loop {
        let error = match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let text = crate::chain(&error);
        if !matches!(error, KeysError::Api { .. } | KeysError::Contended(_)) {
            return Err(Failure(text));
        }
        tracing::warn!(error = text, "waiting for the keys of tokens");
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(MAX_PAUSE);
    }
}
