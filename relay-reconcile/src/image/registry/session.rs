//! One conversation with a registry, with one login. What is learned in it serves no other one.

use http_auth::ChallengeParser;
use oci_spec::distribution::Reference;
use relay_core::{ImageProgram, RegistryLogin};
use reqwest::header::{ACCEPT, HeaderMap, WWW_AUTHENTICATE};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sha2::{Digest as _, Sha256, Sha512};

use super::documents::{Image, Manifest};
use super::problem::Problem;

/// The largest document of an image that is read: registries need not take larger manifests.
const LARGEST: usize = 4 << 20;
/// The largest answer that is read of what hands out tokens.
const LARGEST_TOKEN: usize = 256 << 10;
/// As much as is read of an error.
const LARGEST_ERROR: usize = 64 << 10;

const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
                         application/vnd.oci.image.manifest.v1+json, \
                         application/vnd.docker.distribution.manifest.list.v2+json, \
                         application/vnd.docker.distribution.manifest.v2+json";

pub(super) struct Session<'a> {
    client: Client,
    image: &'a Reference,
    is_plain: bool,
    login: Option<&'a RegistryLogin>,
    shown: Shown,
}

/// What is shown with requests.
enum Shown {
    Nothing,
    Login,
    Token(SecretString),
}

/// What a registry wants before it answers.
enum Challenge {
    /// The login itself.
    Login,
    /// A token from there.
    Token(Url),
}

impl<'a> Session<'a> {
    pub(super) fn new(
        client: Client,
        image: &'a Reference,
        is_plain: bool,
        login: Option<&'a RegistryLogin>,
    ) -> Self {
        Self { client, image, is_plain, login, shown: Shown::Nothing }
    }

    /// Reads a manifest or a list of them, by tag or digest.
    pub(super) async fn manifest(
        &mut self,
        reference: &str,
        architecture: &str,
    ) -> Result<Manifest, Problem> {
        const WHAT: &str = "manifest";
        let url = self.url("manifests", reference)?;
        let response = self.get(url, Some(MANIFESTS)).await?;
        let bytes = read(response, LARGEST).await?.ok_or(Problem::TooLarge(WHAT))?;
        if reference.contains(':') {
            check(&bytes, reference, WHAT)?;
        }
        let manifest = Manifest::read(&bytes, architecture).map_err(|_| Problem::Strange)?;
        if manifest.is_list && manifest.chosen.is_none() {
            return Err(Problem::OtherProcessor(architecture.to_owned()));
        }
        Ok(manifest)
    }

    /// Reads from the configuration of this digest what the image runs.
    pub(super) async fn program(&mut self, digest: &str) -> Result<ImageProgram, Problem> {
        const WHAT: &str = "description";
        let url = self.url("blobs", digest)?;
        let response = self.get(url, None).await?;
        let bytes = read(response, LARGEST).await?.ok_or(Problem::TooLarge(WHAT))?;
        check(&bytes, digest, WHAT)?;
        let image: Image = serde_json::from_slice(&bytes).map_err(|_| Problem::Strange)?;
        Ok(image.program())
    }

    fn url(&self, kind: &str, name: &str) -> Result<Url, Problem> {
        let scheme = if self.is_plain { "http" } else { "https" };
        let place = format!("{scheme}://{}/", self.image.resolve_registry());
        let mut url = Url::parse(&place).map_err(|_| Problem::Strange)?;
        let repository = self.image.repository().split('/');
        url.path_segments_mut()
            .map_err(|()| Problem::Strange)?
            .pop_if_empty()
            .push("v2")
            .extend(repository)
            .extend([kind, name]);
        Ok(url)
    }

    /// Asks, and once more with what the registry wants to be shown.
    async fn get(&mut self, url: Url, accept: Option<&str>) -> Result<Response, Problem> {
        let response = self.send(url.clone(), accept).await?;
        if response.status() != StatusCode::UNAUTHORIZED || !matches!(self.shown, Shown::Nothing) {
            return accepted(response).await;
        }
        let Some(challenge) = self.challenge(response.headers())? else {
            return accepted(response).await;
        };
        self.shown = match challenge {
            Challenge::Login => Shown::Login,
            Challenge::Token(realm) => Shown::Token(self.token(realm).await?),
        };
        accepted(self.send(url, accept).await?).await
    }

    async fn send(&self, url: Url, accept: Option<&str>) -> Result<Response, Problem> {
        let mut request = self.client.get(url);
        if let Some(accept) = accept {
            request = request.header(ACCEPT, accept);
        }
        let request = match &self.shown {
            Shown::Nothing => request,
            Shown::Login => self.log_in(request),
            Shown::Token(token) => request.bearer_auth(token.expose_secret()),
        };
        Ok(request.send().await?)
    }

