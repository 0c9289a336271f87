//! Asking registries.
//!
//! Who writes a workflow says which registry that is, so it may be anybody's: what is read of an
//! answer, how long it takes and where it leads to is limited, and what is read is thrown away again
//! but for a few words.
//!
//! | module | holds |
//! | --- | --- |
//! | `session` | one conversation with a registry: requests, logins, limits |
//! | `documents` | what is read of an index, a manifest and a configuration |
//! | `problem` | what can go wrong, in words |

mod documents;
mod problem;
mod session;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use oci_spec::distribution::Reference;
use relay_core::{ImageError, ImageInspector, ImageProgram, RegistryLogin};
use reqwest::Client;
use reqwest::redirect::Policy;

use self::problem::Problem;
use self::session::Session;

/// How long connecting may take, and how long a registry may say nothing.
const CONNECT: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(10);
/// How long a registry may take for all of its answers, with one login.
const ANSWER: Duration = Duration::from_secs(15);
/// How often a registry may send one elsewhere for the same thing.
const REDIRECTS: usize = 5;

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

/// Asks the registries of images. Of each manifest, list of manifests and configuration it reads 4 MiB
/// at most.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    options: RegistryOptions,
    /// Made when it is needed: it reads the trusted certificates.
    client: Arc<Mutex<Option<Client>>>,
}

impl Registry {
    /// One that asks like this.
    #[must_use]
    pub fn new(options: RegistryOptions) -> Self {
        Self { options, client: Arc::default() }
    }

    fn client(&self) -> Result<Client, Problem> {
        let mut made = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*made {
            return Ok(client.clone());
        }
        let client = Client::builder()
            .user_agent(concat!("relay/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .redirect(redirects())
            // Registries are asked seldom, and many of them.
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(Duration::from_secs(10))
            .build()
            .map_err(|_| Problem::NoClient)?;
        Ok(made.insert(client).clone())
    }

    async fn ask(
        &self,
        image: &Reference,
        login: Option<&RegistryLogin>,
    ) -> Result<ImageProgram, Problem> {
        let registry = image.resolve_registry();
        let is_plain = self.options.plain.iter().any(|plain| plain == registry);
        let mut session = Session::new(self.client()?, image, is_plain, login);
        let reference = image.digest().or(image.tag()).unwrap_or("latest");
        let mut found = session.manifest(reference, &self.options.architecture).await?;
        if let Some(chosen) = found.chosen.take() {
            // A list of lists would be another way of never ending.
            found = session.manifest(&chosen, &self.options.architecture).await?;
        }
        let config = found.config.ok_or(Problem::Strange)?;
        session.program(&config).await
    }
}

/// Not too often, and not out of what TLS protects.
fn redirects() -> Policy {
    Policy::custom(|attempt| {
        let was_safe = attempt.previous().iter().all(|url| url.scheme() == "https");
        if attempt.previous().len() > REDIRECTS || (was_safe && attempt.url().scheme() != "https") {
            // The answer that says so is the answer.
            return attempt.stop();
        }
        attempt.follow()
    })
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
        for login in fitting(&reference, logins) {
            let answer = tokio::time::timeout(ANSWER, self.ask(&reference, login)).await;
            match answer.unwrap_or(Err(Problem::Slow)) {
                Ok(program) => return Ok(program),
                Err(problem) if problem.is_refusal() => drop(failure.get_or_insert(problem)),
                Err(problem) => return Err(error(problem.to_string(), problem.is_temporary())),
            }
        }
        let problem = failure.unwrap_or(Problem::Refused);
        Err(error(problem.to_string(), problem.is_temporary()))
    }
}

/// The ways to log in, the most special one first, and none at last.
fn fitting<'l>(image: &Reference, logins: &'l [RegistryLogin]) -> Vec<Option<&'l RegistryLogin>> {
    let place = format!("{}/{}", image.registry(), image.repository());
    let covers = |login: &&RegistryLogin| {
        let rest = place.strip_prefix(&login.registry);
        rest.is_some_and(|rest| rest.starts_with('/') || rest.is_empty())
    };
    let mut fitting: Vec<_> = logins.iter().filter(covers).collect();
    fitting.sort_by_key(|login| std::cmp::Reverse(login.registry.len()));
    fitting.into_iter().map(Some).chain([None]).collect()
}
