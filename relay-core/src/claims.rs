//! The claims of a token: which action holds it and where that action's data is
//! (`metadata-api.md` §3.2).

use std::fmt;

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::action::{Action, NameError, RunId, StepName, TriggerName};

/// The audience of every token for the metadata API.
pub const AUDIENCE: &str = "k8s.relay.sh/metadata-api/v1";

/// The issuer of the tokens that the operator makes.
pub const ISSUER: &str = "controller.k8s.relay.sh";

/// How far the clocks of those who make and check a token may be apart, in seconds.
const LEEWAY: i64 = 60;

/// What a token says. Empty members are left out on the wire; unknown ones are ignored.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Claims {
    /// Who made the token; not checked.
    #[serde(rename = "iss", skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// For whom it was made: has to hold [`AUDIENCE`].
    #[serde(
        rename = "aud",
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub audience: Vec<String>,
    /// The action: plural and hash.
    #[serde(rename = "sub", skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Second of issue.
    #[serde(rename = "iat", skip_serializing_if = "Option::is_none", deserialize_with = "earlier")]
    pub issued_at: Option<i64>,
    /// Second before which the token is refused.
    #[serde(rename = "nbf", skip_serializing_if = "Option::is_none", deserialize_with = "earlier")]
    pub not_before: Option<i64>,
    /// Second from which on the token is refused.
    #[serde(rename = "exp", skip_serializing_if = "Option::is_none", deserialize_with = "later")]
    pub expires_at: Option<i64>,
    /// The namespace of the run's objects.
    #[serde(rename = "k8s.io/namespace-name", skip_serializing_if = "Option::is_none")]
    pub namespace_name: Option<String>,
    /// The UID of that namespace.
    #[serde(rename = "k8s.io/namespace-uid", skip_serializing_if = "Option::is_none")]
    pub namespace_uid: Option<String>,
    /// A service account token to read the objects with.
    #[serde(
        rename = "k8s.io/service-account-token",
        skip_serializing_if = "Option::is_none",
        serialize_with = "expose",
        deserialize_with = "conceal"
    )]
    pub service_account_token: Option<SecretString>,
    /// The holder of connections.
    #[serde(rename = "relay.sh/domain-id", skip_serializing_if = "Option::is_none")]
    pub domain_id: Option<String>,
    /// The holder of secrets.
    #[serde(rename = "relay.sh/tenant-id", skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// The name of the step or trigger.
    #[serde(rename = "relay.sh/name", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The run; absent for triggers.
    #[serde(rename = "relay.sh/run-id", skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The `ConfigMap` of what the author wrote.
    #[serde(
        rename = "relay.sh/k8s/immutable-config-map-name",
        skip_serializing_if = "Option::is_none"
    )]
    pub immutable_config_map: Option<String>,
    /// The `ConfigMap` of what happened.
    #[serde(
        rename = "relay.sh/k8s/mutable-config-map-name",
        skip_serializing_if = "Option::is_none"
    )]
    pub mutable_config_map: Option<String>,
    /// The mount of the Vault engine.
    #[serde(rename = "relay.sh/vault/engine-path", skip_serializing_if = "Option::is_none")]
    pub vault_engine_path: Option<String>,
    /// The path of the tenant's secrets in it.
    #[serde(rename = "relay.sh/vault/secret-path", skip_serializing_if = "Option::is_none")]
    pub vault_secret_path: Option<String>,
    /// The path of the domain's connections in it.
    #[serde(rename = "relay.sh/vault/connection-path", skip_serializing_if = "Option::is_none")]
    pub vault_connection_path: Option<String>,
    /// Where the events of a trigger go.
    #[serde(rename = "relay.sh/event/api/url", skip_serializing_if = "Option::is_none")]
    pub event_url: Option<String>,
    /// The bearer token of that address.
    #[serde(
        rename = "relay.sh/event/api/token",
        skip_serializing_if = "Option::is_none",
        serialize_with = "expose",
        deserialize_with = "conceal"
    )]
    pub event_token: Option<SecretString>,
    /// Where runs of other workflows are started.
    #[serde(
        rename = "relay.sh/workflow-execution/api/url",
        skip_serializing_if = "Option::is_none"
    )]
    pub execution_url: Option<String>,
    /// The bearer token of that address.
    #[serde(
        rename = "relay.sh/workflow-execution/api/token",
        skip_serializing_if = "Option::is_none",
        serialize_with = "expose",
        deserialize_with = "conceal"
    )]
    pub execution_token: Option<SecretString>,
}

