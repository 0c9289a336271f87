//! The objects of a run: two ConfigMaps and a PipelineRun (`design.md` decision 4).

use std::collections::BTreeMap;

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{
    ConfigMap, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar, KeyToPath,
    SecurityContext, Volume, VolumeMount,
};
use kube::api::ObjectMeta;
use relay_core::{StoreError, Value};
use relay_model::tekton::{
    EmbeddedMetadata, GATE_API_VERSION, GATE_KIND, PIPELINE_CANCELLED, PipelineRun,
    PipelineRunSpec, PipelineSpec, PipelineTask, PodTemplate, RESULT_DECISION, TaskRunTemplate,
    TaskSpec, TimeoutFields, WhenExpression,
};
use relay_model::v1beta1::{Run, Step};
use relay_model::{annotation, name};
use relay_store::key;

use super::snapshot::{PlannedStep, Snapshot};
use crate::context::{Environment, Settings};
use crate::dependency::{DependencyOf, owned_by};

/// Where the runtime tools are in a pod.
const TOOLS_DIR: &str = "/var/lib/puppet/relay";
/// Where the script is in a pod.
const CONFIG_DIR: &str = "/var/run/puppet/relay/config";
const SCRIPT_FILE: &str = "input-script";
/// The image of a step that names none.
const DEFAULT_IMAGE: &str = "alpine:latest";

/// Where the objects of a run are, and what they are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) namespace: String,
    pub(super) immutable: String,
    pub(super) mutable: String,
    pub(super) pipeline_run: String,
}

