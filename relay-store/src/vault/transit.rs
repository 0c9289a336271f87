use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use relay_core::{SealError, TokenSealer};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::{VaultClient, VaultError, VaultPath};

/// What everything that Vault seals begins with.
const PREFIX: &str = "vault:";

/// Seals tokens by a key of Vault's transit engine, which has to be a derived one: a namespace's UID
/// is the context, so that a token is of no use in another namespace.
///
/// To seal takes the policy `update` on `<path>/encrypt/<key>`, to unseal `<path>/decrypt/<key>`.
#[derive(Clone, Debug)]
pub struct VaultTransit {
    client: VaultClient,
    encrypt: VaultPath,
    decrypt: VaultPath,
    others: Option<Arc<dyn TokenSealer>>,
}

impl VaultTransit {
    /// The key of this name in the transit engine at this path.
    ///
    /// # Errors
    ///
    /// When path or key are none.
    pub fn new(client: VaultClient, path: &str, key: &str) -> Result<Self, VaultError> {
        let path = VaultPath::new(path)?;
        let encrypt = path.below("encrypt").join(key)?;
        Ok(Self { client, encrypt, decrypt: path.below("decrypt").join(key)?, others: None })
    }

    /// The same, where `others` unseals what was not sealed by Vault.
    #[must_use]
    pub fn or(self, others: Arc<dyn TokenSealer>) -> Self {
        Self { others: Some(others), ..self }
    }

    /// Has a path do something. Vault's 400 says that it cannot be done with this token.
    async fn transform<T: Serialize + Sync>(
        &self,
        path: &VaultPath,
        body: &T,
    ) -> Result<Transformed, SealError> {
        let answer: Result<Answer, _> = self.client.write(path, body).await;
        match answer {
            Ok(Answer { data }) => Ok(data),
            Err(error) if error.status() == Some(400) => {
                tracing::warn!(%path, %error, "a token cannot be sealed or unsealed");
                Err(SealError::Refused)
            }
            Err(error) => Err(SealError::Backend(Box::new(error))),
        }
    }
}

#[derive(Serialize)]
struct Encrypt<'a> {
    plaintext: &'a str,
    context: &'a str,
}

#[derive(Serialize)]
struct Decrypt<'a> {
    ciphertext: &'a str,
    context: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    data: Transformed,
}

#[derive(Deserialize)]
struct Transformed {
    #[serde(default)]
    ciphertext: Option<String>,
    #[serde(default)]
    plaintext: Option<String>,
}

fn context(namespace_uid: &str) -> String {
    STANDARD.encode(format!("k8s.io/namespaces/{namespace_uid}"))
}

#[async_trait]
impl TokenSealer for VaultTransit {
    async fn seal(&self, namespace_uid: &str, token: &SecretString) -> Result<String, SealError> {
        let context = context(namespace_uid);
        let plaintext = Zeroizing::new(STANDARD.encode(token.expose_secret()));
        let body = Encrypt { plaintext: &plaintext, context: &context };
        let sealed = self.transform(&self.encrypt, &body).await?.ciphertext;
        sealed.filter(|sealed| sealed.starts_with(PREFIX)).ok_or_else(not_understood)
    }

    async fn unseal(&self, namespace_uid: &str, sealed: &str) -> Result<SecretString, SealError> {
        if !sealed.starts_with(PREFIX) {
            let others = self.others.as_ref().ok_or(SealError::Refused)?;
            return others.unseal(namespace_uid, sealed).await;
        }
        let context = context(namespace_uid);
        let body = Decrypt { ciphertext: sealed, context: &context };
        let plaintext = self.transform(&self.decrypt, &body).await?.plaintext;
        let plaintext = Zeroizing::new(plaintext.ok_or_else(not_understood)?);
        let token = STANDARD.decode(plaintext.as_bytes()).map_err(|_| not_understood())?;
        let token = String::from_utf8(token).map_err(|_| SealError::Refused)?;
        Ok(SecretString::from(token))
    }
}

fn not_understood() -> SealError {
    let problem = "it holds neither what was sealed nor what was unsealed";
    SealError::Backend(Box::new(VaultError::Answer(problem)))
}
