//! Who a step is to the metadata API.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use relay_core::{SealError, TokenSealer};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::OnceCell;

/// Opens the sealed tokens of TaskRuns.
pub(super) struct Credentials {
    client: Client,
    sealer: Arc<dyn TokenSealer>,
    /// The UIDs of namespaces by name.
    namespaces: Mutex<HashMap<String, Arc<OnceCell<String>>>>,
}

/// A token that cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum CredentialsError {
    #[error("namespace {name:?} cannot be read: {source}")]
    Namespace { name: String, source: kube::Error },
    #[error("the token of the TaskRun cannot be used: {0}")]
    Seal(#[from] SealError),
}

impl Credentials {
    pub(super) fn new(client: Client, sealer: Arc<dyn TokenSealer>) -> Self {
        Self { client, sealer, namespaces: Mutex::default() }
    }

    /// The token that was sealed for this namespace.
    pub(super) async fn token(
        &self,
        namespace: &str,
        sealed: &str,
    ) -> Result<SecretString, CredentialsError> {
        let (uid, is_fresh) = self.uid(namespace).await?;
        match self.sealer.unseal(&uid, sealed).await {
            // The namespace may have been made anew since.
            Err(SealError::Refused) if !is_fresh => {
                self.forget(namespace);
                let (uid, _) = self.uid(namespace).await?;
                Ok(self.sealer.unseal(&uid, sealed).await?)
            }
            opened => Ok(opened?),
        }
    }

    /// The UID of a namespace, and whether it was fetched for this answer.
    async fn uid(&self, name: &str) -> Result<(String, bool), CredentialsError> {
        let cell = {
            let mut known = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(name.to_owned()).or_default())
        };
        let mut is_fresh = false;
        let uid = cell
            .get_or_try_init(|| async {
                is_fresh = true;
                let namespaces: Api<Namespace> = Api::all(self.client.clone());
                let namespace = namespaces.get_metadata(name).await.map_err(|source| {
                    CredentialsError::Namespace { name: name.to_owned(), source }
                })?;
                Ok::<_, CredentialsError>(namespace.metadata.uid.unwrap_or_default())
            })
            .await?;
        Ok((uid.clone(), is_fresh))
    }

    fn forget(&self, namespace: &str) {
        let mut known = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(namespace);
    }
}

/// The URL by which a step calls the API as itself.
pub(super) fn url(api: SocketAddr, token: &SecretString) -> SecretString {
    let token = token.expose_secret();
    // Tokens are made of letters, digits, `.`, `-` and `_`; what else there is must not end the
    // user information early.
    let encoded = utf8_percent_encode(token, NON_ALPHANUMERIC);
    format!("http://:{encoded}@{api}").into()
}
