//! What is kept of a pod: of thousands in a cluster, a few hundred bytes each.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use kube::api::ObjectMeta;
use serde::Deserialize;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;

use super::authenticator::Verified;

/// On pods: the sealed token.
const TOKEN: &str = "relay.sh/token";
/// On pods: the subject of that token.
const SUBJECT: &str = "relay.sh/subject";
/// The container that a step's program runs in.
const STEP_CONTAINER: &str = "step-step";

/// A pod as the API server sends it, without what is not read here.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct WirePod {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    host_network: bool,
    containers: Vec<Container>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Container {
    name: String,
    image: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    phase: String,
    #[serde(rename = "podIP")]
    pod_ip: String,
    #[serde(rename = "podIPs")]
    pod_ips: Vec<PodIp>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PodIp {
    ip: String,
}

impl Resource for WirePod {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Pod".into()
    }
    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }
    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }
    fn plural((): &()) -> Cow<'_, str> {
        "pods".into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// A live pod.
pub(super) struct Pod {
    pub(super) uid: Arc<str>,
    pub(super) name: Box<str>,
    pub(super) version: Box<str>,
    pub(super) namespace: Box<str>,
    pub(super) addresses: Box<[IpAddr]>,
    /// Shares its address with its node, and so with whatever else runs there.
    pub(super) host_network: bool,
    /// Of a pod of ours.
    pub(super) credential: Option<Credential>,
    /// The image of its step.
    pub(super) image: Option<Box<str>>,
    /// The namespace, once it was asked for. A pod never changes it.
    pub(super) home: Arc<OnceCell<Home>>,
    /// What its token says, once that was verified; gone with the next change of the pod.
    pub(super) verified: OnceCell<Arc<Verified>>,
    /// When the API server said last that it is there, while the watch did not.
    pub(super) confirmed: Mutex<Option<Instant>>,
}

/// What a pod proves who it is with.
pub(super) struct Credential {
    pub(super) sealed: Box<str>,
    pub(super) subject: Box<str>,
}

/// The namespace of a pod.
#[derive(Clone, Debug)]
pub(super) struct Home {
    pub(super) uid: String,
    /// The namespace of the tenant's own object, where its secrets are.
    pub(super) tenant_namespace: String,
}

impl Pod {
    /// What is kept of this pod; `None` where nobody can call from it (any more).
    pub(super) fn of(wire: WirePod) -> Option<Self> {
        let WirePod { metadata, spec, status } = wire;
        if matches!(status.phase.as_str(), "Succeeded" | "Failed") {
            return None;
        }
        let all = status.pod_ips.iter().map(|ip| ip.ip.as_str()).chain([status.pod_ip.as_str()]);
        let mut addresses: Vec<IpAddr> =
            all.filter_map(|ip| ip.parse::<IpAddr>().ok()).map(|ip| ip.to_canonical()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        if addresses.is_empty() {
            return None;
        }
        let mut annotations = metadata.annotations.unwrap_or_default();
        let mut annotation = |name| annotations.remove(name).filter(|text| !text.is_empty());
        let credential = annotation(TOKEN).zip(annotation(SUBJECT));
        let ours = credential.is_some();
        let mut containers = spec.containers.into_iter().filter(|_| ours);
        let step = containers.find(|container| container.name == STEP_CONTAINER);
        Some(Self {
            uid: metadata.uid?.into(),
            name: metadata.name?.into(),
            version: metadata.resource_version.unwrap_or_default().into(),
            namespace: metadata.namespace?.into(),
            addresses: addresses.into(),
            host_network: spec.host_network,
            credential: credential.map(|(sealed, subject)| Credential {
                sealed: sealed.into(),
                subject: subject.into(),
            }),
            image: step.map(|step| step.image.into()),
            home: Arc::default(),
            verified: OnceCell::new(),
            confirmed: Mutex::new(None),
        })
    }
}

impl fmt::Debug for Pod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pod")
            .field("uid", &self.uid)
            .field("namespace", &self.namespace)
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}