impl Names {
    pub(super) fn new(run_name: &str, namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            immutable: name::derived(run_name, "-immutable"),
            mutable: name::derived(run_name, "-mutable"),
            pipeline_run: name::dns_label(run_name),
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
fn metadata(run: &Run, name: &str, namespace: &str) -> ObjectMeta {
    let tools = |key: &String| key.contains("kubectl.kubernetes.io/");
    let copied = |from: &Option<BTreeMap<String, String>>| {
        let entries = from.iter().flatten().filter(|(key, _)| !tools(key));
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

/// What the author wrote, frozen; the owner of all else.
pub(super) fn immutable(
    run: &Run,
    snapshot: &Snapshot,
    names: &Names,
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
        // A step without spec gets an empty one: a client that asks for it would wait for ever.
        data.insert(key::spec(action), object(&step.container.spec));
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
    Ok(ConfigMap {
        metadata: metadata(run, &names.immutable, &names.namespace),
        immutable: Some(true),
        data: Some(data),
        ..ConfigMap::default()
    })
}

/// What the run's spec asks of its steps, as entries of the mutable ConfigMap.
pub(super) fn state(run: &Run, snapshot: &Snapshot) -> BTreeMap<String, String> {
    let mut data = BTreeMap::new();
    for step in &snapshot.steps {
        let state = run.spec.state.steps.get(step.name.as_str()).into_iter().flatten();
        for (name, value) in state {
            if let Ok(key) = key::state(&step.action, name) {
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
) -> ConfigMap {
    let mut map = ConfigMap {
        metadata: metadata(run, &names.mutable, &names.namespace),
        data: Some(state(run, snapshot)),
        ..ConfigMap::default()
    };
    map.metadata.owner_references = owned_by(owner).map(|owner| vec![owner]);
    map
}

/// The pipeline. `tokens` are the sealed tokens of the steps, in the order of the snapshot.
pub(super) fn pipeline_run(
    run: &Run,
    snapshot: &Snapshot,
    names: &Names,
    owner: &ConfigMap,
    tokens: &[Option<String>],
    limits: Limits,
    settings: &Settings,
) -> PipelineRun {
    let mut tasks = Vec::new();
    for (index, planned) in snapshot.steps.iter().enumerate() {
        let Some(step) = snapshot.workflow.spec.steps.get(index) else { continue };
        tasks.extend(gate(run, snapshot, planned));
        if let Some(task) = &planned.task {
            let token = tokens.get(index).cloned().flatten().unwrap_or_default();
            tasks.push(PipelineTask {
                name: task.clone(),
                display_name: Some(planned.name.to_string()),
                task_spec: Some(task_spec(run, planned, step, names, &token, settings)),
                run_after: planned.gate.clone().into_iter().collect(),
                when: planned.gate.as_deref().map(opened_by).into_iter().collect(),
                on_error: Some("continue".to_owned()),
                timeout: limits.step.map(go_duration),
            });
        }
    }
    let spec = PipelineRunSpec {
        pipeline_spec: Some(PipelineSpec { tasks }),
        task_run_template: Some(TaskRunTemplate {
            service_account_name: None,
            pod_template: Some(PodTemplate {
                enable_service_links: Some(false),
                automount_service_account_token: Some(false),
            }),
        }),
        timeouts: Some(TimeoutFields {
            // Tekton's own limit would include the time that approvals wait.
            pipeline: Some(limits.run.map_or_else(|| "0".to_owned(), go_duration)),
            tasks: None,
        }),
        status: run.spec.is_cancelled().then(|| PIPELINE_CANCELLED.to_owned()),
    };
    let mut pipeline_run = PipelineRun::new(&names.pipeline_run, spec);
    pipeline_run.metadata = metadata(run, &names.pipeline_run, &names.namespace);
    pipeline_run.metadata.owner_references = owned_by(owner).map(|owner| vec![owner]);
    pipeline_run
}

/// A duration as Tekton reads it.
fn go_duration(duration: SignedDuration) -> String {
    format!("{}s", duration.as_secs().max(1))
}

fn gate(run: &Run, snapshot: &Snapshot, planned: &PlannedStep) -> Option<PipelineTask> {
    let gate = planned.gate.clone()?;
    let after = planned.after.iter().filter_map(|index| snapshot.steps.get(*index));
    Some(PipelineTask {
        name: gate,
        display_name: Some(format!("gate of {}", planned.name)),
        task_spec: Some(TaskSpec {
            api_version: Some(GATE_API_VERSION.to_owned()),
            kind: Some(GATE_KIND.to_owned()),
            spec: Some(Value::map([("step", Value::from(planned.name.as_str()))])),
            metadata: Some(embedded_metadata(run, planned, [])),
            ..TaskSpec::default()
        }),
        run_after: after
            .filter_map(|step| step.task.clone().or_else(|| step.gate.clone()))
            .collect(),
        ..PipelineTask::default()
    })
}

fn opened_by(gate: &str) -> WhenExpression {
    WhenExpression {
        input: format!("$(tasks.{gate}.results.{RESULT_DECISION})"),
        operator: "in".to_owned(),
        values: vec!["run".to_owned()],
    }
}

fn embedded_metadata<const N: usize>(
    run: &Run,
    planned: &PlannedStep,
    more: [(&str, String); N],
) -> EmbeddedMetadata {
    let run_name = run.metadata.name.as_deref().unwrap_or_default();
    let annotations = [
        (annotation::DEPENDENCY_OF, DependencyOf::new(run).to_json()),
        (annotation::STEP, planned.name.to_string()),
    ];
    EmbeddedMetadata {
        labels: [(annotation::RUN_ID.to_owned(), name::label_value(run_name))].into(),
        annotations: annotations
            .into_iter()
            .chain(more)
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    }
}

fn task_spec(
    run: &Run,
    planned: &PlannedStep,
    step: &Step,
    names: &Names,
    token: &str,
    settings: &Settings,
) -> TaskSpec {
    let env = env(settings);
    let tools = VolumeMount {
        name: "relay-tools".to_owned(),
        mount_path: TOOLS_DIR.to_owned(),
        ..VolumeMount::default()
    };
    let mut volumes = vec![Volume {
        name: tools.name.clone(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    }];
    let mut mounts = vec![tools.clone()];
    let scripted = !step.container.input.is_empty();
    if scripted {
        volumes.push(script_volume(planned, names));
        mounts.push(VolumeMount {
            name: "config".to_owned(),
            mount_path: CONFIG_DIR.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        });
    }
    let image = Some(step.container.image.clone()).filter(|image| !image.is_empty());
    TaskSpec {
        metadata: Some(embedded_metadata(
            run,
            planned,
            [
                (annotation::TOKEN, token.to_owned()),
                (annotation::SUBJECT, planned.action.subject()),
            ],
        )),
        volumes,
        steps: vec![
            Container {
                name: "tools".to_owned(),
                image: Some(settings.runtime_tools_image.clone()),
                command: Some(vec!["/ko-app/relay-runtime-tools".to_owned()]),
                args: Some(vec!["initialize".to_owned()]),
                working_dir: Some("/".to_owned()),
                volume_mounts: Some(vec![tools]),
                ..Container::default()
            },
            Container {
                name: "step".to_owned(),
                image: image.or_else(|| Some(DEFAULT_IMAGE.to_owned())),
                command: Some(vec![format!("{TOOLS_DIR}/entrypoint")]),
                args: Some(entrypoint(step)),
                env: Some(env),
                volume_mounts: Some(mounts),
                security_context: Some(SecurityContext {
                    allow_privilege_escalation: Some(false),
                    ..SecurityContext::default()
                }),
                ..Container::default()
            },
        ],
        ..TaskSpec::default()
    }
}

/// The arguments of the entrypoint: the program, and its own arguments.
fn entrypoint(step: &Step) -> Vec<String> {
    let program = if step.container.input.is_empty() {
        step.container.command.clone()
    } else {
        Some(format!("{CONFIG_DIR}/{SCRIPT_FILE}"))
    };
    let mut args = Vec::new();
    if let Some(program) = program {
        args.extend(["-entrypoint".to_owned(), verbatim(&program)]);
    }
    args.push("--".to_owned());
    if step.container.input.is_empty() {
        args.extend(step.container.args.iter().map(|arg| verbatim(arg)));
    }
    args
}

/// An argument that the kubelet hands on as it was written: it would take `$(NAME)` for a variable
/// and `$$` for one sign.
fn verbatim(arg: &str) -> String {
    arg.replace('$', "$$")
}

fn script_volume(planned: &PlannedStep, names: &Names) -> Volume {
    Volume {
        name: "config".to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: names.immutable.clone(),
            items: Some(vec![KeyToPath {
                key: key::script(&planned.action),
                path: SCRIPT_FILE.to_owned(),
                mode: Some(0o755),
            }]),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn env(settings: &Settings) -> Vec<EnvVar> {
    let (timeout, secure_logging) = match settings.environment {
        Environment::Development => (Some("1m0s"), "true"),
        Environment::Test => (Some("5s"), "false"),
        Environment::Other => (None, "false"),
    };
    let variables = [
        ("CI", Some("true")),
        ("RELAY", Some("true")),
        ("METADATA_API_URL", Some(settings.metadata_api_url.as_str())),
        ("RELAY_DEFAULT_TIMEOUT", timeout),
        ("RELAY_ENABLE_SECURE_LOGGING", Some(secure_logging)),
        // The gate has decided already.
        ("RELAY_GATED", Some("true")),
    ];
    variables
        .into_iter()
        .filter_map(|(name, value)| {
            Some(EnvVar {
                name: name.to_owned(),
                value: Some(value?.to_owned()),
                ..EnvVar::default()
            })
        })
        .collect()
}
