//! One reconcile of a tenant.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt as _};
use relay_model::annotation;
use relay_model::v1beta1::Tenant;
use serde_json::json;

use super::report::{NamespaceState, TokenState, report};
use crate::context::FIELD_MANAGER;
use crate::dependency::DependencyOf;
use crate::error::{is_already_exists, is_not_found, is_refused};
use crate::{Context, Error};

/// Brings a tenant's namespace about. Doing it again when nothing has changed writes nothing.
///
/// # Errors
///
/// When a call fails that may succeed later.
pub async fn reconcile(tenant: Arc<Tenant>, context: &Context) -> Result<Action, Error> {
    let own = tenant.namespace().ok_or(Error::Incomplete("Tenant"))?;
    let managed = tenant.spec.namespace_template.name().map(str::to_owned);
    let target = managed.clone().unwrap_or_else(|| own.clone());
    let used = tenant.status.as_ref().and_then(|status| status.namespace.clone());
    let stale = used.filter(|used| *used != target && *used != own);
    if tenant.metadata.deletion_timestamp.is_some() {
        for namespace in stale.iter().chain(&managed) {
            delete_namespace(context, &tenant, namespace).await?;
        }
        finalize(context, &tenant, false).await?;
        return Ok(Action::await_change());
    }
    if !tenant.finalizers().iter().any(|known| known == annotation::TENANT_FINALIZER) {
        finalize(context, &tenant, true).await?;
    }
    if let Some(stale) = &stale {
        delete_namespace(context, &tenant, stale).await?;
    }
    let state = match &managed {
        Some(name) if name == "default" || name.starts_with("kube-") => NamespaceState::Reserved,
        Some(name) => manage(context, &tenant, name).await?,
        None => observe(context, &own).await?,
    };
    let token = token(context, &tenant, &own).await?;
    let status = report(&tenant, &target, &state, token, context.clock.now());
    if tenant.status.as_ref() != Some(&status) {
        let api: Api<Tenant> = Api::namespaced(context.client.clone(), &own);
        let name = tenant.name_any();
        let patch = Patch::Merge(json!({"status": {
            "observedGeneration": status.observed_generation,
            // A merge patch keeps what it does not mention.
            "namespace": status.namespace,
            "conditions": status.conditions,
        }}));
        api.patch_status(&name, &params(), &patch)
            .await
            .map_err(Error::api("write the status of", format!("Tenant {own}/{name}")))?;
    }
    // Secrets and namespaces of others are not watched.
    Ok(match (state, token) {
        (NamespaceState::Ready, TokenState::Found) => Action::await_change(),
        _ => Action::requeue(Duration::from_secs(30)),
    })
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

fn is_ours(tenant: &Tenant, metadata: &ObjectMeta) -> bool {
    DependencyOf::of(metadata) == Some(DependencyOf::new(tenant))
}

async fn get(context: &Context, name: &str) -> Result<Option<Namespace>, Error> {
    let api: Api<Namespace> = Api::all(context.client.clone());
    api.get_opt(name).await.map_err(Error::api("read", format!("Namespace {name}")))
}

async fn observe(context: &Context, name: &str) -> Result<NamespaceState, Error> {
    Ok(match get(context, name).await? {
        None => NamespaceState::Missing,
        Some(found) if found.metadata.deletion_timestamp.is_some() => NamespaceState::Terminating,
        Some(_) => NamespaceState::Ready,
    })
}

/// Makes the namespace, or brings its labels and annotations up to date.
async fn manage(context: &Context, tenant: &Tenant, name: &str) -> Result<NamespaceState, Error> {
    let wanted = namespace(tenant, name);
    let api: Api<Namespace> = Api::all(context.client.clone());
    let what = format!("Namespace {name}");
    let Some(found) = get(context, name).await? else {
        let params =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        return match api.create(&params, &wanted).await {
            Ok(_) => Ok(NamespaceState::Ready),
            // Made by somebody in between: look at it again.
            Err(error) if is_already_exists(&error) => Ok(NamespaceState::Missing),
            Err(error) if is_refused(&error) => Ok(NamespaceState::Refused(error.to_string())),
            Err(error) => Err(Error::api("create", what)(error)),
        };
    };
    if !is_ours(tenant, &found.metadata) {
        return Ok(NamespaceState::Conflict);
    }
    if found.metadata.deletion_timestamp.is_some() {
        return Ok(NamespaceState::Terminating);
    }
    if !covers(&found.metadata, &wanted.metadata) {
        let patch = Patch::Merge(json!({"metadata": {
            "labels": wanted.metadata.labels,
            "annotations": wanted.metadata.annotations,
        }}));
        api.patch_metadata(name, &params(), &patch).await.map_err(Error::api("patch", what))?;
    }
    Ok(NamespaceState::Ready)
}

fn namespace(tenant: &Tenant, name: &str) -> Namespace {
    let template = &tenant.spec.namespace_template;
    let mut labels = template.texts("labels");
    labels.insert(annotation::TENANT_WORKLOAD.to_owned(), "true".to_owned());
    let mut annotations = template.texts("annotations");
    annotations.insert(annotation::DEPENDENCY_OF.to_owned(), DependencyOf::new(tenant).to_json());
    Namespace {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    }
}

/// Whether labels and annotations are as wanted; there may be more.
fn covers(found: &ObjectMeta, wanted: &ObjectMeta) -> bool {
    type Texts = Option<BTreeMap<String, String>>;
    let within = |wanted: &Texts, found: &Texts| {
        wanted
            .iter()
            .flatten()
            .all(|(key, value)| found.as_ref().and_then(|found| found.get(key)) == Some(value))
    };
    within(&wanted.labels, &found.labels) && within(&wanted.annotations, &found.annotations)
}

async fn delete_namespace(context: &Context, tenant: &Tenant, name: &str) -> Result<(), Error> {
    let Some(found) = get(context, name).await? else { return Ok(()) };
    if !is_ours(tenant, &found.metadata) || found.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let api: Api<Namespace> = Api::all(context.client.clone());
    let params = DeleteParams {
        preconditions: Some(Preconditions { uid: found.uid(), resource_version: None }),
        ..DeleteParams::default()
    };
    match api.delete(name, &params).await {
        Err(error) if !is_not_found(&error) => {
            Err(Error::api("delete", format!("Namespace {name}"))(error))
        }
        _ => Ok(()),
    }
}

async fn finalize(context: &Context, tenant: &Tenant, wanted: bool) -> Result<(), Error> {
    let namespace = tenant.namespace().unwrap_or_default();
    let name = tenant.name_any();
    let others = tenant.finalizers().iter().filter(|known| *known != annotation::TENANT_FINALIZER);
    let mut finalizers: Vec<_> = others.cloned().collect();
    if wanted {
        finalizers.push(annotation::TENANT_FINALIZER.to_owned());
    } else if finalizers.len() == tenant.finalizers().len() {
        return Ok(());
    }
    let api: Api<Tenant> = Api::namespaced(context.client.clone(), &namespace);
    let patch = Patch::Merge(json!({"metadata": {
        "finalizers": finalizers,
        "resourceVersion": tenant.resource_version(),
    }}));
    match api.patch_metadata(&name, &params(), &patch).await {
        Err(error) if !is_not_found(&error) => {
            Err(Error::api("patch", format!("Tenant {namespace}/{name}"))(error))
        }
        _ => Ok(()),
    }
}

/// Whether the event sink has its token. Only the tenant's own namespace is looked at.
async fn token(context: &Context, tenant: &Tenant, own: &str) -> Result<TokenState, Error> {
    let Some(sink) = &tenant.spec.trigger_event_sink.api else { return Ok(TokenState::Found) };
    if sink.token.as_ref().is_some_and(|token| !token.is_empty()) {
        return Ok(TokenState::Found);
    }
    let selector = sink.token_from.as_ref().and_then(|from| from.secret_key_ref.as_ref());
    let Some(selector) = selector.filter(|selector| !selector.name.is_empty()) else {
        return Ok(TokenState::Missing);
    };
    let api: Api<Secret> = Api::namespaced(context.client.clone(), own);
    let what = format!("Secret {own}/{}", selector.name);
    let secret = api.get_opt(&selector.name).await.map_err(Error::api("read", what))?;
    let data = secret.and_then(|secret| secret.data).unwrap_or_default();
    let found = data.get(&selector.key).is_some_and(|token| !token.0.is_empty());
    Ok(if found { TokenState::Found } else { TokenState::Missing })
}
