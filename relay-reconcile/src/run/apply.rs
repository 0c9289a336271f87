//! Doing what was planned. Every action is safe to repeat.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::Status;
use kube::{Api, Resource, ResourceExt as _};
use relay_model::annotation;
use relay_model::tekton::{CustomRun, CustomRunStatus, PipelineRun};
use relay_model::v1beta1::{Run, Tenant};
use serde_json::json;
use tracing::warn;

use super::objects::Names;
use super::observe::World;
use super::plan::{CANCELLED, Todo};
use crate::context::FIELD_MANAGER;
use crate::dependency::DependencyOf;
use crate::error::{is_already_exists, is_forbidden, is_not_found, is_refused, says_too_large};
use crate::read::read;
use crate::{Context, Error};

/// What became of making an object that is made once.
pub(super) enum Made<K> {
    /// It is there, and ours.
    Ours(Arc<K>),
    /// There is one of that name, and it belongs to something else.
    Foreign,
    /// The API server says that it is wrong.
    Refused(String),
    /// The API server knows no such kind, or no such namespace.
    Unserved(String),
    /// It may not be made, or not now.
    Forbidden(String),
}

fn patch_params() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

/// Creates an object unless it is there.
pub(super) async fn create<K>(context: &Context, run: &Run, object: &K) -> Result<Made<K>, Error>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    K: Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    let namespace = object.namespace().unwrap_or_default();
    let name = object.name_any();
    let what = format!("{} {namespace}/{name}", K::kind(&()));
    let api: Api<K> = Api::namespaced(context.client.clone(), &namespace);
    let params =
        PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let found = match api.create(&params, object).await {
        Ok(made) => return Ok(Made::Ours(Arc::new(made))),
        Err(error) if is_already_exists(&error) => read(|| api.get(&name)).await,
        Err(kube::Error::Api(status)) if is_wrong(&status) => {
            return Ok(Made::Refused(status.message.clone()));
        }
        Err(kube::Error::Api(status)) if status.code == 403 => {
            return Ok(Made::Forbidden(status.message.clone()));
        }
        Err(kube::Error::Api(status)) if status.code == 404 => {
            return Ok(Made::Unserved(status.message.clone()));
        }
        Err(error) => Err(error),
    };
    let found = found.map_err(Error::api("create", what))?;
    let of = DependencyOf::of(found.meta());
    let own = DependencyOf::new(run);
    let terminating = found.meta().deletion_timestamp.is_some();
    if of.as_ref() == Some(&own) && !terminating {
        return Ok(Made::Ours(Arc::new(found)));
    }
    // What an earlier run of this name left goes away by itself.
    let left_over = of.is_some_and(|of| DependencyOf { uid: own.uid.clone(), ..of } == own);
    if left_over || terminating {
        return Err(Error::LeftOver { object: format!("{} {namespace}/{name}", K::kind(&())) });
    }
    Ok(Made::Foreign)
}

/// Whether an API server says that the object is wrong.
fn is_wrong(status: &Status) -> bool {
    matches!(status.code, 400 | 422) || says_too_large(status)
}

/// Whether a run has its finalizer, and says where its objects are.
pub(super) fn is_adopted(run: &Run, namespace: &str) -> bool {
    let noted = run.annotations().get(annotation::TARGET_NAMESPACE);
    noted.is_some_and(|noted| noted == namespace)
        && run.finalizers().iter().any(|known| known == annotation::RUN_FINALIZER)
}

/// Sets the finalizer and the place of the run's objects, in one write before any of them is made.
/// Gives back the version of the run after it.
pub(super) async fn adopt(
    context: &Context,
    run: &Run,
    namespace: &str,
) -> Result<Option<String>, Error> {
    if is_adopted(run, namespace) {
        return Ok(run.resource_version());
    }
    let mut finalizers = run.finalizers().to_vec();
    if !finalizers.iter().any(|known| known == annotation::RUN_FINALIZER) {
        finalizers.push(annotation::RUN_FINALIZER.to_owned());
    }
    let patch = json!({"metadata": {
        "annotations": {annotation::TARGET_NAMESPACE: namespace},
        "finalizers": finalizers,
        // Finalizers are a list: a patch from a stale view would drop those of others.
        "resourceVersion": run.resource_version(),
    }});
    patch_run(context, run, &patch).await
}

/// Takes the finalizer away.
pub(super) async fn release(context: &Context, run: &Run) -> Result<(), Error> {
    let others: Vec<_> =
        run.finalizers().iter().filter(|known| *known != annotation::RUN_FINALIZER).collect();
    let patch = json!({"metadata": {
        "finalizers": others,
        "resourceVersion": run.resource_version(),
    }});
    match patch_run(context, run, &patch).await {
        Err(Error::Api { source, .. }) if is_not_found(&source) => Ok(()),
        other => other.map(drop),
    }
}

async fn patch_run(
    context: &Context,
    run: &Run,
    patch: &serde_json::Value,
) -> Result<Option<String>, Error> {
    let (namespace, name) = (run.namespace().unwrap_or_default(), run.name_any());
    let api: Api<Run> = Api::namespaced(context.client.clone(), &namespace);
    let patched = api.patch_metadata(&name, &patch_params(), &Patch::Merge(patch)).await;
    let patched = patched.map_err(Error::api("patch", format!("Run {namespace}/{name}")))?;
    Ok(patched.resource_version())
}

