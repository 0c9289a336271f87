//! Beginning a run, or taking up one that another operator began.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt as _};
use relay_core::Value;
use relay_model::annotation;
use relay_model::v1beta1::{Condition, Run, RunStatus, Tenant, Workflow};
use relay_store::key;

use super::apply::{self, Made};
use super::objects::{self, Limits, Names};
use super::report;
use super::snapshot::{Snapshot, StoredWorkflow};
use super::token;
use crate::{Context, Error};

/// What starting a run came to.
pub(super) enum Started {
    Running(Names, Arc<Snapshot>),
    Waiting(RunStatus),
    Ended(RunStatus),
}

/// Makes what is not there yet of a run's objects, or takes up a run that another operator began.
pub(super) async fn start(context: &Context, run: &Run) -> Result<Started, Error> {
    let now = context.clock.now();
    let waiting = |reason: &str, message: &str| {
        Ok(Started::Waiting(report::waiting(run, reason, message, now)))
    };
    let before = run.status.clone().unwrap_or_default();
    let failed = |reason: &str, message: &str| {
        Ok(Started::Ended(report::ended(run, &before, false, reason, message, now)))
    };
    if run.annotations().contains_key(annotation::TARGET_NAMESPACE) {
        let names = names_of(run)?;
        if let Some((owner, snapshot)) = stored_snapshot(context, run, &names).await? {
            return begin(context, run, names, Arc::new(snapshot), owner).await;
        }
    }
    let run_namespace = run.namespace().ok_or(Error::Incomplete("Run"))?;
    let workflow_name = &run.spec.workflow_ref.name;
    let workflows: Api<Workflow> = Api::namespaced(context.client.clone(), &run_namespace);
    let workflow = match workflow_name.as_str() {
        "" => None,
        name => workflows
            .get_opt(name)
            .await
            .map_err(Error::api("read", format!("Workflow {run_namespace}/{name}")))?,
    };
    let Some(workflow) = workflow else {
        let message = format!("there is no workflow {workflow_name:?} in {run_namespace}");
        return waiting("WorkflowNotFound", &message);
    };
    if workflow.spec.steps.is_empty() {
        return Ok(Started::Ended(report::ended(run, &before, true, "", "", now)));
    }
    let tenant_name = &workflow.spec.tenant_ref.name;
    let namespace = match tenant_namespace(context, &run_namespace, tenant_name).await? {
        Ok(namespace) => namespace,
        Err((reason, message)) => return waiting(reason, &message),
    };
    let stored = StoredWorkflow { name: workflow.name_any(), spec: workflow.spec.clone() };
    let snapshot = match Snapshot::new(stored, run) {
        Ok(snapshot) => Arc::new(snapshot),
        Err(error) => return failed("InvalidWorkflow", &error.to_string()),
    };
    let names = Names::new(&run.name_any(), &namespace);
    let immutable = match objects::immutable(run, &snapshot, &names) {
        Ok(immutable) => immutable,
        Err(error) => return failed("InvalidRun", &error.to_string()),
    };
    apply::adopt(context, run, &namespace).await?;
    match apply::create(context, run, &immutable).await? {
        Made::Ours(owner) => {
            // Somebody may have made it before from what the workflow said then.
            let snapshot = match read_snapshot(&owner, run) {
                Some(stored) => Arc::new(stored),
                None => snapshot,
            };
            begin(context, run, names, snapshot, owner).await
        }
        Made::Foreign => {
            let message = format!("{namespace}/{} belongs to something else", names.immutable);
            failed("NameConflict", &message)
        }
        Made::Refused(message) => failed("InvalidRun", &message),
    }
}

