use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt as _, TryStreamExt as _};
use relay_core::{Map, SecretStore, SecretValue, StoreError, Value};
use secrecy::ExposeSecret as _;
use secrecy::zeroize::Zeroizing;
use serde::Deserialize;
use uuid::Uuid;

use super::session::Entry;
use super::{VaultError, VaultPath, VaultSession};

/// How many values are read at the same time.
const AT_ONCE: usize = 8;
/// What a value begins with that holds the base64 of bytes.
const ENCODED: &str = "base64:";

/// The secrets and connections of one caller, in Vault's key-value engine, version 2.
///
/// | is | lies at | and is |
/// | --- | --- | --- |
/// | a secret | `<secrets>/<name>` | `{"value": TEXT}` |
/// | a connection | `<connections>/<type>/<name>` | `{"value": ID}` |
/// | a field of it | `<connections>/<id>/<field>` | `{"value": TEXT}` |
///
/// Text that begins with `base64:` is bytes. It takes the policies `read` on these paths below
/// `<engine>/data` and `list` below `<engine>/metadata`.
///
/// What is there is kept by the session for a minute; what is not is asked for before that is said.
#[derive(Clone, Debug)]
pub struct VaultSecrets {
    session: Arc<VaultSession>,
    data: VaultPath,
    metadata: VaultPath,
    secrets: Option<VaultPath>,
    connections: Option<VaultPath>,
}

impl VaultSecrets {
    /// The secrets and connections at these paths of the engine. What has no path is forbidden.
    ///
    /// # Errors
    ///
    /// When one of them is no path.
    pub fn new(
        session: Arc<VaultSession>,
        engine: &str,
        secrets: Option<&str>,
        connections: Option<&str>,
    ) -> Result<Self, VaultError> {
        let engine = VaultPath::new(engine)?;
        Ok(Self {
            session,
            data: engine.below("data"),
            metadata: engine.below("metadata"),
            secrets: secrets.map(VaultPath::new).transpose()?,
            connections: connections.map(VaultPath::new).transpose()?,
        })
    }

    /// The value at this path; `None` where nothing is, or what is has none that is a text.
    async fn value(&self, path: &VaultPath) -> Result<Option<SecretValue>, StoreError> {
        #[derive(Deserialize)]
        struct Answer {
            data: Version,
        }
        #[derive(Deserialize)]
        struct Version {
            data: Option<serde_json::Map<String, serde_json::Value>>,
        }
        let doing = || format!("read {path} from Vault");
        let answer: Option<Answer> = self
            .session
            .read(&self.data.with(path))
            .await
            .map_err(|error| failed(doing(), error))?;
        let entry = answer.and_then(|answer| answer.data.data);
        let Some(serde_json::Value::String(text)) =
            entry.and_then(|mut entry| entry.remove("value"))
        else {
            return Ok(None);
        };
        let text = Zeroizing::new(text);
        let value = match text.strip_prefix(ENCODED) {
            None => Value::from(text.as_str()),
            Some(encoded) => {
                let bytes = STANDARD.decode(encoded).map(Zeroizing::new);
                let problem = "what follows base64: is none".to_owned();
                let damaged = |_| StoreError::Damaged { doing: doing(), problem };
                Value::from_bytes(&bytes.map_err(damaged)?)
            }
        };
        Ok(Some(SecretValue::new(Box::new(value))))
    }

    /// The names at this path that lead deeper, or those that do not.
    async fn names(&self, path: &VaultPath, folders: bool) -> Result<Vec<String>, StoreError> {
        let listed = self.session.list(&self.metadata.with(path)).await;
        let listed = listed.map_err(|error| failed(format!("list {path} in Vault"), error))?;
        let chosen = listed.into_iter().filter_map(|name| match name.strip_suffix('/') {
            Some(folder) => folders.then(|| folder.to_owned()),
            None => (!folders).then_some(name),
        });
        // A name that cannot be asked for is not there.
        Ok(chosen.filter(|name| path.join(name).is_ok()).collect())
    }

    /// The object of all values at this path; `None` where there are none.
    async fn object(&self, path: &VaultPath) -> Result<Option<SecretValue>, StoreError> {
        let names = self.names(path, false).await?;
        let fields = names.into_iter().map(|name| async move {
            let field = path.join(&name).map_err(|error| refused(path, &error))?;
            Ok((self.value(&field).await?, name))
        });
        let fields = read_all(fields.collect()).await?;
        if fields.is_empty() {
            return Ok(None);
        }
        let fields = fields.into_iter();
        let fields: Map =
            fields.map(|(name, value)| (name.into(), value.expose_secret().clone())).collect();
        Ok(Some(SecretValue::new(Box::new(Value::from(fields)))))
    }

