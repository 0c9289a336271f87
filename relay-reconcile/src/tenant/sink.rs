//! The sinks of a tenant: where to, and with which token (`operator.md` §3.5).

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use relay_model::v1beta1::{ApiSink, EventSink, SecretKeySelector};
use secrecy::SecretString;

use crate::error::is_refused;
use crate::read::read;
use crate::{Context, Error};

/// What was found of a sink.
#[derive(Clone, Debug)]
pub(crate) enum Sink {
    /// The tenant has none.
    Absent,
    /// It can be used.
    Ready { url: String, token: SecretString },
    /// It lacks something: a sentence for people.
    NotConfigured(String),
}

/// Looks a sink up, which is called `name`. Only the tenant's own namespace is looked at, and no
/// Secret that was made for something else.
pub(crate) async fn look_up(
    context: &Context,
    namespace: &str,
    name: &str,
    sink: &EventSink,
) -> Result<Sink, Error> {
    let Some(api) = &sink.api else { return Ok(Sink::Absent) };
    let lacks = |what: &str| Ok(Sink::NotConfigured(format!("The API {name} {what}")));
    if api.url.is_empty() {
        return lacks("is missing an endpoint URL.");
    }
    let ready = |token: String| Ok(Sink::Ready { url: api.url.clone(), token: token.into() });
    if let Some(token) = given(api) {
        return ready(token.to_owned());
    }
    let Some(selector) = secret(sink) else { return lacks("is missing a token.") };
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    let secret = match read(|| secrets.get_opt(&selector.name)).await {
        Ok(Some(secret)) => secret,
        Ok(None) => return lacks("is missing a token."),
        Err(error) => {
            let refused = is_refused(&error);
            let error = Error::api("read", format!("Secret {namespace}/{}", selector.name))(error);
            if refused {
                return lacks(&format!("is missing a token: {}", error.chain()));
            }
            return Err(error);
        }
    };
    if secret.type_.as_deref().is_some_and(|kind| kind != "Opaque") {
        return lacks(&format!("is missing a token: Secret {} is not Opaque.", selector.name));
    }
    let data = secret.data.unwrap_or_default();
    let token = data.get(&selector.key).and_then(|token| String::from_utf8(token.0.clone()).ok());
    match token.filter(|token| !token.is_empty()) {
        Some(token) => ready(token),
        None => lacks("is missing a token."),
    }
}

fn given(api: &ApiSink) -> Option<&str> {
    api.token.as_deref().filter(|token| !token.is_empty())
}

/// The Secret that a sink needs, and where in it the token is.
pub(super) fn secret(sink: &EventSink) -> Option<&SecretKeySelector> {
    let api = sink.api.as_ref().filter(|api| !api.url.is_empty() && given(api).is_none())?;
    let selector = api.token_from.as_ref()?.secret_key_ref.as_ref()?;
    Some(selector).filter(|selector| !selector.name.is_empty())
}
