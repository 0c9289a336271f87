//! From a pod to what is changed in it, or to why it is refused.

use std::collections::BTreeSet;
use std::fmt;

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Toleration, Volume};
use serde::Serialize;
use serde_json::Value;

use super::PodPolicy;

/// Where the API server mounts the token of a pod's account.
const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Taints that the API server itself lets every pod tolerate for a while. It does so again after it
/// has asked a webhook, so taking these away would never end.
const TAINTS_OF_NODES: [&str; 2] =
    ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

/// How much of what is wrong with a pod is told: it may be anything, and as long as a pod.
const MAX_TOLD: usize = 8;

/// What a pod asks for that no pod of a tenant is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violations(Vec<String>);

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a pod in the namespace of a tenant may not have {}", self.0.join(", "))
    }
}

impl PodPolicy {
    /// What has to be changed in a pod; nothing where it is as it should be, as it is once the
    /// patch has been applied.
    ///
    /// Beside what the policy says, the token of the pod's service account is taken away where the
    /// API server put it into the pod: with its volume and mounts, since the API server does that
    /// before it asks a webhook. Steps speak to the metadata API, with a token of their own, and not
    /// to the API server. A token that the pod mounts elsewhere, such as one for another audience, was
    /// asked for, and stays.
    ///
    /// # Errors
    ///
    /// The host's network, processes or shared memory, and privileged containers: these break out of
    /// whatever else holds a tenant, and the metadata API serves no pod on the host's network. They are
    /// refused rather than taken away, since whoever asks for them cannot do without, and would see
    /// a failure with no cause. Pod Security admission refuses them too, where it is enforced; this
    /// holds in namespaces whose labels somebody changed.
    pub fn enforce(&self, pod: &Pod) -> Result<Patch, Violations> {
        let Some(spec) = &pod.spec else {
            // The API server takes no such pod.
            return Ok(Patch::default());
        };
        let violations: Vec<_> = violations(spec).take(MAX_TOLD).collect();
        if !violations.is_empty() {
            return Err(Violations(violations));
        }
        let mut changes = Changes::default();
        self.schedule(spec, &mut changes);
        self.name_servers(spec, &mut changes);
        self.runtime(spec, &mut changes);
        take_token(spec, &mut changes);
        Ok(Patch(changes.0))
    }

    fn schedule(&self, spec: &PodSpec, changes: &mut Changes) {
        match &spec.node_selector {
            None if self.node_selector.is_empty() => {}
            None => changes.set(&["nodeSelector"], &self.node_selector),
            Some(labels) => {
                for (label, value) in &self.node_selector {
                    if labels.get(label) != Some(value) {
                        changes.set(&["nodeSelector", label], value);
                    }
                }
            }
        }
        let Some(wanted) = &self.tolerations else {
            return;
        };
        let (kept, own): (Vec<_>, Vec<_>) =
            spec.tolerations.iter().flatten().partition(|toleration| is_of_nodes(toleration));
        let same = own.len() == wanted.len()
            && wanted.iter().all(|wanted| own.iter().any(|own| is_same(own, wanted)));
        if !same {
            let all: Vec<_> = wanted.iter().chain(kept).collect();
            changes.set(&["tolerations"], &all);
        }
    }

    fn name_servers(&self, spec: &PodSpec, changes: &mut Changes) {
        let Some(dns) = &self.dns else {
            return;
        };
        if spec.dns_policy.as_deref() != Some(dns.policy()) {
            changes.set(&["dnsPolicy"], dns.policy());
        }
        match dns.config() {
            Some(config) if spec.dns_config.as_ref() != Some(&config) => {
                changes.set(&["dnsConfig"], &config);
            }
            None if spec.dns_config.is_some() => changes.remove(&["dnsConfig"]),
            _ => {}
        }
    }

    fn runtime(&self, spec: &PodSpec, changes: &mut Changes) {
        let Some(class) = &self.runtime_class else {
            return;
        };
        if spec.runtime_class_name.as_ref() != Some(class) {
            changes.set(&["runtimeClassName"], class);
            // It was that of another class; the API server sets the one of this class.
            if spec.overhead.is_some() {
                changes.remove(&["overhead"]);
            }
        }
    }
}

