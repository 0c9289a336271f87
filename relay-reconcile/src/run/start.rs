//! Beginning a run, or taking up one that another operator began.

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource, ResourceExt as _};
use relay_core::Value;
use relay_model::annotation;
use relay_model::tekton::PipelineRun;
use relay_model::v1beta1::{Condition, Run, RunStatus, Tenant, Workflow};
use relay_store::key;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::apply::{self, Made};
use super::objects::{self, Limits, Names};
use super::pipeline::{self, Given};
use super::program::Programs;
use super::reconcile::Reconciler;
use super::report;
use super::snapshot::{Snapshot, StoredWorkflow};
use super::token;
use crate::error::is_invalid;
use crate::read::read;
use crate::tenant::sink::{self, Sink};
use crate::tenant::step_account;
use crate::{Context, DependencyOf, Error};

/// What starting a run came to.
pub(super) enum Started {
    Running(Names, Arc<Snapshot>),
    /// It cannot start yet, and says why. It is looked at again after this time: most of what it
    /// may wait for is watched.
    Waiting(RunStatus, Duration),
    Ended(RunStatus),
}

/// Until a run is looked at again that waits for something that is watched.
const PATIENCE: Duration = Duration::from_secs(60);
/// Until one is looked at again that waits for what nobody watches.
const RETRY: Duration = Duration::from_secs(5);

/// A run that is being started.
struct Start<'a> {
    context: &'a Context,
    run: &'a Run,
    reconciler: &'a Reconciler,
    now: Timestamp,
    /// The version of the run after it was written to.
    version: OnceLock<String>,
}

/// Makes what is not there yet of a run's objects, or takes up a run that another operator began.
/// Gives back the version of the run as well, if it was written to.
pub(super) async fn start(
    context: &Context,
    run: &Run,
    reconciler: &Reconciler,
) -> Result<(Started, Option<String>), Error> {
    let now = context.clock.now();
    let start = Start { context, run, reconciler, now, version: OnceLock::new() };
    let started = start.go().await?;
    Ok((started, start.version.into_inner()))
}