/// Deletes the owner of the run's objects, if it is ours; the garbage collector does the rest.
pub(super) async fn delete_objects(
    context: &Context,
    run: &Run,
    names: &Names,
) -> Result<(), Error> {
    match delete_owner(context, run, names).await {
        // The rights in a namespace go with its tenant, which may have gone first.
        Err(Error::Api { source, .. })
            if is_forbidden(&source) && go_by_themselves(context, run, names).await? =>
        {
            Ok(())
        }
        deleted => deleted,
    }
}

/// Whether nothing of a run is left once the run is gone, whoever deletes it.
async fn go_by_themselves(context: &Context, run: &Run, names: &Names) -> Result<bool, Error> {
    if !names.is_managed {
        // The owner is owned by the run itself.
        return Ok(true);
    }
    let api: Api<Namespace> = Api::all(context.client.clone());
    let what = format!("Namespace {}", names.namespace);
    let found = read(|| api.get_opt(&names.namespace)).await.map_err(Error::api("read", what))?;
    let kept = found.is_some_and(|namespace| {
        let tenant = DependencyOf::of(&namespace.metadata)
            .and_then(|of| of.object_ref::<Tenant>())
            .filter(|tenant| tenant.namespace == run.namespace());
        // Another one may have its name by now.
        namespace.metadata.deletion_timestamp.is_none() && tenant.is_some()
    });
    Ok(!kept)
}

async fn delete_owner(context: &Context, run: &Run, names: &Names) -> Result<(), Error> {
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &names.namespace);
    let what = format!("ConfigMap {}/{}", names.namespace, names.immutable);
    let found =
        read(|| api.get_opt(&names.immutable)).await.map_err(Error::api("read", what.clone()))?;
    let Some(found) = found else { return Ok(()) };
    if DependencyOf::of(&found.metadata) != Some(DependencyOf::new(run)) {
        return Ok(());
    }
    let params = DeleteParams {
        preconditions: Some(Preconditions { uid: found.uid(), resource_version: None }),
        ..DeleteParams::background()
    };
    match api.delete(&names.immutable, &params).await {
        Err(error) if !is_not_found(&error) => Err(Error::api("delete", what)(error)),
        _ => Ok(()),
    }
}

/// Does what was planned.
pub(super) async fn apply(
    context: &Context,
    world: &World,
    names: &Names,
    todo: Vec<Todo>,
) -> Result<(), Error> {
    for todo in todo {
        match todo {
            Todo::Record(entries) => record(context, names, &entries).await?,
            Todo::Decide(task, status) => decide(context, world, names, &task, &status).await?,
            Todo::Cancel => cancel(context, names).await?,
        }
    }
    Ok(())
}

async fn record(
    context: &Context,
    names: &Names,
    entries: &BTreeMap<String, String>,
) -> Result<(), Error> {
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &names.namespace);
    let patch = Patch::Merge(json!({ "data": entries }));
    match api.patch_metadata(&names.mutable, &patch_params(), &patch).await {
        Ok(_) => Ok(()),
        // A map that is full, or gone, must not keep the run from ending.
        Err(error) if is_refused(&error) || is_not_found(&error) => {
            warn!(map = names.mutable, %error, "statuses of steps could not be recorded");
            Ok(())
        }
        Err(error) => {
            let object = format!("ConfigMap {}/{}", names.namespace, names.mutable);
            Err(Error::api("write to", object)(error))
        }
    }
}

async fn decide(
    context: &Context,
    world: &World,
    names: &Names,
    task: &str,
    status: &CustomRunStatus,
) -> Result<(), Error> {
    let Some(gate) = world.watched.gates.get(task) else { return Ok(()) };
    let name = gate.name_any();
    let api: Api<CustomRun> = Api::namespaced(context.client.clone(), &names.namespace);
    // What was judged is what is decided: of two decisions the first one holds.
    let version = gate.resource_version();
    let patch =
        Patch::Merge(json!({ "metadata": { "resourceVersion": version }, "status": status }));
    match api.patch_status(&name, &patch_params(), &patch).await {
        Ok(_) => Ok(()),
        // It went with its PipelineRun.
        Err(error) if is_not_found(&error) => Ok(()),
        Err(error) => {
            Err(Error::api("decide", format!("CustomRun {}/{name}", names.namespace))(error))
        }
    }
}

async fn cancel(context: &Context, names: &Names) -> Result<(), Error> {
    let api: Api<PipelineRun> = Api::namespaced(context.client.clone(), &names.namespace);
    let patch = Patch::Merge(json!({"spec": {"status": CANCELLED}}));
    match api.patch_metadata(&names.pipeline_run, &patch_params(), &patch).await {
        Ok(_) => Ok(()),
        Err(error) if is_not_found(&error) => Ok(()),
        Err(error) => Err(Error::api(
            "cancel",
            format!("PipelineRun {}/{}", names.namespace, names.pipeline_run),
        )(error)),
    }
}

/// The UID of a namespace; `None` when it is not there.
pub(super) async fn namespace_uid(
    context: &Context,
    namespace: &str,
) -> Result<Option<String>, Error> {
    let api: Api<Namespace> = Api::all(context.client.clone());
    let found = read(|| api.get_opt(namespace)).await;
    let found = found.map_err(Error::api("read", format!("Namespace {namespace}")))?;
    Ok(found.and_then(|namespace| namespace.uid()))
}