/// Why claims name no action.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimsError {
    /// A claim that has to be there is not.
    #[error("the claim {0} is missing")]
    Missing(&'static str),
    /// The audience is another one.
    #[error("the token is for another audience")]
    Audience,
    /// The subject is of no known kind.
    #[error("the subject names no step and no trigger")]
    SubjectKind,
    /// The subject is not the hash of run and name.
    #[error("the subject does not fit run and name")]
    SubjectHash,
    /// Run or name are no names.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The token is not valid yet, or not any more.
    #[error("the token is not valid at this time")]
    Time,
}

impl Claims {
    /// Claims of this action and the one audience, without an end.
    #[must_use]
    pub fn for_action(action: &Action) -> Self {
        Self {
            audience: vec![AUDIENCE.to_owned()],
            subject: Some(action.subject()),
            name: Some(action.name().to_owned()),
            run_id: match action {
                Action::Step { run, .. } => Some(run.to_string()),
                Action::Trigger { .. } => None,
            },
            ..Self::default()
        }
    }

    /// The action that the claims name: rebuilt from run and name and compared with the subject,
    /// never taken from the subject.
    ///
    /// # Errors
    ///
    /// When audience, subject, run or name are missing, malformed or contradict each other.
    pub fn action(&self) -> Result<Action, ClaimsError> {
        if !self.audience.iter().any(|audience| audience == AUDIENCE) {
            return Err(ClaimsError::Audience);
        }
        let subject = self.subject.as_deref().ok_or(ClaimsError::Missing("sub"))?;
        let name = self.name.as_deref().ok_or(ClaimsError::Missing("relay.sh/name"))?;
        let action = match subject.split_once('/') {
            Some(("steps", _)) => {
                let run = self.run_id.as_deref().ok_or(ClaimsError::Missing("relay.sh/run-id"))?;
                Action::step(RunId::new(run)?, StepName::new(name)?)
            }
            Some(("triggers", _)) => Action::Trigger { name: TriggerName::new(name)? },
            _ => return Err(ClaimsError::SubjectKind),
        };
        if action.subject() == subject { Ok(action) } else { Err(ClaimsError::SubjectHash) }
    }

    /// Checks `nbf` and `exp`, as far as they are there, with a minute of leeway: clocks differ.
    ///
    /// # Errors
    ///
    /// [`ClaimsError::Time`] outside these times.
    pub fn check_time(&self, now: Timestamp) -> Result<(), ClaimsError> {
        let now = now.as_second();
        let start = self.not_before.map(|start| start.saturating_sub(LEEWAY));
        let end = self.expires_at.map(|end| end.saturating_add(LEEWAY));
        let early = start.is_some_and(|start| now < start);
        let late = end.is_some_and(|end| now >= end);
        if early || late { Err(ClaimsError::Time) } else { Ok(()) }
    }

    /// The moment from which on [`Claims::check_time`] refuses them. `None` where no calendar has
    /// that moment, as with the tokens of triggers, or where they have no end.
    #[must_use]
    pub fn end(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.expires_at?.saturating_add(LEEWAY)).ok()
    }

    /// What the logs of this action are kept under (`metadata-api.md` §4.6).
    #[must_use]
    pub fn log_context(&self, action: &Action) -> String {
        let tenant = self.tenant_id.as_deref().or(self.namespace_name.as_deref());
        format!("tenants/{}/{}", tenant.unwrap_or("none"), action.path())
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Audience::deserialize(deserializer)? {
        Audience::One(one) => vec![one],
        Audience::Many(many) => many,
    })
}

/// A time that is there is a number of seconds: a null must not turn an end into none. Parts of a
/// second are of no use, so a time is moved to where the token is valid.
fn later<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    deserializer.deserialize_any(Second(f64::ceil)).map(Some)
}

fn earlier<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    deserializer.deserialize_any(Second(f64::floor)).map(Some)
}

/// Reads a number, whose parts of a second this rounds away.
struct Second(fn(f64) -> f64);

impl Visitor<'_> for Second {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of seconds")
    }

    fn visit_i64<E: Error>(self, seconds: i64) -> Result<i64, E> {
        Ok(seconds)
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<i64, E> {
        i64::try_from(seconds).map_err(E::custom)
    }

    fn visit_f64<E: Error>(self, seconds: f64) -> Result<i64, E> {
        const BEYOND: f64 = 9_223_372_036_854_775_808.0;
        let Self(round) = self;
        if !(-BEYOND..BEYOND).contains(&seconds) {
            return Err(E::custom("the time is out of range"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
        let whole = round(seconds) as i64;
        Ok(whole)
    }
}

fn expose<S: Serializer>(token: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    match token {
        Some(token) => serializer.serialize_str(token.expose_secret()),
        None => serializer.serialize_none(),
    }
}

fn conceal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}
