//! The keys of tokens, kept as Secrets (`design.md` decision 6).
//!
//! | Secret | holds, by key id | for |
//! | --- | --- | --- |
//! | [`SIGNING_KEYS`] | private keys, PEM | the operator |
//! | [`VERIFICATION_KEYS`] | their public keys, PEM | the metadata API |
//! | [`SEAL_KEYS`] | keys of 32 bytes, as they are or in base64 | both |
//!
//! What is missing is made. Each Secret is created, never replaced, and a key that is there is
//! never changed, so several replicas that start at once agree. The greatest id is the newest key.
//!
//! To change keys, add one with a greater id. The metadata API has to know it before anything is
//! signed or sealed with it: so it is started again first, and the operator after it. For a signing
//! key the operator sees to the order itself: it publishes the public key when it starts, and signs
//! with the private one from the next start on.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use rand::random;
use relay_core::{KeyError, SealKeys, SigningKey};
use secrecy::ExposeSecret as _;
use secrecy::zeroize::Zeroizing;
use serde_json::json;
use tracing::info;

use crate::context::FIELD_MANAGER;
use crate::error::{is_already_exists, is_conflict};

/// The Secret of the private keys that sign tokens.
pub const SIGNING_KEYS: &str = "relay-signing-keys";
/// The Secret of the public keys that verify them.
pub const VERIFICATION_KEYS: &str = "relay-verification-keys";
/// The Secret of the keys that seal tokens.
pub const SEAL_KEYS: &str = "relay-seal-keys";

/// How often a Secret is looked at again when somebody else changes it at the same time.
const TRIES: usize = 10;

/// What a Secret holds, by key id.
type Entries = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// A call failed.
    #[error("could not {verb} the Secret {name}")]
    Api {
        /// What was being done.
        verb: &'static str,
        /// With which Secret.
        name: &'static str,
        /// The failure.
        #[source]
        source: Box<kube::Error>,
    },
    /// A Secret was changed by somebody else again and again.
    #[error("the Secret {0} does not stay as it is for long enough to add a key")]
    Contended(&'static str),
    /// A signing key cannot be read or made.
    #[error("the Secret {SIGNING_KEYS} cannot be used")]
    Signing(#[source] KeyError),
    /// A key to seal with has the wrong length.
    #[error("the Secret {SEAL_KEYS}: the key {id:?} is not 32 bytes, nor base64 of them")]
    Seal {
        /// The key's id.
        id: String,
    },
}

/// Where keys are kept.
#[derive(Clone)]
pub struct KeySecrets {
    api: Api<Secret>,
}

impl std::fmt::Debug for KeySecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeySecrets").finish_non_exhaustive()
    }
}

