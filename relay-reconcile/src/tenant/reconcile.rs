//! One reconcile of a tenant.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{
    DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions,
};
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt as _};
use relay_model::annotation;
use relay_model::v1beta1::{Condition, Tenant, TenantStatus};
use serde_json::json;

use super::ensure::{Obstacle, Owner, ensure, foreign};
use super::policies::Policies;
use super::report::{NamespaceState, Observed, report};
use super::{objects, sink};
use crate::context::FIELD_MANAGER;
use crate::dependency::DependencyOf;
use crate::error::{is_already_exists, is_not_found};
use crate::read::read;
use crate::{Context, Error};

/// After this time a tenant is looked at again in any case: its objects are not watched.
const RESYNC: Duration = Duration::from_secs(600);
/// After this time one is looked at that is not ready: namespaces of others are not watched, and
/// Secrets only where the operator may.
const RETRY: Duration = Duration::from_secs(10);

/// Brings a tenant's namespace and what runs need in it about. Doing it again when nothing has
/// changed writes nothing.
///
/// # Errors
///
/// When a call fails that may succeed later.
pub async fn reconcile(tenant: Arc<Tenant>, context: &Context) -> Result<Action, Error> {
    let own = tenant.namespace().ok_or(Error::Incomplete("Tenant"))?;
    if tenant.metadata.deletion_timestamp.is_some() {
        delete_stale(context, &tenant, None).await?;
        finalize(context, &tenant, false).await?;
        return Ok(Action::await_change());
    }
    let managed = tenant.spec.namespace_template.name().map(str::to_owned);
    let target = managed.clone().unwrap_or_else(|| own.clone());
    if !tenant.finalizers().iter().any(|known| known == annotation::TENANT_FINALIZER) {
        finalize(context, &tenant, true).await?;
    }
    let mut namespace = match &managed {
        Some(name) if name == "default" || name.starts_with("kube-") => NamespaceState::Reserved,
        Some(name) => manage(context, &tenant, name).await?,
        None => observe(context, &own).await?,
    };
    let mut failure = None;
    if namespace == NamespaceState::Ready
        && let Some(policies) = &context.settings.policies
    {
        let wanted = objects::wanted(&tenant, &target, policies);
        match ensure(context, &tenant, &wanted).await {
            Ok(()) => {}
            Err(Obstacle::Failed(error)) => return Err(error),
            Err(Obstacle::Foreign(object)) => namespace = NamespaceState::Occupied(object),
            Err(Obstacle::Refused(error)) => {
                namespace = NamespaceState::Refused(error.chain());
                // Rights may be on their way: it is tried again soon, and then later and later.
                failure = Some(error);
            }
        }
    }
    let lives_there = tenant.status.as_ref().is_some_and(|status| {
        status.observed_generation == tenant.metadata.generation
            && status.namespace.as_deref() == Some(&*target)
    });
    // As long as the new one cannot be had, the old one is all that there is.
    if namespace == NamespaceState::Ready && !lives_there {
        delete_stale(context, &tenant, Some(&target)).await?;
    }
    let spec = &tenant.spec;
    let events = sink::look_up(context, &own, "trigger event sink", &spec.trigger_event_sink);
    let executions =
        sink::look_up(context, &own, "workflow execution sink", &spec.workflow_execution_sink);
    let observed = Observed { namespace, events: events.await?, executions: executions.await? };
    let status = report(&tenant, &target, &observed, context.clock.now());
    if tenant.status.as_ref() != Some(&status) {
        write_status(context, &tenant, &status).await?;
    }
    if let Some(error) = failure {
        return Err(error);
    }
    let ready = Condition::find(&status.conditions, "Ready").is_some_and(Condition::is_true);
    Ok(Action::requeue(if ready { RESYNC } else { RETRY }))
}