fn violations(spec: &PodSpec) -> impl Iterator<Item = String> {
    let host = [
        ("hostNetwork", spec.host_network),
        ("hostPID", spec.host_pid),
        ("hostIPC", spec.host_ipc),
    ];
    let host = host.into_iter().filter(|(_, asks)| *asks == Some(true));
    let privileged = containers(spec).map(|(_, _, container)| container).filter(|container| {
        let context = container.security_context.as_ref();
        context.and_then(|context| context.privileged) == Some(true)
    });
    host.map(|(field, _)| field.to_owned())
        .chain(privileged.map(|container| format!("the privileged container {:?}", container.name)))
}

/// All containers, each with the field that it is in and its place there.
fn containers(spec: &PodSpec) -> impl Iterator<Item = (&'static str, usize, &Container)> {
    let init = spec.init_containers.iter().flatten().enumerate();
    let init = init.map(|(place, container)| ("initContainers", place, container));
    let main = spec.containers.iter().enumerate();
    init.chain(main.map(|(place, container)| ("containers", place, container)))
}

fn is_of_nodes(toleration: &Toleration) -> bool {
    let key = toleration.key.as_deref().unwrap_or_default();
    TAINTS_OF_NODES.contains(&key)
        && toleration.effect.as_deref() == Some("NoExecute")
        && toleration.operator.as_deref() == Some("Exists")
}

/// No operator is the same as `Equal`.
fn is_same(one: &Toleration, other: &Toleration) -> bool {
    fn operator(toleration: &Toleration) -> &str {
        toleration.operator.as_deref().filter(|name| !name.is_empty()).unwrap_or("Equal")
    }
    operator(one) == operator(other)
        && (&one.key, &one.value, &one.effect, one.toleration_seconds)
            == (&other.key, &other.value, &other.effect, other.toleration_seconds)
}

/// Takes the token of the service account away.
fn take_token(spec: &PodSpec, changes: &mut Changes) {
    if spec.automount_service_account_token != Some(false) {
        changes.set(&["automountServiceAccountToken"], &false);
    }
    let volumes = spec.volumes.as_deref().unwrap_or_default();
    let tokens: BTreeSet<_> =
        volumes.iter().filter(|volume| may_hold_token(volume)).map(|volume| &volume.name).collect();
    let mut taken = BTreeSet::new();
    let mut kept = BTreeSet::new();
    for (field, place, container) in containers(spec) {
        // From the last on, so that those before stay where they are.
        let mounts = container.volume_mounts.as_deref().unwrap_or_default();
        for (number, mount) in mounts.iter().enumerate().rev() {
            let path = mount.mount_path.trim_end_matches('/');
            if path == TOKEN_PATH && tokens.contains(&mount.name) {
                changes.remove(&[field, &place.to_string(), "volumeMounts", &number.to_string()]);
                taken.insert(&mount.name);
            } else {
                kept.insert(&mount.name);
            }
        }
    }
    for (number, volume) in volumes.iter().enumerate().rev() {
        if taken.contains(&volume.name) && !kept.contains(&volume.name) {
            changes.remove(&["volumes", &number.to_string()]);
        }
    }
}

/// Whether a volume mounted where tokens are is one: projected today, a Secret in old clusters.
fn may_hold_token(volume: &Volume) -> bool {
    let projected = volume.projected.as_ref().and_then(|projected| projected.sources.as_ref());
    volume.secret.is_some()
        || projected.is_some_and(|sources| {
            sources.iter().any(|source| source.service_account_token.is_some())
        })
}

/// Changes of a pod's spec.
#[derive(Default)]
struct Changes(Vec<PatchOperation>);

impl Changes {
    /// Sets a field, whether it is there or not.
    fn set(&mut self, path: &[&str], value: &(impl Serialize + ?Sized)) {
        // Text, numbers, lists and maps with text as keys are always JSON.
        let value = serde_json::to_value(value).unwrap_or(Value::Null);
        self.0.push(PatchOperation::Add(AddOperation { path: pointer(path), value }));
    }

    fn remove(&mut self, path: &[&str]) {
        self.0.push(PatchOperation::Remove(RemoveOperation { path: pointer(path) }));
    }
}

fn pointer(path: &[&str]) -> PointerBuf {
    PointerBuf::from_tokens(["spec"].iter().chain(path).copied())
}
