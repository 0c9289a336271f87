//! The objects of a run: two ConfigMaps and a PipelineRun (`design.md` decision 4).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;
use relay_core::{Action, RunId, StepName, StoreError, Value};
use relay_model::v1beta1::Run;
use relay_model::{annotation, name};
use relay_store::key;

use super::program::{Programs, complaints};
use super::snapshot::Snapshot;
use crate::context::Settings;
use crate::dependency::{DependencyOf, owned_by};

/// Where the objects of a run are, and what they are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// The run that has them: there may be objects of an earlier run of this name.
    pub(super) run: DependencyOf,
    pub(super) namespace: String,
    pub(super) immutable: String,
    pub(super) mutable: String,
    pub(super) pipeline_run: String,
    /// Whether the namespace was made for the tenant.
    pub(super) is_managed: bool,
}

impl Names {
    /// Whether an object was made for this run.
    pub(super) fn are_of(&self, metadata: &ObjectMeta) -> bool {
        DependencyOf::of(metadata).as_ref() == Some(&self.run)
    }

    /// The names of what a run has in this namespace.
    pub(super) fn new(run: &Run, namespace: &str) -> Self {
        let run_name = run.metadata.name.as_deref().unwrap_or_default();
        Self {
            run: DependencyOf::new(run),
            is_managed: run.metadata.namespace.as_deref() != Some(namespace),
            namespace: namespace.to_owned(),
            immutable: name::derived(run_name, "-immutable"),
            mutable: name::derived(run_name, "-mutable"),
            pipeline_run: name::exact(run_name),
        }
    }
}

/// The time limits of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) run: Option<SignedDuration>,
    pub(super) step: Option<SignedDuration>,
}

impl Limits {
    /// What the run's annotations say, and otherwise the settings.
    ///
    /// # Errors
    ///
    /// When an annotation is no duration.
    pub(super) fn of(run: &Run, settings: &Settings) -> Result<Self, InvalidDuration> {
        // Zero is no limit, as it is for Tekton.
        let limit = |given: Option<SignedDuration>| given.filter(|limit| !limit.is_zero());
        duration(run, annotation::APPROVAL_TIMEOUT)?;
        Ok(Self {
            run: limit(duration(run, annotation::TIMEOUT)?.or(settings.timeout)),
            step: limit(duration(run, annotation::STEP_TIMEOUT)?.or(settings.step_timeout)),
        })
    }
}

/// An annotation that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the annotation {key} is {text:?}, which is no duration such as 1h30m")]
pub(super) struct InvalidDuration {
    key: String,
    text: String,
}

/// A duration such as `1h30m` in an annotation.
pub(super) fn duration(run: &Run, key: &str) -> Result<Option<SignedDuration>, InvalidDuration> {
    let Some(text) = run.metadata.annotations.as_ref().and_then(|all| all.get(key)) else {
        return Ok(None);
    };
    match text.parse::<SignedDuration>() {
        Ok(duration) if !duration.is_negative() => Ok(Some(duration)),
        _ => Err(InvalidDuration { key: key.to_owned(), text: text.clone() }),
    }
}

/// Metadata of an object of a run: labels and annotations of the run go along, but for those of
/// tools.
pub(super) fn metadata(run: &Run, name: &str, namespace: &str) -> ObjectMeta {
    // Where its objects are is said of the run alone, and only once they are about to be made.
    // What says who a step is, is said of each step: Tekton would put that of the PipelineRun into
    // its place.
    let kept = |key: &str| {
        is_of_a_tool(key)
            || key == annotation::TARGET_NAMESPACE
            || [annotation::TOKEN, annotation::SUBJECT, annotation::STEP].contains(&key)
    };
    let copied = |from: &Option<BTreeMap<String, String>>| {
        let entries = from.iter().flatten().filter(|(key, _)| !kept(key));
        entries.map(|(key, value)| (key.clone(), value.clone())).collect::<BTreeMap<_, _>>()
    };
    let mut labels = copied(&run.metadata.labels);
    let run_name = run.metadata.name.as_deref().unwrap_or_default();
    labels.insert(annotation::RUN_ID.to_owned(), name::label_value(run_name));
    let mut annotations = copied(&run.metadata.annotations);
    annotations.insert(annotation::DEPENDENCY_OF.to_owned(), DependencyOf::new(run).to_json());
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        labels: Some(labels),
        annotations: Some(annotations),
        ..ObjectMeta::default()
    }
}