    fn secret_path(&self) -> Result<&VaultPath, StoreError> {
        self.secrets.as_ref().ok_or_else(|| forbidden("read secrets"))
    }

    fn connection_path(&self) -> Result<&VaultPath, StoreError> {
        self.connections.as_ref().ok_or_else(|| forbidden("read connections"))
    }
}

#[async_trait]
impl SecretStore for VaultSecrets {
    async fn secret(&self, name: &str) -> Result<Option<SecretValue>, StoreError> {
        let all = self.secret_path()?;
        let path = all.join(name).map_err(|error| refused(all, &error))?;
        let entry = Entry::Secret(name.to_owned());
        if let Some(value) = self.session.kept(&entry) {
            return Ok(Some(value));
        }
        let begun = Instant::now();
        let found = self.value(&path).await?;
        if let Some(value) = &found {
            self.session.keep(entry, begun, value);
        }
        Ok(found)
    }

    async fn secrets(&self) -> Result<BTreeMap<String, SecretValue>, StoreError> {
        let names = self.names(self.secret_path()?, false).await?;
        let reads =
            names.into_iter().map(|name| async move { Ok((self.secret(&name).await?, name)) });
        Ok(read_all(reads.collect()).await?.into_iter().collect())
    }

    async fn connection(&self, kind: &str, name: &str) -> Result<Option<SecretValue>, StoreError> {
        let all = self.connection_path()?;
        let wrong = |error| refused(all, &error);
        let path = all.join(kind).map_err(wrong)?.join(name).map_err(wrong)?;
        // The fields of connections lie beside the types.
        if Uuid::try_parse(kind).is_ok() {
            return Ok(None);
        }
        let entry = Entry::Connection(kind.to_owned(), name.to_owned());
        if let Some(value) = self.session.kept(&entry) {
            return Ok(Some(value));
        }
        let begun = Instant::now();
        let Some(id) = self.value(&path).await? else {
            return Ok(None);
        };
        let Some(fields) = id.expose_secret().as_str().and_then(|id| all.join(id).ok()) else {
            return Ok(None);
        };
        let found = self.object(&fields).await?;
        if let Some(value) = &found {
            self.session.keep(entry, begun, value);
        }
        Ok(found)
    }

    async fn connections(
        &self,
    ) -> Result<BTreeMap<String, BTreeMap<String, SecretValue>>, StoreError> {
        let all = self.connection_path()?;
        let mut connections = BTreeMap::new();
        for kind in self.names(all, true).await? {
            if Uuid::try_parse(&kind).is_ok() {
                continue;
            }
            let path = all.join(&kind).map_err(|error| refused(all, &error))?;
            let names = self.names(&path, false).await?;
            let kind = kind.as_str();
            let reads = names
                .into_iter()
                .map(|name| async move { Ok((self.connection(kind, &name).await?, name)) });
            let named = read_all(reads.collect()).await?;
            if !named.is_empty() {
                connections.insert(kind.to_owned(), named.into_iter().collect());
            }
        }
        Ok(connections)
    }
}

/// What these find, a few at the same time; what vanished meanwhile is left out.
async fn read_all<R>(reads: Vec<R>) -> Result<Vec<(String, SecretValue)>, StoreError>
where
    R: Future<Output = Result<(Option<SecretValue>, String), StoreError>> + Send,
{
    let reads = futures::stream::iter(reads).buffered(AT_ONCE);
    let found: Vec<_> = reads.try_collect().await?;
    Ok(found.into_iter().filter_map(|(value, name)| Some((name, value?))).collect())
}

fn forbidden(doing: &str) -> StoreError {
    StoreError::Forbidden { doing: doing.to_owned() }
}

/// A name that no path can hold.
fn refused(below: &VaultPath, error: &VaultError) -> StoreError {
    StoreError::Refused { doing: format!("read below {below}"), problem: error.to_string() }
}

fn failed(doing: String, error: VaultError) -> StoreError {
    if error.status() == Some(403) {
        tracing::warn!(%error, doing, "Vault does not allow it");
        return StoreError::Forbidden { doing };
    }
    StoreError::Backend { doing, source: Box::new(error) }
}
