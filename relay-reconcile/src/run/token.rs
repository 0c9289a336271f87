//! The tokens of steps (`operator.md` §8, `design.md` decision 6).

use jiff::{SignedDuration, Timestamp};
use relay_core::Claims;
use relay_core::claims::ISSUER;
use relay_model::annotation;
use relay_model::v1beta1::Run;

use super::objects::Names;
use super::snapshot::Snapshot;
use crate::tenant::sink::Sink;
use crate::{Context, Error};

/// How long a token outlives the deadline of its run.
const GRACE: SignedDuration = SignedDuration::from_mins(5);
/// How long a token of a run without deadline lasts.
const WITHOUT_DEADLINE: SignedDuration = SignedDuration::from_hours(24 * 30);

/// Seals a token for each step that has a task, in the order of the snapshot.
pub(super) async fn sealed(
    context: &Context,
    run: &Run,
    snapshot: &Snapshot,
    names: &Names,
    namespace_uid: &str,
    timeout: Option<SignedDuration>,
    sink: &Sink,
) -> Result<Vec<Option<String>>, Error> {
    let now = context.clock.now();
    let lifetime = timeout.map_or(WITHOUT_DEADLINE, |timeout| timeout.saturating_add(GRACE));
    let expires_at = now.saturating_add(lifetime).unwrap_or(Timestamp::MAX).as_second();
    let (execution_url, execution_token) = match sink {
        Sink::Ready { url, token } => (Some(url), Some(token)),
        Sink::Absent | Sink::NotConfigured(_) => (None, None),
    };
    let annotation = |key: &str| run.metadata.annotations.as_ref()?.get(key).cloned();
    let mut tokens = Vec::with_capacity(snapshot.steps.len());
    for step in &snapshot.steps {
        if step.task.is_none() {
            tokens.push(None);
            continue;
        }
        let claims = Claims {
            issuer: Some(ISSUER.to_owned()),
            issued_at: Some(now.as_second()),
            not_before: Some(now.as_second()),
            expires_at: Some(expires_at),
            namespace_name: Some(names.namespace.clone()),
            namespace_uid: Some(namespace_uid.to_owned()),
            domain_id: annotation(annotation::DOMAIN_ID),
            tenant_id: annotation(annotation::TENANT_ID),
            immutable_config_map: Some(names.immutable.clone()),
            mutable_config_map: Some(names.mutable.clone()),
            vault_engine_path: annotation(annotation::VAULT_ENGINE_MOUNT),
            vault_secret_path: annotation(annotation::VAULT_SECRET_PATH),
            vault_connection_path: annotation(annotation::VAULT_CONNECTION_PATH),
            execution_url: execution_url.cloned(),
            execution_token: execution_token.cloned(),
            ..Claims::for_action(&step.action)
        };
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Token {
            step: step.name.to_string(),
            source,
        };
        let token = context.signer.sign(&claims).await.map_err(|e| failed(Box::new(e)))?;
        let sealed =
            context.sealer.seal(namespace_uid, &token).await.map_err(|e| failed(Box::new(e)))?;
        tokens.push(Some(sealed));
    }
    Ok(tokens)
}