impl KeySecrets {
    /// In this namespace, which is to be the operator's own: others can read what is in theirs.
    #[must_use]
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { api: Api::namespaced(client, namespace) }
    }

    /// The key to sign with. Its public key, and those of all others, are published. `now` names
    /// the key that is made where there is none.
    ///
    /// # Errors
    ///
    /// When a call fails, or a key is none.
    pub async fn signing_key(&self, now: Timestamp) -> Result<SigningKey, KeysError> {
        let make = || {
            let pem = SigningKey::generate_pem().map_err(KeysError::Signing)?;
            Ok(Zeroizing::new(pem.expose_secret().as_bytes().to_vec()))
        };
        let private = self.read_or_make(SIGNING_KEYS, now, make).await?;
        let mut public = BTreeMap::new();
        for (id, pem) in &private {
            let pem = SigningKey::public_pem(id, pem).map_err(KeysError::Signing)?;
            public.insert(id.clone(), pem);
        }
        let known = self.publish(public).await?;
        let newest = private.last_key_value();
        let newest_known = private.iter().rev().find(|(id, _)| known.contains(id));
        let Some((id, pem)) = newest_known.or(newest) else {
            return Err(KeysError::Contended(SIGNING_KEYS));
        };
        if let Some((later, _)) = newest.filter(|(newest, _)| *newest != id) {
            info!(
                id,
                later,
                "signing with the key that the metadata API knows; the later one is used from the next start on"
            );
        }
        SigningKey::from_pem(id, pem).map_err(KeysError::Signing)
    }

    /// Publishes the public keys, by id. Returns the ids that were published before.
    ///
    /// # Errors
    ///
    /// When a call fails.
    pub async fn publish(
        &self,
        public: BTreeMap<String, String>,
    ) -> Result<Vec<String>, KeysError> {
        let name = VERIFICATION_KEYS;
        let found = self.read(name).await?;
        let known: Vec<_> = found.iter().flat_map(BTreeMap::keys).cloned().collect();
        let new: BTreeMap<_, _> = public
            .into_iter()
            .filter(|(id, _)| !known.contains(id))
            .map(|(id, pem)| (id, ByteString(pem.into_bytes())))
            .collect();
        if new.is_empty() {
            return Ok(known);
        }
        let ids: Vec<_> = new.keys().cloned().collect();
        if found.is_none() {
            match self.api.create(&post_params(), &secret(name, new.clone())).await {
                Ok(_) => {}
                // Another replica publishes the same keys: what it has not is added.
                Err(error) if is_already_exists(&error) => self.add(name, &new).await?,
                Err(error) => return Err(failed("create", name)(error)),
            }
        } else {
            self.add(name, &new).await?;
        }
        info!(secret = name, ?ids, "published the public keys of tokens");
        Ok(known)
    }

    async fn add(
        &self,
        name: &'static str,
        entries: &BTreeMap<String, ByteString>,
    ) -> Result<(), KeysError> {
        let params =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(json!({ "data": entries }));
        self.api.patch(name, &params, &patch).await.map_err(failed("patch", name))?;
        Ok(())
    }

    /// The keys to seal with. `now` names the key that is made where there is none.
    ///
    /// # Errors
    ///
    /// When a call fails, or a key has another length.
    pub async fn seal_keys(&self, now: Timestamp) -> Result<SealKeys, KeysError> {
        let make = || Ok(Zeroizing::new(random::<[u8; 32]>().to_vec()));
        let entries = self.read_or_make(SEAL_KEYS, now, make).await?;
        let mut keys = Vec::with_capacity(entries.len());
        for (id, bytes) in entries {
            let key = relay_core::seal::key_of(&bytes);
            let key = key.ok_or_else(|| KeysError::Seal { id: id.clone() })?;
            keys.push((id, key));
        }
        Ok(SealKeys::new(keys))
    }

    async fn read_or_make(
        &self,
        name: &'static str,
        now: Timestamp,
        make: impl Fn() -> Result<Zeroizing<Vec<u8>>, KeysError>,
    ) -> Result<Entries, KeysError> {
        for _ in 0..TRIES {
            let found = self.api.get_opt(name).await.map_err(failed("read", name))?;
            let entries = found.as_ref().map(entries).unwrap_or_default();
            if !entries.is_empty() {
                return Ok(entries);
            }
            let id = now.strftime("%Y%m%d-%H%M%S").to_string();
            let data = BTreeMap::from([(id.clone(), ByteString(make()?.to_vec()))]);
            let written = match found {
                None => self.api.create(&post_params(), &secret(name, data)).await,
                Some(empty) => {
                    let filled = Secret { data: Some(data), ..empty };
                    self.api.replace(name, &post_params(), &filled).await
                }
            };
            match written {
                Ok(written) => {
                    info!(secret = name, id, "made a key");
                    return Ok(self::entries(&written));
                }
                Err(error) if is_already_exists(&error) || is_conflict(&error) => {}
                Err(error) => return Err(failed("create", name)(error)),
            }
        }
        Err(KeysError::Contended(name))
    }

    async fn read(&self, name: &'static str) -> Result<Option<Entries>, KeysError> {
        let found = self.api.get_opt(name).await.map_err(failed("read", name))?;
        Ok(found.as_ref().map(entries))
    }
}

fn entries(secret: &Secret) -> Entries {
    let data = secret.data.iter().flatten();
    data.map(|(id, bytes)| (id.clone(), Zeroizing::new(bytes.0.clone()))).collect()
}

fn secret(name: &str, data: BTreeMap<String, ByteString>) -> Secret {
    let labels =
        [("app.kubernetes.io/managed-by", FIELD_MANAGER), ("app.kubernetes.io/part-of", "relay")];
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        },
        data: Some(data),
        ..Secret::default()
    }
}

fn post_params() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

fn failed(verb: &'static str, name: &'static str) -> impl FnOnce(kube::Error) -> KeysError {
    move |source| KeysError::Api { verb, name, source: Box::new(source) }
}
