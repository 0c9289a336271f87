//! Asking registries.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::manifest::ImageIndexEntry;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use relay_core::{ImageError, ImageInspector, ImageProgram, RegistryLogin};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use tokio::io::AsyncWrite;

/// The largest description of an image that is read.
const LARGEST: usize = 1 << 20;
/// How long connecting may take, and how long a registry may say nothing.
const CONNECT: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(10);
/// How long an answer may take as a whole.
const ANSWER: Duration = Duration::from_secs(15);

/// How registries are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryOptions {
    /// The processor of the nodes that run steps, such as `amd64`; of an image for several ones,
    /// this one is looked at.
    pub architecture: String,
    /// Registries, as `HOST:PORT`, that are asked without TLS.
    pub plain: Vec<String>,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self { architecture: architecture.to_owned(), plain: Vec::new() }
    }
}

/// Asks the registries of images.
#[derive(Clone, Debug, Default)]
pub struct Registry(RegistryOptions);

impl Registry {
    /// One that asks like this.
    #[must_use]
    pub fn new(options: RegistryOptions) -> Self {
        Self(options)
    }

    /// A client for one question: what it learns with one login must not serve another one.
    fn client(&self) -> Result<Client, OciDistributionError> {
        let architecture = self.0.architecture.clone();
        Client::try_from(ClientConfig {
            protocol: ClientProtocol::HttpsExcept(self.0.plain.clone()),
            platform_resolver: Some(Box::new(move |all| choose(all, &architecture))),
            connect_timeout: Some(CONNECT),
            read_timeout: Some(SILENCE),
            user_agent: concat!("relay/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        })
    }

    async fn ask(
        &self,
        image: &Reference,
        auth: &RegistryAuth,
    ) -> Result<ImageProgram, OciDistributionError> {
        let client = self.client()?;
        let (manifest, _) = client.pull_image_manifest(image, auth).await?;
        let mut config = Limited(Vec::new());
        client.pull_blob(image, &manifest.config, &mut config).await?;
        let image: Image = serde_json::from_slice(&config.0)?;
        let words = |words: Option<Vec<String>>| words.unwrap_or_default();
        Ok(ImageProgram {
            entrypoint: words(image.config.entrypoint),
            cmd: words(image.config.cmd),
        })
    }
}

/// The description of an image, as much of it as matters.
#[derive(Deserialize)]
struct Image {
    #[serde(default)]
    config: Config,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
}

fn choose(entries: &[ImageIndexEntry], architecture: &str) -> Option<String> {
    let fits = |entry: &&ImageIndexEntry| {
        entry.platform.as_ref().is_some_and(|platform| {
            platform.os.to_string() == "linux" && platform.architecture.to_string() == architecture
        })
    };
    entries.iter().find(fits).map(|entry| entry.digest.clone())
}

#[async_trait]
impl ImageInspector for Registry {
    async fn inspect(
        &self,
        image: &str,
        logins: &[RegistryLogin],
    ) -> Result<ImageProgram, ImageError> {
        let error = |problem: String, is_temporary: bool| ImageError {
            image: image.to_owned(),
            problem,
            is_temporary,
        };
        let reference: Reference =
            image.parse().map_err(|problem| error(format!("{problem}"), false))?;
        let mut failure = None;
        // The most special login first, and none at last.
        for auth in auths(&reference, logins) {
            let answer = tokio::time::timeout(ANSWER, self.ask(&reference, &auth)).await;
            let problem = match answer {
                Ok(Ok(program)) => return Ok(program),
                Ok(Err(problem)) => problem,
                Err(_) => return Err(error("its registry is too slow".to_owned(), true)),
            };
            let (words, is_temporary) = explain(&problem);
            if !is_refusal(&problem) {
                return Err(error(words, is_temporary));
            }
            failure.get_or_insert(error(words, is_temporary));
        }
        Err(failure.unwrap_or_else(|| error("nobody was asked".to_owned(), true)))
    }
}

/// The ways to log in, the most special one first, and none at last.
fn auths(image: &Reference, logins: &[RegistryLogin]) -> Vec<RegistryAuth> {
    let place = format!("{}/{}", image.registry(), image.repository());
    let covers = |login: &&RegistryLogin| {
        let rest = place.strip_prefix(&login.registry);
        rest.is_some_and(|rest| rest.starts_with('/') || rest.is_empty())
    };
    let mut fitting: Vec<_> = logins.iter().filter(covers).collect();
    fitting.sort_by_key(|login| std::cmp::Reverse(login.registry.len()));
    let basic = |login: &RegistryLogin| {
        RegistryAuth::Basic(login.user.clone(), login.password.expose_secret().to_owned())
    };
    fitting.into_iter().map(basic).chain([RegistryAuth::Anonymous]).collect()
}

/// Whether another login may do better.
fn is_refusal(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::AuthenticationFailure(_)
        | OciDistributionError::UnauthorizedError { .. } => true,
        OciDistributionError::RegistryError { envelope, .. } => envelope
            .errors
            .iter()
            .any(|error| matches!(error.code, OciErrorCode::Unauthorized | OciErrorCode::Denied)),
        _ => false,
    }
}

/// What is the matter, without addresses that may hold tokens; and whether it may be over soon.
fn explain(error: &OciDistributionError) -> (String, bool) {
    match error {
        OciDistributionError::RequestError(error) => {
            let what = if error.is_timeout() {
                "its registry does not answer"
            } else if error.is_connect() {
                "its registry cannot be reached"
            } else {
                "its registry broke off"
            };
            (what.to_owned(), true)
        }
        OciDistributionError::ServerError { code, .. } => {
            (format!("its registry answered {code}"), *code >= 500 || *code == 429)
        }
        OciDistributionError::ImageManifestNotFoundError(_) => {
            ("its registry has no such image".to_owned(), false)
        }
        error if is_refusal(error) => {
            ("its registry wants another login, or has no such image".to_owned(), false)
        }
        OciDistributionError::RegistryError { envelope, .. } => {
            let busy = |code: &OciErrorCode| matches!(code, OciErrorCode::Toomanyrequests);
            let is_temporary = envelope.errors.iter().any(|error| busy(&error.code));
            ("its registry has no such image".to_owned(), is_temporary)
        }
        OciDistributionError::IoError(error) => (error.to_string(), false),
        _ => ("its registry's answer is not understood".to_owned(), false),
    }
}

/// Bytes, but not too many.
struct Limited(Vec<u8>);

impl AsyncWrite for Limited {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.0.len() + bytes.len() > LARGEST {
            return Poll::Ready(Err(io::Error::other("its description is too large")));
        }
        self.0.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
