//! Looking, and doing what is planned.

use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use tracing::{info, warn};

use super::issue::{Issued, issue};
use super::plan::{Observed, Step, plan, tell};
use super::{Keeper, Pair};
use crate::Error;
use crate::context::FIELD_MANAGER;
use crate::error::{is_already_exists, is_conflict, is_not_found};

/// The most steps of one pass: a certificate, its CA, and somebody else doing the same.
const STEPS: usize = 6;
/// How long after a CA was made known a certificate of it is shown: API servers hear of it by their
/// watches.
const HEARD: Duration = Duration::from_secs(10);

impl Keeper {
    /// Sees to it once that there is a good certificate and that the configuration, where it is there,
    /// knows its CA. It can be done by several replicas at once, and broken off anywhere.
    ///
    /// # Errors
    ///
    /// When a call fails, or a certificate cannot be made.
    pub async fn reconcile(&self) -> Result<Pair, Error> {
        for _ in 0..STEPS {
            let observed = self.observe().await?;
            match plan(&observed, &self.names, self.clock.now()) {
                Step::Rest(pair) => {
                    if observed.configuration.is_none() {
                        let configuration = &self.names.configuration;
                        warn!(
                            configuration,
                            "no pod is asked about: there is no such configuration"
                        );
                    }
                    return Ok(pair);
                }
                Step::Issue { why } => {
                    let issued = issue(&self.names.dns_name(), self.clock.now())?;
                    let bundle = issued.authority.clone();
                    if self.write(observed.secret, &issued, bundle).await? {
                        info!(secret = self.names.secret, why, "made the webhook's certificate");
                    }
                }
                Step::Renew { authority } => {
                    let issued = issue(&self.names.dns_name(), self.clock.now())?;
                    let bundle = format!("{}{authority}", issued.authority);
                    let found = observed.configuration.as_ref();
                    if let Some(patch) = found.and_then(|found| tell(found, bundle.as_bytes())) {
                        self.patch(patch).await?;
                        tokio::time::sleep(HEARD).await;
                    }
                    if self.write(observed.secret, &issued, bundle).await? {
                        info!(secret = self.names.secret, "renewed the webhook's certificate");
                    }
                }
                Step::Tell(patch) => {
                    self.patch(patch).await?;
                    let configuration = &self.names.configuration;
                    info!(configuration, "told the webhook's configuration its CA");
                }
            }
        }
        Err(Error::Contended { object: self.secret() })
    }

    async fn observe(&self) -> Result<Observed, Error> {
        let Self { names, .. } = self;
        let (secrets, configurations) = (self.secrets(), self.configurations());
        let (secret, configuration) = tokio::join!(
            secrets.get_opt(&names.secret),
            configurations.get_opt(&names.configuration)
        );
        Ok(Observed {
            secret: secret.map_err(Error::api("read", self.secret()))?,
            configuration: configuration.map_err(Error::api("read", self.configuration()))?,
        })
    }

    /// Writes a certificate in the place of what was found. Returns whether it was written, and not
    /// somebody else's.
    async fn write(
        &self,
        found: Option<Secret>,
        issued: &Issued,
        bundle: String,
    ) -> Result<bool, Error> {
        let Issued { pair, .. } = issued;
        let entries = [
            ("tls.crt", pair.certificate.clone()),
            ("tls.key", pair.key.to_vec()),
            ("ca.crt", bundle.into_bytes()),
        ];
        let entries = entries.map(|(key, bytes)| (key.to_owned(), ByteString(bytes)));
        let params =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let api = self.secrets();
        let written = match found {
            None => api.create(&params, &self.secret_of(entries)).await,
            Some(mut found) => {
                found.data.get_or_insert_default().extend(entries);
                // With the version that was read: what somebody wrote since then is not lost.
                api.replace(&self.names.secret, &params, &found).await
            }
        };
        match written {
            Ok(_) => Ok(true),
            // It was written, or deleted, in between.
            Err(error)
                if is_already_exists(&error) || is_conflict(&error) || is_not_found(&error) =>
            {
                Ok(false)
            }
            Err(error) => Err(Error::api("write", self.secret())(error)),
        }
    }

    fn secret_of(&self, entries: [(String, ByteString); 3]) -> Secret {
        let labels = [
            ("app.kubernetes.io/managed-by", FIELD_MANAGER),
            ("app.kubernetes.io/part-of", "relay"),
        ];
        Secret {
            metadata: ObjectMeta {
                name: Some(self.names.secret.clone()),
                labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
                ..ObjectMeta::default()
            },
            type_: Some("kubernetes.io/tls".to_owned()),
            data: Some(entries.into()),
            ..Secret::default()
        }
    }

    async fn patch(&self, patch: json_patch::Patch) -> Result<(), Error> {
        let params =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Json::<()>(patch);
        let patched = self.configurations().patch(&self.names.configuration, &params, &patch).await;
        patched.map(|_| ()).map_err(Error::api("patch", self.configuration()))
    }

    fn secret(&self) -> String {
        format!("Secret {}/{}", self.names.namespace, self.names.secret)
    }

    fn configuration(&self) -> String {
        format!("MutatingWebhookConfiguration {}", self.names.configuration)
    }
}
