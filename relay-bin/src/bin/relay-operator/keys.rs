//! The keys of tokens: read, and made where there are none.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use relay_core::{SealKeys, SigningKey, TokenSealer, TokenSigner};
use relay_reconcile::keys::{KeySecrets, KeysError};
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

/// What seals tokens. The one place that chooses: sealing by a service goes here.
pub(crate) async fn sealer(secrets: &KeySecrets) -> Result<Arc<dyn TokenSealer>, Failure> {
    let keys: SealKeys = persist(|| secrets.seal_keys(Timestamp::now())).await?;
    Ok(Arc::new(keys))
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
