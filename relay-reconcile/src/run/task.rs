//! The pod of a step: the runtime tools, and the step's own image behind them; pure
//! (`operator.md` §6.6).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, EnvVar, KeyToPath, ResourceRequirements, SecurityContext, Volume,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use relay_model::annotation;
use relay_model::tekton::{TaskSpec, TaskStep, WorkspaceDeclaration};
use relay_model::v1beta1::{Run, Step};
use relay_store::key;

use super::objects::Names;
use super::pipeline::{Given, embedded_metadata};
use super::program::{Programs, named_program};
use super::snapshot::PlannedStep;
use crate::context::{Environment, Settings};

/// The workspace that the runtime tools are copied to.
pub(super) const TOOLS: &str = "tools";
/// Where it is in a pod.
const TOOLS_DIR: &str = "/var/lib/puppet/relay";
/// Where the script is in a pod.
const CONFIG_DIR: &str = "/var/run/puppet/relay/config";
const SCRIPT_FILE: &str = "input-script";
/// The image of a step that names none.
const DEFAULT_IMAGE: &str = "alpine:latest";

/// What the pod of a step is made from.
pub(super) fn task_spec(
    run: &Run,
    planned: &PlannedStep,
    step: &Step,
    names: &Names,
    token: &str,
    given: &Given<'_>,
) -> TaskSpec {
    let settings = given.settings;
    let env = env(settings);
    let script = (!step.container.input.is_empty()).then(|| script_volume(planned, names));
    let mounts = script.iter().map(|volume| VolumeMount {
        name: volume.name.clone(),
        mount_path: CONFIG_DIR.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    });
    let args = entrypoint(step, &given.programs);
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
        workspaces: vec![WorkspaceDeclaration {
            name: TOOLS.to_owned(),
            mount_path: Some(TOOLS_DIR.to_owned()),
        }],
        steps: vec![
            TaskStep {
                name: TOOLS.to_owned(),
                image: Some(settings.runtime_tools_image.clone()),
                image_pull_policy: settings.runtime_tools_pull_policy.clone(),
                command: vec!["/ko-app/relay-runtime-tools".to_owned()],
                args: vec!["initialize".to_owned()],
                working_dir: Some("/".to_owned()),
                env: env.clone(),
                ..TaskStep::default()
            },
            TaskStep {
                name: "step".to_owned(),
                image: image.or_else(|| Some(DEFAULT_IMAGE.to_owned())),
                image_pull_policy: settings.pull_policy.clone(),
                command: vec![format!("{TOOLS_DIR}/entrypoint")],
                env: env.into_iter().chain(dollar(&args)).collect(),
                args: args.iter().map(|arg| verbatim(arg)).collect(),
                compute_resources: names.is_managed.then(|| resources(settings)).flatten(),
                volume_mounts: mounts.collect(),
                security_context: Some(SecurityContext {
                    allow_privilege_escalation: Some(false),
                    ..SecurityContext::default()
                }),
                ..TaskStep::default()
            },
        ],
        volumes: script.into_iter().collect(),
        ..TaskSpec::default()
    }
}

/// The room that a step gets beside its image, in a namespace that was made for its tenant.
fn resources(settings: &Settings) -> Option<ResourceRequirements> {
    let storage = Quantity(settings.ephemeral_storage.clone()?);
    let all = BTreeMap::from([("ephemeral-storage".to_owned(), storage)]);
    Some(ResourceRequirements {
        limits: Some(all.clone()),
        requests: Some(all),
        ..ResourceRequirements::default()
    })
}

/// The arguments of the entrypoint: the program, and its own arguments.
fn entrypoint(step: &Step, programs: &Programs) -> Vec<String> {
    if let Some(found) = named_program(step, programs) {
        // An empty program is one that the entrypoint refuses: the step fails.
        let words = found.unwrap_or_else(|_| vec![String::new()]);
        let (program, args) = match words.split_first() {
            Some((program, args)) => (program.clone(), args),
            None => (String::new(), &[][..]),
        };
        let before = ["-entrypoint".to_owned(), program, "--".to_owned()];
        return before.into_iter().chain(args.iter().cloned()).collect();
    }
    let program = if step.container.input.is_empty() {
        step.container.command.clone()
    } else {
        Some(format!("{CONFIG_DIR}/{SCRIPT_FILE}"))
    };
    let mut args = Vec::new();
    if let Some(program) = program {
        args.extend(["-entrypoint".to_owned(), program]);
    }
    args.push("--".to_owned());
    if step.container.input.is_empty() {
        args.extend(step.container.args.iter().cloned());
    }
    args
}

/// A variable of steps whose arguments say `$(`.
const DOLLAR: &str = "RELAY_DOLLAR";

/// An argument that comes out as it was written. The kubelet would take `$(NAME)` for a variable and
/// `$$` for one sign. Tekton looks for `$(params.NAME)` and others before it and knows no way to write
/// them, so the sign in front of a parenthesis comes from a variable.
fn verbatim(arg: &str) -> String {
    let parts: Vec<_> = arg.split("$(").map(|part| part.replace('$', "$$")).collect();
    parts.join(&format!("$({DOLLAR})("))
}

/// The variable, where an argument needs it.
fn dollar(args: &[String]) -> Option<EnvVar> {
    let is_needed = args.iter().any(|arg| arg.contains("$("));
    is_needed.then(|| EnvVar {
        name: DOLLAR.to_owned(),
        value: Some("$".to_owned()),
        ..EnvVar::default()
    })
}

fn script_volume(planned: &PlannedStep, names: &Names) -> Volume {
    Volume {
        name: format!("config-{}-{}", planned.action.plural(), planned.action.hash()),
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
        ("METADATA_API_CA", settings.metadata_api_ca.as_deref()),
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