impl Start<'_> {
    fn waiting(&self, reason: &str, message: &str, time: Duration) -> Started {
        if self.run.spec.is_cancelled() {
            return self.failed("Cancelled", "the run was cancelled before it began");
        }
        Started::Waiting(report::waiting(self.run, reason, message, self.now), time)
    }

    fn ended(&self, succeeded: bool, reason: &str, message: &str) -> Started {
        let before = self.run.status.clone().unwrap_or_default();
        let status = report::ended(self.run, &before, succeeded, reason, message, self.now);
        Started::Ended(status)
    }

    fn failed(&self, reason: &str, message: &str) -> Started {
        self.ended(false, reason, message)
    }

    async fn go(&self) -> Result<Started, Error> {
        let Self { context, run, .. } = self;
        let has_begun = run.status.as_ref().is_some_and(|status| status.start_time.is_some());
        if has_begun || run.annotations().contains_key(annotation::TARGET_NAMESPACE) {
            let names = self.reconciler.names_of(run)?;
            if let Some((owner, snapshot)) = stored_snapshot(context, run, &names).await? {
                return self.take_up(names, Arc::new(snapshot), owner).await;
            }
            // What was deleted is not made again: steps would run twice.
            if has_begun {
                let message = format!(
                    "ConfigMap {}/{}, with all that belongs to the run, was deleted before the \
                     run had ended",
                    names.namespace, names.immutable
                );
                return Ok(self.failed(report::PIPELINE_RUN_LOST, &message));
            }
        }
        let run_namespace = run.namespace().ok_or(Error::Incomplete("Run"))?;
        let name = &run.spec.workflow_ref.name;
        let Some(workflow) = object::<Workflow>(context, &run_namespace, name).await? else {
            let message = format!("there is no workflow {name:?} in {run_namespace}");
            return Ok(self.waiting("WorkflowNotFound", &message, PATIENCE));
        };
        if workflow.spec.steps.is_empty() {
            return Ok(self.ended(true, "", ""));
        }
        let limits = match Limits::of(run, &context.settings) {
            Ok(limits) => limits,
            Err(error) => return Ok(self.failed("InvalidRun", &error.to_string())),
        };
        let stored = StoredWorkflow { name: workflow.name_any(), spec: workflow.spec.clone() };
        let snapshot = match Snapshot::new(stored, run) {
            Ok(snapshot) => Arc::new(snapshot),
            Err(error) => return Ok(self.failed("InvalidWorkflow", &error.to_string())),
        };
        let (tenant, namespace) = match self.tenant(&snapshot).await? {
            Ok(found) => found,
            Err((reason, message)) => return Ok(self.waiting(reason, &message, PATIENCE)),
        };
        let sink = self.sink(&tenant).await?;
        let names = Names::new(run, &namespace);
        let immutable = match objects::immutable(run, &snapshot, &names, &context.settings) {
            Ok(immutable) => immutable,
            Err(error) => return Ok(self.failed("InvalidRun", &error.to_string())),
        };
        if let Some(version) = apply::adopt(context, run, &namespace).await? {
            self.version.get_or_init(|| version);
        }
        let owner = match self.make(&immutable, "InvalidRun").await? {
            Ok(owner) => owner,
            Err(stopped) => return Ok(stopped),
        };
        // Somebody may have made it before from what the workflow said then.
        let snapshot = match read_snapshot(&owner, run) {
            Some(stored) => Arc::new(stored),
            None => snapshot,
        };
        self.begin(names, snapshot, &owner, limits, &sink).await
    }

    /// Takes up a run whose objects are there, or some of them.
    async fn take_up(
        &self,
        names: Names,
        snapshot: Arc<Snapshot>,
        owner: Arc<ConfigMap>,
    ) -> Result<Started, Error> {
        // A run that has a start time has been begun before: what is missing now was deleted.
        if self.run.status.as_ref().is_some_and(|status| status.start_time.is_some()) {
            return Ok(Started::Running(names, snapshot));
        }
        if self.has_pipeline_run(&names).await? {
            return Ok(Started::Running(names, snapshot));
        }
        let limits = match Limits::of(self.run, &self.context.settings) {
            Ok(limits) => limits,
            Err(error) => return Ok(self.failed("InvalidRun", &error.to_string())),
        };
        let tenant = match self.tenant(&snapshot).await? {
            Ok((tenant, _)) => tenant,
            Err((reason, message)) => return Ok(self.waiting(reason, &message, RETRY)),
        };
        let sink = self.sink(&tenant).await?;
        self.begin(names, snapshot, &owner, limits, &sink).await
    }

    /// Whether everything is made: the PipelineRun is made last.
    async fn has_pipeline_run(&self, names: &Names) -> Result<bool, Error> {
        let api: Api<PipelineRun> = Api::namespaced(self.context.client.clone(), &names.namespace);
        let found = read(|| api.get_metadata_opt(&names.pipeline_run)).await;
        let what = format!("PipelineRun {}/{}", names.namespace, names.pipeline_run);
        let found = found.map_err(Error::api("read", what))?;
        let own = DependencyOf::new(self.run);
        Ok(found.is_some_and(|found| {
            DependencyOf::of(&found.metadata).as_ref() == Some(&own)
                && found.metadata.deletion_timestamp.is_none()
        }))
    }

    /// Makes the rest, once the owner is there.
    async fn begin(
        &self,
        names: Names,
        snapshot: Arc<Snapshot>,
        owner: &ConfigMap,
        limits: Limits,
        sink: &Sink,
    ) -> Result<Started, Error> {
        let Self { context, run, .. } = self;
        let Some(uid) = apply::namespace_uid(context, &names.namespace).await? else {
            let message = format!("there is no namespace {:?}", names.namespace);
            return Ok(self.waiting("NamespaceNotFound", &message, RETRY));
        };
        // Tekton would take a TaskRun of that name for one of this run.
        if let Some(object) = self.reconciler.left_over(&names) {
            return Err(Error::LeftOver { object });
        }
        let programs = match self.programs(&snapshot, &names.namespace) {
            Ok(programs) => programs,
            Err(asked) => {
                let message = format!("asking what these images run: {}", asked.join(", "));
                return Ok(self.waiting("ImagesPending", &message, RETRY));
            }
        };
        let mutable = objects::mutable(run, &snapshot, &names, owner, &programs, self.now);
        if let Err(stopped) = self.make(&mutable, "InvalidRun").await? {
            return Ok(stopped);
        }
        let tokens = token::sealed(context, run, &snapshot, &names, &uid, limits.run, sink).await?;
        let given = Given { tokens, programs, limits, settings: &context.settings };
        let mut pipeline_run = pipeline::pipeline_run(run, &snapshot, &names, owner, &given);
        let max = context.settings.max_embedded;
        for task in pipeline::move_out(&mut pipeline_run, run, &snapshot, max) {
            if let Err(stopped) = self.make(&task, "PipelineRefused").await? {
                return Ok(stopped);
            }
        }
        match self.make(&pipeline_run, "PipelineRefused").await? {
            Ok(_) => Ok(Started::Running(names, snapshot)),
            Err(stopped) => Ok(stopped),
        }
    }

    /// Makes an object, or says why it cannot be made; `reason` is the word for its being wrong.
    async fn make<K>(&self, object: &K, reason: &str) -> Result<Result<Arc<K>, Started>, Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + Debug + Serialize + DeserializeOwned,
    {
        let named = || {
            let namespace = object.namespace().unwrap_or_default();
            format!("{} {namespace}/{}", K::kind(&()), object.name_any())
        };
        Ok(Err(match apply::create(self.context, self.run, object).await? {
            Made::Ours(made) => return Ok(Ok(made)),
            Made::Foreign => {
                self.failed("NameConflict", &format!("{} belongs to something else", named()))
            }
            // Tekton's webhook names the field that it does not know, or the feature that is off.
            Made::Refused(message) if message.contains("onError") => {
                let message = format!(
                    "Tekton does not take `onError`; it does with `enable-api-fields: beta` in its \
                     ConfigMap feature-flags: {message}"
                );
                self.waiting("TektonFeatureMissing", &message, RETRY)
            }
            Made::Refused(message) => self.failed(reason, &message),
            Made::Unserved(message) => {
                let message = format!("could not create {}: {message}", named());
                self.waiting("NotServed", &message, RETRY)
            }
            Made::Forbidden(message) => {
                let message = format!("could not create {}: {message}", named());
                self.waiting("Forbidden", &message, RETRY)
            }
        }))
    }

    /// The tenant of a run and the namespace that its runs are in, or why there is none yet.
    async fn tenant(
        &self,
        snapshot: &Snapshot,
    ) -> Result<Result<(Tenant, String), (&'static str, String)>, Error> {
        let namespace = self.run.namespace().ok_or(Error::Incomplete("Run"))?;
        let name = &snapshot.workflow.spec.tenant_ref.name;
        let Some(tenant) = object::<Tenant>(self.context, &namespace, name).await? else {
            let message = format!("there is no tenant {name:?} in {namespace}");
            return Ok(Err(("TenantNotFound", message)));
        };
        let status = tenant.status.clone().unwrap_or_default();
        let current = status.observed_generation == tenant.metadata.generation;
        let condition = Condition::find(&status.conditions, "NamespaceReady");
        match (condition.filter(|condition| condition.is_true() && current), status.namespace) {
            (Some(_), Some(namespace)) => Ok(Ok((tenant, namespace))),
            _ => {
                let why = condition.and_then(|condition| condition.message.clone());
                let why = why.filter(|_| current);
                let why = why.unwrap_or_else(|| "its namespace is not ready yet".to_owned());
                Ok(Err(("TenantNotReady", format!("tenant {name:?}: {why}"))))
            }
        }
    }

    /// What the images of those steps run that name neither a command nor a script; or those whose
    /// registries are being asked.
    fn programs(&self, snapshot: &Snapshot, namespace: &str) -> Result<Programs, Vec<String>> {
        let mut programs = Programs::new();
        let Some(inspector) = &self.context.images else { return Ok(programs) };
        let account = match self.context.settings.policies {
            Some(_) => step_account(&snapshot.workflow.spec.tenant_ref.name),
            None => "default".to_owned(),
        };
        let run = ObjectRef::from_obj(self.run);
        let mut asked = Vec::new();
        for step in &snapshot.workflow.spec.steps {
            let container = &step.container;
            let image = &container.image;
            if image.is_empty() || container.command.is_some() || !container.input.is_empty() {
                continue;
            }
            let place = (namespace, account.as_str());
            match self.reconciler.images.find(self.context, inspector, place, image, &run) {
                Some(found) => drop(programs.insert(image.clone(), found)),
                None if asked.contains(image) => {}
                None => asked.push(image.clone()),
            }
        }
        if asked.is_empty() { Ok(programs) } else { Err(asked) }
    }

    /// Where steps may start runs of other workflows. Few do, so one that lacks something, which the
    /// tenant says, keeps no run from starting. The sink for events is none of a run's business.
    async fn sink(&self, tenant: &Tenant) -> Result<Sink, Error> {
        let namespace = tenant.namespace().unwrap_or_default();
        let sink = &tenant.spec.workflow_execution_sink;
        sink::look_up(self.context, &namespace, "workflow execution sink", sink).await
    }
}

/// Reads an object; without a name there is none.
async fn object<K>(context: &Context, namespace: &str, name: &str) -> Result<Option<K>, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    K: Clone + Debug + DeserializeOwned,
{
    if name.is_empty() {
        return Ok(None);
    }
    let api: Api<K> = Api::namespaced(context.client.clone(), namespace);
    let what = format!("{} {namespace}/{name}", K::kind(&()));
    match read(|| api.get_opt(name)).await {
        // A name that no object can have.
        Err(error) if is_invalid(&error) => Ok(None),
        found => found.map_err(Error::api("read", what)),
    }
}

async fn stored_snapshot(
    context: &Context,
    run: &Run,
    names: &Names,
) -> Result<Option<(Arc<ConfigMap>, Snapshot)>, Error> {
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &names.namespace);
    let what = format!("ConfigMap {}/{}", names.namespace, names.immutable);
    let found = read(|| api.get_opt(&names.immutable)).await.map_err(Error::api("read", what))?;
    let ours = found.filter(|map| DependencyOf::of(&map.metadata) == Some(DependencyOf::new(run)));
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
