use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use relay_core::{Claims, SecretValue, TokenError, Value};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{VaultClient, VaultError, VaultPath};

/// How long a value is kept that was read for a caller.
const KEEP: Duration = Duration::from_secs(60);
/// How much is kept for one caller, in bytes: there may be thousands.
const MOST_KEPT: usize = 64 << 10;
/// How old a Vault token has to be before another one is asked for because it was refused: what is
/// forbidden to a caller would otherwise cost a login each time.
const YOUNG: Duration = Duration::from_secs(1);

/// The JWT login of Vault: gives the holder of a token what its policies allow to that tenant.
#[derive(Clone, Debug)]
pub struct VaultLogin {
    client: VaultClient,
    login: VaultPath,
    role: Option<String>,
    keep: Duration,
}

impl VaultLogin {
    /// The login at this path, such as `auth/jwt`; without a role, Vault takes its default one. The
    /// client's own token is not used.
    ///
    /// # Errors
    ///
    /// When the path is none.
    pub fn new(client: VaultClient, path: &str, role: Option<&str>) -> Result<Self, VaultError> {
        let login = VaultPath::new(path)?.below("login");
        let role = role.map(str::to_owned);
        Ok(Self { client: client.with_token(None), login, role, keep: KEEP })
    }

    /// The same, where what was read for a caller is kept for so long at most. Default: a minute.
    #[must_use]
    pub fn keep_for(self, keep: Duration) -> Self {
        Self { keep, ..self }
    }

    /// What Vault lets the holder of this token do. Nothing is sent before it is used.
    #[must_use]
    pub fn session(&self, token: SecretString) -> VaultSession {
        let login = self.clone();
        VaultSession { login, token, lease: tokio::sync::Mutex::default(), kept: Mutex::default() }
    }

    async fn log_in(&self, token: &SecretString) -> Result<Lease, VaultError> {
        #[derive(Serialize)]
        struct Login<'a> {
            jwt: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            role: Option<&'a str>,
        }
        #[derive(Deserialize)]
        struct Answer {
            auth: Option<Auth>,
        }
        #[derive(Deserialize)]
        struct Auth {
            client_token: String,
            #[serde(default)]
            lease_duration: u64,
        }
        let jwt = token.expose_secret().trim();
        let body = Login { jwt, role: self.role.as_deref() };
        let answer: Answer = self.client.write(&self.login, &body).await?;
        let auth = answer.auth.filter(|auth| !auth.client_token.is_empty());
        let Auth { client_token, lease_duration } = auth.ok_or(VaultError::NoAuth)?;
        let begun = Instant::now();
        // A little less: a request takes its time. 0 is for ever.
        let lasting = Duration::from_secs(lease_duration).mul_f64(0.9);
        let ends = begun.checked_add(lasting).filter(|_| lease_duration > 0);
        let client = self.client.clone().with_token(Some(client_token.into()));
        Ok(Lease { client, begun, ends })
    }
}

/// A Vault token, as a client that uses it.
#[derive(Debug)]
struct Lease {
    client: VaultClient,
    begun: Instant,
    ends: Option<Instant>,
}

/// What Vault lets one caller do: the token that it got for the caller's own, and what was read with
/// it. Both are gone when this is dropped. A Vault token that ends, or is taken back, is replaced.
pub struct VaultSession {
    login: VaultLogin,
    token: SecretString,
    lease: tokio::sync::Mutex<Option<Arc<Lease>>>,
    kept: Mutex<HashMap<Entry, Kept>>,
}

/// Something that was read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Entry {
    Secret(String),
    Connection(String, String),
}

struct Kept {
    until: Instant,
    value: SecretValue,
    size: usize,
}

impl VaultSession {
    /// The claims of the caller's token, which Vault checks by letting it log in.
    ///
    /// # Errors
    ///
    /// [`TokenError::Refused`] when Vault refuses it, or its claims are none;
    /// [`TokenError::Backend`] when Vault does not answer.
    pub async fn verify(&self) -> Result<Claims, TokenError> {
        self.lease(None).await.map_err(|error| {
            if error.is_refusal() || matches!(error, VaultError::NoAuth) {
                TokenError::refused(error)
            } else {
                TokenError::Backend(Box::new(error))
            }
        })?;
        Claims::from_verified(&self.token)
    }

    /// What is at this path; `None` where nothing is.
    pub(super) async fn read<A: DeserializeOwned>(
        &self,
        path: &VaultPath,
    ) -> Result<Option<A>, VaultError> {
        let lease = self.lease(None).await?;
        let answer = match lease.client.read(path).await {
            Err(error) if lease.may_be_stale(&error) => {
                self.lease(Some(&lease)).await?.client.read(path).await
            }
            answer => answer,
        };
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The names at this path.
    pub(super) async fn list(&self, path: &VaultPath) -> Result<Vec<String>, VaultError> {
        let lease = self.lease(None).await?;
        match lease.client.list(path).await {
            Err(error) if lease.may_be_stale(&error) => {
                self.lease(Some(&lease)).await?.client.list(path).await
            }
            answer => answer,
        }
    }

    /// The Vault token, if need be a new one; certainly one other than `refused`.
    async fn lease(&self, refused: Option<&Arc<Lease>>) -> Result<Arc<Lease>, VaultError> {
        let mut current = self.lease.lock().await;
        let usable = current.as_ref().filter(|lease| {
            let is_live = lease.ends.is_none_or(|ends| Instant::now() < ends);
            is_live && refused.is_none_or(|refused| !Arc::ptr_eq(refused, lease))
        });
        if let Some(lease) = usable {
            return Ok(Arc::clone(lease));
        }
        let lease = Arc::new(self.login.log_in(&self.token).await?);
        *current = Some(Arc::clone(&lease));
        Ok(lease)
    }

    /// What was read not long ago.
    pub(super) fn kept(&self, entry: &Entry) -> Option<SecretValue> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.get(entry).filter(|kept| Instant::now() < kept.until)?;
        Some(copy(&found.value))
    }

    /// Keeps what was read at `since`, for a while.
    pub(super) fn keep(&self, entry: Entry, since: Instant, value: &SecretValue) {
        let now = Instant::now();
        let Some(until) = since.checked_add(self.login.keep).filter(|until| now < *until) else {
            return;
        };
        let size = entry.size() + size(value.expose_secret());
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, kept| now < kept.until);
        let before: usize = kept.values().map(|kept| kept.size).sum();
        if before + size <= MOST_KEPT {
            kept.insert(entry, Kept { until, value: copy(value), size });
        }
    }
}

impl Entry {
    fn size(&self) -> usize {
        match self {
            Self::Secret(name) => name.len(),
            Self::Connection(kind, name) => kind.len() + name.len(),
        }
    }
}

/// The bytes of a value, about: with what it costs to hold it.
fn size(value: &Value) -> usize {
    const OVERHEAD: usize = 64;
    let size = match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Map(fields) => fields.iter().map(|(name, value)| name.len() + size(value)).sum(),
        // Nothing else comes from Vault.
        _ => 0,
    };
    size + OVERHEAD
}

impl Lease {
    /// Whether Vault may have refused the token rather than what it was used for.
    fn may_be_stale(&self, error: &VaultError) -> bool {
        error.status() == Some(403) && self.begun.elapsed() > YOUNG
    }
}

/// Values are shared, so this copies no text.
fn copy(value: &SecretValue) -> SecretValue {
    SecretValue::new(Box::new(value.expose_secret().clone()))
}

impl fmt::Debug for VaultSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultSession").field("login", &self.login).finish_non_exhaustive()
    }
}
