//! Sealing: tokens lie in annotations that many can read, so they are encrypted there and bound to
//! one namespace (`design.md` decision 6).

use std::collections::BTreeMap;
use std::fmt;

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _, Nonce};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};

/// Encrypts tokens for one namespace and decrypts them again.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use relay_core::{SealKeys, TokenSealer as _};
///
/// let keys = SealKeys::generate();
/// let sealed = keys.seal("namespace-uid", &"token".to_owned().into()).await?;
/// assert!(sealed.starts_with("relay:v1:"));
/// assert!(keys.unseal("another-uid", &sealed).await.is_err());
/// # Ok(()) }
/// ```
#[async_trait]
pub trait TokenSealer: Send + Sync + fmt::Debug {
    /// The sealed form of a token, for the annotation of a pod in the namespace of this UID.
    ///
    /// # Errors
    ///
    /// When there is no key to seal with, or what holds the key does not answer.
    async fn seal(&self, namespace_uid: &str, token: &SecretString) -> Result<String, SealError>;

    /// The token in a sealed form.
    ///
    /// # Errors
    ///
    /// [`SealError::Refused`] when it was sealed for another namespace, by an unknown key, or is
    /// damaged; [`SealError::Backend`] when nothing can be said of it.
    async fn unseal(&self, namespace_uid: &str, sealed: &str) -> Result<SecretString, SealError>;
}

/// Why a token cannot be sealed or unsealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// No key is configured, or it cannot encrypt.
    #[error("there is no key to seal tokens with")]
    NoKey,
    /// Not a sealed token for this namespace. One answer for all causes.
    #[error("the sealed token is refused")]
    Refused,
    /// What holds the key, such as a Vault, could not be reached, or failed.
    #[error("could not seal or unseal the token")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// AES-256-GCM keys by id. The greatest id seals, all unseal: so a key is rotated by adding one.
#[derive(Clone)]
pub struct SealKeys(BTreeMap<String, Aes256Gcm>);

impl SealKeys {
    /// These keys, by id.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = (String, [u8; 32])>) -> Self {
        Self(keys.into_iter().map(|(id, key)| (id, Aes256Gcm::new(&key.into()))).collect())
    }

    /// One random key.
    #[must_use]
    pub fn generate() -> Self {
        Self::new([("1".to_owned(), rand::random())])
    }
}

/// The key in a file or an entry of a Secret: 32 bytes, or base64 of them.
#[must_use]
pub fn key_of(bytes: &[u8]) -> Option<[u8; 32]> {
    if let Ok(raw) = bytes.try_into() {
        return Some(raw);
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let decoded = Zeroizing::new(STANDARD.decode(text.trim()).ok()?);
    decoded.as_slice().try_into().ok()
}

impl fmt::Debug for SealKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SealKeys").field(&self.0.keys()).finish()
    }
}

const PREFIX: &str = "relay:v1:";
const NONCE_BYTES: usize = 12;

fn associated_data(namespace_uid: &str) -> String {
    format!("k8s.io/namespaces/{namespace_uid}")
}

#[async_trait]
impl TokenSealer for SealKeys {
    async fn seal(&self, namespace_uid: &str, token: &SecretString) -> Result<String, SealError> {
        let (id, key) = self.0.last_key_value().ok_or(SealError::NoKey)?;
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let aad = associated_data(namespace_uid);
        let payload = Payload { msg: token.expose_secret().as_bytes(), aad: aad.as_bytes() };
        let ciphertext = key.encrypt(&Nonce::from(nonce), payload).map_err(|_| SealError::NoKey)?;
        let packed = [nonce.as_slice(), &ciphertext].concat();
        Ok(format!("{PREFIX}{id}:{}", URL_SAFE_NO_PAD.encode(packed)))
    }

    async fn unseal(&self, namespace_uid: &str, sealed: &str) -> Result<SecretString, SealError> {
        let open = || {
            let (id, packed) = sealed.strip_prefix(PREFIX)?.rsplit_once(':')?;
            let key = self.0.get(id)?;
            let packed = URL_SAFE_NO_PAD.decode(packed).ok()?;
            let (nonce, ciphertext) = packed.split_first_chunk::<NONCE_BYTES>()?;
            let aad = associated_data(namespace_uid);
            let payload = Payload { msg: ciphertext, aad: aad.as_bytes() };
            let token = key.decrypt(&Nonce::from(*nonce), payload).ok()?;
            String::from_utf8(token).ok().map(SecretString::from)
        };
        open().ok_or(SealError::Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_key_seals_and_old_ones_unseal() {
        let token = SecretString::from("secret-token".to_owned());
        let old = SealKeys::new([("2025".to_owned(), [1; 32])]);
        let both = SealKeys::new([("2025".to_owned(), [1; 32]), ("2026".to_owned(), [2; 32])]);
        let sealed = old.seal("uid", &token).await.unwrap();
        assert_eq!(both.unseal("uid", &sealed).await.unwrap().expose_secret(), "secret-token");
        let newer = both.seal("uid", &token).await.unwrap();
        assert!(newer.starts_with("relay:v1:2026:"));
        assert!(matches!(old.unseal("uid", &newer).await, Err(SealError::Refused)));
    }

    #[test]
    fn keys_come_raw_or_as_base64() {
        let encoded = format!("{}\n", STANDARD.encode([7; 32]));
        let cases: [(&[u8], Option<[u8; 32]>); 5] = [
            (&[7; 32], Some([7; 32])),
            (encoded.as_bytes(), Some([7; 32])),
            (&[7; 31], None),
            (b"", None),
            (b"c2hvcnQ=", None),
        ];
        for (bytes, key) in cases {
            assert_eq!(key_of(bytes), key, "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn damage_is_refused() {
        let keys = SealKeys::generate();
        let sealed = keys.seal("uid", &"token".to_owned().into()).await.unwrap();
        for damaged in [
            "",
            "relay:v1:",
            "vault:v1:abc",
            sealed.get(..sealed.len() - 2).unwrap(),
            sealed.get(1..).unwrap(),
        ] {
            assert!(keys.unseal("uid", damaged).await.is_err(), "{damaged}");
        }
        assert!(keys.unseal("other", &sealed).await.is_err());
    }
}
