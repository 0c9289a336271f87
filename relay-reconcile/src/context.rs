//! What reconcilers are given.

use std::fmt;
use std::sync::Arc;

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use relay_core::{Clock, ImageInspector, SecretStore, TokenSealer, TokenSigner};
use relay_store::{KubernetesSecrets, Watches};

use crate::Telemetry;
use crate::tenant::Policies;

/// What all reconcilers share.
#[derive(Clone)]
pub struct Context {
    /// The way to the API server.
    pub client: Client,
    /// How things are set.
    pub settings: Settings,
    /// Signs the tokens of steps.
    pub signer: Arc<dyn TokenSigner>,
    /// Seals them for the annotations of pods.
    pub sealer: Arc<dyn TokenSealer>,
    /// Secrets and connections, for conditions that look at them.
    pub secrets: Arc<dyn SecretStores>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where controllers tell of their work.
    pub telemetry: Telemetry,
    /// Looks into images of steps that name no program. Without one, the entrypoint is left to find
    /// out, which it can where it is told what stands for an image.
    pub images: Option<Arc<dyn ImageInspector>>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Context {
    /// The custom resources of a kind that are to be worked on.
    pub(crate) fn custom_resources<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match &self.settings.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }
}

/// Finds the secrets and connections of a run.
pub trait SecretStores: Send + Sync + fmt::Debug {
    /// Those of the tenants whose objects are in this namespace, as the holder of secrets that a
    /// run's annotation `relay.sh/tenant-id` names sees them.
    fn of(&self, namespace: &str, holder: Option<&str>) -> Arc<dyn SecretStore>;
}

/// One store for all runs.
#[derive(Clone, Debug)]
pub struct SharedSecrets(pub Arc<dyn SecretStore>);

impl SecretStores for SharedSecrets {
    fn of(&self, _: &str, _: Option<&str>) -> Arc<dyn SecretStore> {
        Arc::clone(&self.0)
    }
}

/// The Kubernetes Secrets in the namespace of the tenant, as the metadata API gives them to steps.
#[derive(Clone, Debug)]
pub struct ClusterSecrets(Arc<Watches<Secret>>);

impl ClusterSecrets {
    /// Reads them through this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self(Arc::new(Watches::new(client)))
    }
}

impl SecretStores for ClusterSecrets {
    fn of(&self, namespace: &str, holder: Option<&str>) -> Arc<dyn SecretStore> {
        Arc::new(KubernetesSecrets::new(Arc::clone(&self.0), namespace, holder))
    }
}

/// How reconcilers are set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The metadata API, as steps reach it.
    pub metadata_api_url: String,
    /// The certificates that steps trust beside those of public authorities, as PEM, where that is
    /// an address of `https`. They are part of each step.
    pub metadata_api_ca: Option<String>,
    /// The image with the runtime tools.
    pub runtime_tools_image: String,
    /// When it is pulled: `Always`, `IfNotPresent` or `Never`; as Kubernetes would, where nothing
    /// is said.
    pub runtime_tools_pull_policy: Option<String>,
    /// When the images of steps are pulled.
    pub pull_policy: Option<String>,
    /// The room that a step gets beside its image, as a quantity, in a namespace that was made for
    /// its tenant; what Kubernetes gives, where nothing is said.
    pub ephemeral_storage: Option<String>,
    /// What kind of installation this is.
    pub environment: Environment,
    /// The most bytes of a pipeline that are put into its PipelineRun; what is larger has a Task for
    /// each step. Tekton copies the one into its status, and etcd takes 1.5 MiB.
    pub max_embedded: usize,
    /// Whether a step without a spec gets an empty one. Without one it is told that there is none,
    /// and older programs ask again for minutes.
    pub empty_specs: bool,
    /// How long a run may take; for ever where nothing is said.
    pub timeout: Option<SignedDuration>,
    /// How long a step may take; for ever where nothing is said.
    pub step_timeout: Option<SignedDuration>,
    /// How long an approval waits.
    pub approval_timeout: SignedDuration,
    /// The one namespace whose Runs, Workflows and Tenants are worked on; all where nothing is
    /// said. What runs make is watched everywhere, since tenants' namespaces are others.
    pub namespace: Option<String>,
    /// How many objects of a kind are worked on at once.
    pub workers: u16,
    /// What tenants' namespaces are given beside runs; nothing where steps are no pods.
    pub policies: Option<Policies>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            metadata_api_url: String::new(),
            metadata_api_ca: None,
            runtime_tools_image: "relaysh/relay-runtime-tools:latest".to_owned(),
            runtime_tools_pull_policy: None,
            pull_policy: Some("Always".to_owned()),
            ephemeral_storage: Some("20Gi".to_owned()),
            environment: Environment::Development,
            max_embedded: 256 << 10,
            empty_specs: false,
            timeout: None,
            step_timeout: None,
            approval_timeout: SignedDuration::from_hours(1),
            namespace: None,
            workers: 64,
            policies: Some(Policies::default()),
        }
    }
}

/// The kinds of installations (`operator.md` §6.6): they differ in what steps are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Environment {
    /// `dev`
    #[default]
    Development,
    /// `test`
    Test,
    /// Anything else.
    Other,
}

/// The name under which the operator owns fields.
pub(crate) const FIELD_MANAGER: &str = "relay-operator";
