//! Who is calling: asked before every endpoint but the health check.
//!
//! All refusals look alike. What was wrong with a credential stands in the log only, since telling
//! a stranger would help it to guess better.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZero;

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use relay_core::expr::StoreResolver;
use relay_core::{
    Action, AuthenticateError, Caller, Definition, EventSink, Journal, LogSink, Presented,
    RunLauncher, SecretStore, Stores,
};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::error::{ApiError, Chain};
use crate::router::App;

/// What a request says of its sender.
pub(crate) fn presented(app: &App, request: &Request) -> Presented {
    Presented { token: token(request.headers()), address: address(app, request) }
}

/// Whoever presented this, or what to answer instead.
pub(crate) async fn authenticate(app: &App, presented: &Presented) -> Result<Caller, Response> {
    caller(app, presented).await.map_err(|error| match error {
        AuthenticateError::Backend(source) => {
            tracing::error!(error = %Chain(&*source), "could not check a credential");
            ApiError::Read.into_response()
        }
        refusal => {
            tracing::warn!(%refusal, "authentication failed");
            refuse()
        }
    })
}

async fn caller(app: &App, presented: &Presented) -> Result<Caller, AuthenticateError> {
    let caller = app.authenticator.authenticate(presented).await?;
    match caller.expires_at {
        Some(end) if end <= app.clock.now() => {
            Err(AuthenticateError::refused("the credential has expired"))
        }
        _ => Ok(caller),
    }
}

fn refuse() -> Response {
    let challenge = [(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
    (challenge, ApiError::Unauthenticated).into_response()
}

/// The address of the connection; behind proxies, the one that the outermost of them saw. What stands
/// further left in `X-Forwarded-For` is the client's own invention.
fn address(app: &App, request: &Request) -> Option<IpAddr> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>()?.0.ip();
    let address = match NonZero::new(app.trusted_hops) {
        None => peer,
        Some(hops) => forwarded(request.headers(), hops)?,
    };
    // An IPv4 caller of a socket that listens on both is the same pod.
    Some(address.to_canonical())
}

/// The entry that is this many from the right.
fn forwarded(headers: &HeaderMap, hops: NonZero<usize>) -> Option<IpAddr> {
    let lists = headers.get_all("x-forwarded-for").iter().rev();
    let mut entries = lists.flat_map(|list| list.as_bytes().rsplit(|byte| *byte == b','));
    let entry = std::str::from_utf8(entries.nth(hops.get() - 1)?).ok()?.trim();
    let of_socket = || entry.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    entry.parse().ok().or_else(of_socket)
}

/// The token of `Authorization`: behind `Bearer`, or the password of `Basic` where the user is empty
/// or `token`. Two such headers are as good as none, since proxies disagree about which one counts.
fn token(headers: &HeaderMap) -> Option<SecretString> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(header), None) = (all.next(), all.next()) else {
        return None;
    };
    let (scheme, credential) = header.to_str().ok()?.trim().split_once(' ')?;
    let credential = credential.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return secret(credential);
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = Zeroizing::new(STANDARD.decode(credential).ok()?);
    match std::str::from_utf8(&decoded).ok()?.split_once(':')? {
        ("" | "token", password) => secret(password.trim()),
        _ => None,
    }
}

fn secret(token: &str) -> Option<SecretString> {
    (!token.is_empty()).then(|| SecretString::from(token))
}

/// The caller of this request, and what it may use. What it may not use is 403.
pub(crate) struct Authenticated(Caller);

impl<S: Sync> FromRequestParts<S> for Authenticated {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        // Without the layer in front nobody is known, and so nobody is let in.
        parts.extensions.remove::<Caller>().map(Self).ok_or_else(refuse)
    }
}

impl Authenticated {
    /// The step or trigger.
    pub(crate) fn action(&self) -> &Action {
        &self.0.action
    }

    /// What tells it from others that are called the same.
    pub(crate) fn instance(&self) -> Option<&str> {
        self.0.instance.as_deref()
    }

    /// What its author wrote.
    pub(crate) fn definition(&self) -> Result<&dyn Definition, ApiError> {
        self.0.stores.definition.as_deref().ok_or(ApiError::Forbidden)
    }

    /// What happened in its run.
    pub(crate) fn journal(&self) -> Result<&dyn Journal, ApiError> {
        self.0.stores.journal.as_deref().ok_or(ApiError::Forbidden)
    }

    /// The same where only steps have it: outputs and decorators.
    pub(crate) fn step_journal(&self) -> Result<&dyn Journal, ApiError> {
        match self.action() {
            Action::Step { .. } => self.journal(),
            Action::Trigger { .. } => Err(ApiError::Forbidden),
        }
    }

    /// Its secrets.
    pub(crate) fn secrets(&self) -> Result<&dyn SecretStore, ApiError> {
        self.0.stores.secrets.as_deref().ok_or(ApiError::Forbidden)
    }

    /// Where its events go.
    pub(crate) fn events(&self) -> Result<&dyn EventSink, ApiError> {
        self.0.stores.events.as_deref().ok_or(ApiError::Forbidden)
    }

    /// Where it starts other workflows.
    pub(crate) fn launcher(&self) -> Result<&dyn RunLauncher, ApiError> {
        self.0.stores.launcher.as_deref().ok_or(ApiError::Forbidden)
    }

    /// The image that it runs, as far as that is known.
    pub(crate) fn image(&self) -> Option<&str> {
        self.0.stores.image.as_deref()
    }

    /// Where its output goes.
    pub(crate) fn logs(&self) -> Result<&dyn LogSink, ApiError> {
        self.0.stores.logs.as_deref().ok_or(ApiError::Forbidden)
    }

    /// What the caller's expressions may refer to: answers only where `answers` says so.
    pub(crate) fn resolver(&self, answers: bool) -> StoreResolver {
        let Stores { definition, journal, secrets, .. } = &self.0.stores;
        // Triggers belong to no run: there are no parameters and no outputs for them.
        let of_run = matches!(self.action(), Action::Step { .. });
        StoreResolver {
            definition: definition.clone().filter(|_| of_run),
            journal: journal.clone().filter(|_| of_run),
            secrets: secrets.clone(),
            answers,
        }
    }
}