/// Whether a label or annotation says that a tool manages the very object that has it.
fn is_of_a_tool(key: &str) -> bool {
    let (domain, _) = key.split_once('/').unwrap_or_default();
    let of_a_tool = ["kubectl.kubernetes.io", "argocd.argoproj.io", "helm.sh"].iter().any(|tool| {
        domain.strip_suffix(tool).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    });
    of_a_tool || key == "app.kubernetes.io/managed-by"
}

/// What the author wrote, frozen; the owner of all else.
pub(super) fn immutable(
    run: &Run,
    snapshot: &Snapshot,
    names: &Names,
    settings: &Settings,
) -> Result<ConfigMap, StoreError> {
    let mut data = BTreeMap::new();
    for (name, value) in &snapshot.parameters {
        data.insert(key::parameter(name)?, value.to_json());
    }
    for (planned, step) in snapshot.steps.iter().zip(&snapshot.workflow.spec.steps) {
        let action = &planned.action;
        let object = |map: &BTreeMap<String, Value>| {
            Value::map(map.iter().map(|(key, value)| (key.as_str(), value.clone()))).to_json()
        };
        if settings.empty_specs || !step.container.spec.is_empty() {
            data.insert(key::spec(action), object(&step.container.spec));
        }
        data.insert(key::environment(action), object(&step.container.env));
        if !planned.conditions.all.is_empty() {
            let conditions = Value::from(planned.conditions.all.clone());
            data.insert(key::condition(action), conditions.to_json());
        }
        if let Some(script) = step.container.script() {
            data.insert(key::script(action), script);
        }
    }
    // Text, names and values are always JSON.
    let workflow = serde_json::to_string(&snapshot.workflow).unwrap_or_default();
    data.insert(key::WORKFLOW.to_owned(), workflow);
    let mut metadata = metadata(run, &names.immutable, &names.namespace);
    // Owners are in the same namespace.
    let owner = (!names.is_managed).then(|| owned_by(run)).flatten();
    metadata.owner_references = owner.map(|owner| vec![owner]);
    Ok(ConfigMap { metadata, immutable: Some(true), data: Some(data), ..ConfigMap::default() })
}

/// What the run's spec asks of its steps, and of any others, as entries of the mutable ConfigMap.
pub(super) fn state(run: &Run) -> BTreeMap<String, String> {
    let mut data = BTreeMap::new();
    let Ok(id) = RunId::new(run.metadata.name.as_deref().unwrap_or_default()) else { return data };
    for (step, state) in &run.spec.state.steps {
        let Ok(step) = StepName::new(step) else { continue };
        let action = Action::step(id.clone(), step);
        for (name, value) in state {
            if let Ok(key) = key::state(&action, name) {
                data.insert(key, value.to_json());
            }
        }
    }
    data
}

/// The map that steps and operator write to.
pub(super) fn mutable(
    run: &Run,
    snapshot: &Snapshot,
    names: &Names,
    owner: &ConfigMap,
    programs: &Programs,
    now: Timestamp,
) -> ConfigMap {
    let mut data = state(run);
    data.extend(complaints(snapshot, programs, now));
    let mut map = ConfigMap {
        metadata: metadata(run, &names.mutable, &names.namespace),
        data: Some(data),
        ..ConfigMap::default()
    };
    map.metadata.owner_references = owned_by(owner).map(|owner| vec![owner]);
    map
}