    fn log_in(&self, request: RequestBuilder) -> RequestBuilder {
        match self.login {
            Some(login) => request.basic_auth(&login.user, Some(login.password.expose_secret())),
            None => request,
        }
    }

    /// What the registry wants, as far as it can be had.
    fn challenge(&self, headers: &HeaderMap) -> Result<Option<Challenge>, Problem> {
        for header in headers.get_all(WWW_AUTHENTICATE) {
            let Ok(text) = header.to_str() else { continue };
            for challenge in ChallengeParser::new(text).filter_map(Result::ok) {
                if challenge.scheme.eq_ignore_ascii_case("basic") && self.login.is_some() {
                    return Ok(Some(Challenge::Login));
                }
                if !challenge.scheme.eq_ignore_ascii_case("bearer") {
                    continue;
                }
                let value = |name: &str| {
                    let mut parameters = challenge.params.iter();
                    let found = parameters.find(|(key, _)| key.eq_ignore_ascii_case(name));
                    found.map(|(_, value)| value.to_unescaped())
                };
                let realm = value("realm").ok_or(Problem::Strange)?;
                let mut realm = Url::parse(&realm).map_err(|_| Problem::Strange)?;
                // A password is not for everybody on the way.
                if realm.scheme() != "https" && !(self.is_plain && realm.scheme() == "http") {
                    return Err(Problem::Strange);
                }
                let scope = format!("repository:{}:pull", self.image.repository());
                realm.query_pairs_mut().append_pair("scope", &scope);
                if let Some(service) = value("service") {
                    realm.query_pairs_mut().append_pair("service", &service);
                }
                return Ok(Some(Challenge::Token(realm)));
            }
        }
        Ok(None)
    }

    async fn token(&self, realm: Url) -> Result<SecretString, Problem> {
        // Some send both, for those who know but one.
        #[derive(Deserialize)]
        struct Answer {
            token: Option<String>,
            access_token: Option<String>,
        }
        let response = self.log_in(self.client.get(realm)).send().await?;
        let response = accepted(response).await?;
        let bytes = read(response, LARGEST_TOKEN).await?.ok_or(Problem::TooLarge("token"))?;
        let answer: Answer = serde_json::from_slice(&bytes).map_err(|_| Problem::Strange)?;
        answer.token.or(answer.access_token).map(Into::into).ok_or(Problem::Strange)
    }
}

/// An answer that is one, or why it is none.
async fn accepted(response: Response) -> Result<Response, Problem> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    Err(match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Problem::Refused,
        StatusCode::TOO_MANY_REQUESTS => Problem::Busy,
        StatusCode::NOT_FOUND => {
            // Some say that way that another login may see it.
            let refused = ["DENIED", "UNAUTHORIZED"];
            let mut codes = codes(response).await.into_iter();
            if codes.any(|code| refused.contains(&code.as_str())) {
                Problem::Refused
            } else {
                Problem::Unknown
            }
        }
        other => Problem::Answered(other.as_u16()),
    })
}

/// The codes of an error.
async fn codes(response: Response) -> Vec<String> {
    #[derive(Deserialize)]
    struct Envelope {
        errors: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        code: String,
    }
    let Ok(Some(bytes)) = read(response, LARGEST_ERROR).await else { return Vec::new() };
    let envelope = serde_json::from_slice(&bytes).unwrap_or(Envelope { errors: Vec::new() });
    envelope.errors.into_iter().map(|entry| entry.code).collect()
}

/// All of a body; `None` where it is larger than that.
async fn read(mut response: Response, largest: usize) -> Result<Option<Vec<u8>>, Problem> {
    let says = response.content_length().map(usize::try_from);
    if says.is_some_and(|says| says.map_or(true, |says| says > largest)) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if chunk.len() > largest - bytes.len() {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}

/// Whether that is what was asked for.
fn check(bytes: &[u8], digest: &str, what: &'static str) -> Result<(), Problem> {
    let found = match digest.split_once(':') {
        Some(("sha256", _)) => format!("sha256:{}", hex::encode(Sha256::digest(bytes))),
        Some(("sha512", _)) => format!("sha512:{}", hex::encode(Sha512::digest(bytes))),
        _ => return Err(Problem::Strange),
    };
    if found == digest { Ok(()) } else { Err(Problem::Corrupt(what)) }
}
