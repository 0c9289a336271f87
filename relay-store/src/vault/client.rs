use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Method, Url, redirect};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{VaultError, VaultOptions, VaultPath};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// The longest answer that is read.
const LONGEST: usize = 4 << 20;
/// The pauses between attempts: three, of less than a second in all.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_millis(400);

/// Speaks to one Vault, as this process.
///
/// A request has ten seconds, follows no redirect, and is sent again a few times where Vault cannot
/// be reached or answers 5xx.
#[derive(Clone)]
pub struct VaultClient {
    http: Client,
    address: Url,
    namespace: Option<HeaderValue>,
    token: Option<SecretString>,
    patience: Duration,
}

impl VaultClient {
    /// A client of the Vault, or of the agent, at this address.
    ///
    /// # Errors
    ///
    /// When the address is none, or TLS cannot be set up.
    pub fn new(address: &str, options: &VaultOptions) -> Result<Self, VaultError> {
        let mut http = Client::builder()
            .connect_timeout(CONNECT.min(options.patience))
            .redirect(redirect::Policy::none())
            .no_proxy();
        let authorities = options.authorities()?;
        if !authorities.is_empty() {
            http = http.tls_certs_only(authorities);
        }
        if let Some(identity) = options.identity()? {
            http = http.identity(identity);
        }
        let namespace = options.namespace.as_deref().map(|namespace| {
            let problem = "it is no value of a header".to_owned();
            let wrong = |_| VaultError::Setting { variable: "VAULT_NAMESPACE", problem };
            HeaderValue::from_str(namespace).map_err(wrong)
        });
        Ok(Self {
            http: http.build().map_err(VaultError::Client)?,
            address: parse(address)?,
            namespace: namespace.transpose()?,
            token: options.token.clone(),
            patience: options.patience,
        })
    }

    /// The same at another address.
    ///
    /// # Errors
    ///
    /// When the address is none.
    pub fn at(&self, address: &str) -> Result<Self, VaultError> {
        Ok(Self { address: parse(address)?, ..self.clone() })
    }

    /// The same with another token.
    #[must_use]
    pub fn with_token(self, token: Option<SecretString>) -> Self {
        Self { token, ..self }
    }

    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// What is at this path. What is not there is [`VaultError::Status`] 404.
    pub(super) async fn read<A: DeserializeOwned>(
        &self,
        path: &VaultPath,
    ) -> Result<A, VaultError> {
        self.ask(Method::GET, self.url(path), None).await
    }

    /// The names at this path; those of folders end with a slash.
    pub(super) async fn list(&self, path: &VaultPath) -> Result<Vec<String>, VaultError> {
        #[derive(Deserialize)]
        struct Listed {
            data: Keys,
        }
        #[derive(Deserialize)]
        struct Keys {
            keys: Vec<String>,
        }
        let mut url = self.url(path);
        // Vault takes this for its own method LIST, which not every proxy lets through.
        url.set_query(Some("list=true"));
        match self.ask::<Listed>(Method::GET, url, None).await {
            Ok(listed) => Ok(listed.data.keys),
            Err(error) if error.status() == Some(404) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Has this path do something.
    pub(super) async fn write<A: DeserializeOwned>(
        &self,
        path: &VaultPath,
        body: &impl Serialize,
    ) -> Result<A, VaultError> {
        let body = serde_json::to_vec(body);
        let body = body.map_err(|_| VaultError::Answer("what is to be sent is no JSON"))?;
        let body = Bytes::from_owner(Zeroizing::new(body));
        self.ask(Method::PUT, self.url(path), Some(body)).await
    }

    fn url(&self, path: &VaultPath) -> Url {
        let mut url = self.address.clone();
        url.set_path(&format!("{}/v1/{}", url.path().trim_end_matches('/'), path.encoded()));
        url
    }

    async fn ask<A: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        body: Option<Bytes>,
    ) -> Result<A, VaultError> {
        let attempts = async {
            let mut pause = FIRST_PAUSE;
            loop {
                match self.attempt(method.clone(), url.clone(), body.clone()).await {
                    Err(error) if pause <= LAST_PAUSE && error.may_pass() => {
                        tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                        pause = pause.saturating_mul(2);
                    }
                    answer => break answer,
                }
            }
        };
        let answer = tokio::time::timeout(self.patience, attempts).await;
        let answer = answer.map_err(|_| VaultError::Timeout)??;
        serde_json::from_slice(&answer)
            .map_err(|_| VaultError::Answer("it is not the JSON that belongs here"))
    }

    async fn attempt(
        &self,
        method: Method,
        url: Url,
        body: Option<Bytes>,
    ) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        // An agent may ask for this header, which a browser cannot be made to send.
        let mut request = self.http.request(method, url).header("X-Vault-Request", "true");
        if let Some(namespace) = &self.namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        if let Some(token) = &self.token {
            let wrong = |_| VaultError::Setting {
                variable: "VAULT_TOKEN",
                problem: "it is no value of a header".to_owned(),
            };
            let mut token = HeaderValue::from_str(token.expose_secret()).map_err(wrong)?;
            token.set_sensitive(true);
            request = request.header("X-Vault-Token", token);
        }
        if let Some(body) = body.clone() {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let failed = |error: reqwest::Error| VaultError::Unreachable(error.without_url());
        let mut answer = request.send().await.map_err(failed)?;
        let mut text = Zeroizing::new(Vec::new());
        while let Some(piece) = answer.chunk().await.map_err(failed)? {
            text.extend_from_slice(&piece);
            if text.len() > LONGEST {
                return Err(VaultError::Answer("it is too long"));
            }
        }
        let status = answer.status();
        if status.is_success() {
            return Ok(text);
        }
        let body = String::from_utf8_lossy(body.as_deref().unwrap_or_default());
        let token = self.token.as_ref().map_or("", |token| token.expose_secret());
        let said = said(&text, |word| body.contains(word) || token.contains(word));
        Err(VaultError::Status { status: status.as_u16(), said })
    }
}

fn parse(address: &str) -> Result<Url, VaultError> {
    let url = Url::parse(address).map_err(|_| VaultError::Address)?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        Err(VaultError::Address)
    }
}

/// The first thing that an answer says is wrong, behind a colon. Words of some length that were sent
/// are left out: Vault repeats none, but what lies between may, and this goes to a log.
fn said(answer: &[u8], was_sent: impl Fn(&str) -> bool) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        errors: Vec<String>,
    }
    const ENOUGH: usize = 300;
    let Ok(Refusal { errors }) = serde_json::from_slice(answer) else {
        return String::new();
    };
    let Some(first) = errors.first() else {
        return String::new();
    };
    let is_token = |c: char| c.is_ascii_alphanumeric() || "+/=-_.~:".contains(c);
    let words = first.split_inclusive(|c| !is_token(c)).map(|piece| {
        let word = piece.trim_end_matches(|c| !is_token(c));
        if word.len() >= 16 && was_sent(word) { "… " } else { piece }
    });
    let text = words.flat_map(str::chars).filter(|c| !c.is_control()).take(ENOUGH);
    let text: String = text.collect();
    format!(": {text}")
}

impl fmt::Debug for VaultClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // User info of a URL may be a password.
        f.debug_struct("VaultClient")
            .field("host", &self.address.host_str())
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}