/// Makes the rest, once the owner is there.
async fn begin(
    context: &Context,
    run: &Run,
    names: Names,
    snapshot: Arc<Snapshot>,
    owner: Arc<ConfigMap>,
) -> Result<Started, Error> {
    // A run that has a start time has been begun before: what is missing now was deleted.
    if run.status.as_ref().is_some_and(|status| status.start_time.is_some()) {
        return Ok(Started::Running(names, snapshot));
    }
    let now = context.clock.now();
    let Some(namespace_uid) = apply::namespace_uid(context, &names.namespace).await? else {
        let message = format!("there is no namespace {:?}", names.namespace);
        return Ok(Started::Waiting(report::waiting(run, "NamespaceNotFound", &message, now)));
    };
    let before = run.status.clone().unwrap_or_default();
    let failed = |reason: &str, message: &str| {
        Ok(Started::Ended(report::ended(run, &before, false, reason, message, now)))
    };
    let limits = match Limits::of(run, &context.settings) {
        Ok(limits) => limits,
        Err(error) => return failed("InvalidRun", &error.to_string()),
    };
    let mutable = objects::mutable(run, &snapshot, &names, &owner);
    match apply::create(context, run, &mutable).await? {
        Made::Ours(_) => {}
        Made::Foreign => {
            let (namespace, name) = (&names.namespace, &names.mutable);
            let message = format!("{namespace}/{name} belongs to something else");
            return failed("NameConflict", &message);
        }
        Made::Refused(message) => return failed("InvalidRun", &message),
    }
    let tokens = token::sealed(context, run, &snapshot, &names, &namespace_uid, limits.run).await?;
    let settings = &context.settings;
    let pipeline_run =
        objects::pipeline_run(run, &snapshot, &names, &owner, &tokens, limits, settings);
    let before = run.status.clone().unwrap_or_default();
    let failed = |reason: &str, message: &str| {
        Ok(Started::Ended(report::ended(run, &before, false, reason, message, now)))
    };
    match apply::create(context, run, &pipeline_run).await? {
        Made::Ours(_) => Ok(Started::Running(names, snapshot)),
        Made::Foreign => {
            let (namespace, name) = (&names.namespace, &names.pipeline_run);
            failed("NameConflict", &format!("{namespace}/{name} belongs to something else"))
        }
        Made::Refused(message) => failed("PipelineRefused", &message),
    }
}

async fn stored_snapshot(
    context: &Context,
    run: &Run,
    names: &Names,
) -> Result<Option<(Arc<ConfigMap>, Snapshot)>, Error> {
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &names.namespace);
    let what = format!("ConfigMap {}/{}", names.namespace, names.immutable);
    let found = api.get_opt(&names.immutable).await.map_err(Error::api("read", what))?;
    let ours = found.filter(|map| {
        crate::DependencyOf::of(&map.metadata) == Some(crate::DependencyOf::new(run))
    });
    Ok(ours.and_then(|map| {
        let snapshot = read_snapshot(&map, run)?;
        Some((Arc::new(map), snapshot))
    }))
}

/// The workflow and the parameters as they were when the run started.
fn read_snapshot(map: &ConfigMap, run: &Run) -> Option<Snapshot> {
    let data = map.data.as_ref()?;
    let stored: StoredWorkflow = serde_json::from_str(data.get(key::WORKFLOW)?).ok()?;
    let mut snapshot = Snapshot::new(stored, run).ok()?;
    snapshot.parameters = data
        .iter()
        .filter_map(|(entry, text)| {
            let value = Value::from_json(text).ok()?.decode_transfer().ok()?;
            Some((key::parameter_name(entry)?.into(), value))
        })
        .collect();
    Some(snapshot)
}

/// The namespace of a tenant's runs, or why there is none yet.
async fn tenant_namespace(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<Result<String, (&'static str, String)>, Error> {
    let tenants: Api<Tenant> = Api::namespaced(context.client.clone(), namespace);
    let found = match name {
        "" => None,
        name => tenants
            .get_opt(name)
            .await
            .map_err(Error::api("read", format!("Tenant {namespace}/{name}")))?,
    };
    let Some(tenant) = found else {
        let message = format!("there is no tenant {name:?} in {namespace}");
        return Ok(Err(("TenantNotFound", message)));
    };
    let generation = tenant.metadata.generation;
    let status = tenant.status.unwrap_or_default();
    let current = status.observed_generation == generation;
    let condition = Condition::find(&status.conditions, "NamespaceReady");
    match (condition.filter(|condition| condition.is_true() && current), status.namespace) {
        (Some(_), Some(namespace)) => Ok(Ok(namespace)),
        _ => {
            let why = condition.and_then(|condition| condition.message.clone());
            let why = why.unwrap_or_else(|| "its namespace is not ready yet".to_owned());
            Ok(Err(("TenantNotReady", format!("tenant {name:?}: {why}"))))
        }
    }
}

/// The names of the objects of a run that has been taken up.
pub(super) fn names_of(run: &Run) -> Result<Names, Error> {
    let namespace = run.annotations().get(annotation::TARGET_NAMESPACE);
    let namespace = namespace.cloned().or_else(|| run.namespace());
    let namespace = namespace.ok_or(Error::Incomplete("Run"))?;
    Ok(Names::new(&run.name_any(), &namespace))
}
