//! What reconcilers are given.

use std::sync::Arc;

use jiff::SignedDuration;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use relay_core::{Clock, SecretStore, TokenSealer, TokenSigner};

use crate::Telemetry;

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
    pub secrets: Arc<dyn SecretStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where controllers tell of their work.
    pub telemetry: Telemetry,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

/// How reconcilers are set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The metadata API, as steps reach it.
    pub metadata_api_url: String,
    /// The image with the runtime tools.
    pub runtime_tools_image: String,
    /// What kind of installation this is.
    pub environment: Environment,
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
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            metadata_api_url: String::new(),
            runtime_tools_image: "relaysh/relay-runtime-tools:latest".to_owned(),
            environment: Environment::Development,
            timeout: None,
            step_timeout: None,
            approval_timeout: SignedDuration::from_hours(1),
            namespace: None,
            workers: 64,
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