async fn write_status(
    context: &Context,
    tenant: &Tenant,
    status: &TenantStatus,
) -> Result<(), Error> {
    let (namespace, name) = (tenant.namespace().unwrap_or_default(), tenant.name_any());
    let api: Api<Tenant> = Api::namespaced(context.client.clone(), &namespace);
    let patch = Patch::Merge(json!({"status": {
        "observedGeneration": status.observed_generation,
        // A merge patch keeps what it does not mention.
        "namespace": status.namespace,
        "conditions": status.conditions,
    }}));
    api.patch_status(&name, &params(), &patch)
        .await
        .map_err(Error::api("write the status of", format!("Tenant {namespace}/{name}")))?;
    Ok(())
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

async fn get(context: &Context, name: &str) -> Result<Option<Namespace>, Error> {
    let api: Api<Namespace> = Api::all(context.client.clone());
    read(|| api.get_opt(name)).await.map_err(Error::api("read", format!("Namespace {name}")))
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
    let wanted = namespace(tenant, name, context.settings.policies.as_ref());
    let api: Api<Namespace> = Api::all(context.client.clone());
    let what = format!("Namespace {name}");
    let Some(found) = get(context, name).await? else {
        let params =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        return match api.create(&params, &wanted).await {
            Ok(_) => Ok(NamespaceState::Ready),
            // Made by somebody in between: look at it again.
            Err(error) if is_already_exists(&error) => Ok(NamespaceState::Missing),
            Err(error) => refused(Error::api("create", what)(error)),
        };
    };
    let terminating = found.metadata.deletion_timestamp.is_some();
    match foreign(tenant, &found.metadata) {
        None | Some(Owner::Earlier) if terminating => return Ok(NamespaceState::Terminating),
        None => {}
        Some(_) => return Ok(NamespaceState::Conflict),
    }
    let change = [
        change(&found.metadata, &wanted.metadata.labels, "f:labels"),
        change(&found.metadata, &wanted.metadata.annotations, "f:annotations"),
    ];
    if !changes_nothing(&change, &found.metadata) {
        let [labels, annotations] = change;
        let patch = json!({"metadata": {"labels": labels, "annotations": annotations}});
        let patch = Patch::Merge(patch);
        if let Err(error) = api.patch_metadata(name, &params(), &patch).await {
            return refused(Error::api("patch", what)(error));
        }
    }
    Ok(NamespaceState::Ready)
}

/// What a failed write says of a namespace, unless it may succeed the next time.
fn refused(error: Error) -> Result<NamespaceState, Error> {
    match Obstacle::from(error) {
        Obstacle::Refused(error) => Ok(NamespaceState::Refused(error.chain())),
        Obstacle::Failed(error) => Err(error),
        Obstacle::Foreign(_) => Ok(NamespaceState::Conflict),
    }
}

fn namespace(tenant: &Tenant, name: &str, policies: Option<&Policies>) -> Namespace {
    let template = &tenant.spec.namespace_template;
    // What the author of a tenant demands of its pods wins, and that it is ours is no matter of taste.
    let mut labels = objects::namespace_labels(policies);
    labels.extend(template.texts("labels"));
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

type Texts = BTreeMap<String, String>;

/// What is wanted, and null for what was wanted once. A namespace is created, since applying it would
/// take one over that somebody made in between; so what was ours is read from its managers.
fn change(
    found: &ObjectMeta,
    wanted: &Option<Texts>,
    field: &str,
) -> BTreeMap<String, Option<String>> {
    let ours = found.managed_fields.iter().flatten();
    let ours = ours.filter(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER));
    let keys = ours.filter_map(|entry| {
        let fields = entry.fields_v1.as_ref()?.0.get("f:metadata")?.get(field)?.as_object()?;
        Some(fields.keys().filter_map(|key| Some((key.strip_prefix("f:")?.to_owned(), None))))
    });
    let wanted = wanted.iter().flatten().map(|(key, value)| (key.clone(), Some(value.clone())));
    keys.flatten().chain(wanted).collect()
}

fn changes_nothing(patch: &[BTreeMap<String, Option<String>>; 2], found: &ObjectMeta) -> bool {
    let same = |patch: &BTreeMap<String, Option<String>>, found: &Option<Texts>| {
        patch
            .iter()
            .all(|(key, value)| found.as_ref().and_then(|found| found.get(key)) == value.as_ref())
    };
    let [labels, annotations] = patch;
    same(labels, &found.labels) && same(annotations, &found.annotations)
}

/// Deletes the namespaces that were made for this tenant, but for the one that it is to have.
async fn delete_stale(
    context: &Context,
    tenant: &Tenant,
    target: Option<&str>,
) -> Result<(), Error> {
    let api: Api<Namespace> = Api::all(context.client.clone());
    let made = ListParams::default().labels(annotation::TENANT_WORKLOAD);
    let made = read(|| api.list_metadata(&made)).await;
    let made = made.map_err(Error::api("list", "namespaces"))?;
    for found in made {
        let name = found.name_any();
        let kept = target == Some(name.as_str()) || found.metadata.deletion_timestamp.is_some();
        if kept || foreign(tenant, &found.metadata).is_some() {
            continue;
        }
        let params = DeleteParams {
            preconditions: Some(Preconditions { uid: found.uid(), resource_version: None }),
            ..DeleteParams::default()
        };
        match api.delete(&name, &params).await {
            Err(error) if !is_not_found(&error) => {
                return Err(Error::api("delete", format!("Namespace {name}"))(error));
            }
            _ => {}
        }
    }
    Ok(())
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
