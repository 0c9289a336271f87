//! Options of the webhook. Those of older installations keep their names.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use k8s_openapi::api::core::v1::Toleration;
use relay_reconcile::admission::certificate::Names;
use relay_reconcile::admission::{Dns, DnsPolicy, PodPolicy};

use crate::Failure;
use crate::options::Given;

#[derive(Debug, Args)]
#[command(next_help_heading = "Admission of pods")]
pub(crate) struct AdmissionOptions {
    /// Serve the webhook that admits pods of tenants [default: only with --webhook-server-key-dir]
    #[arg(long, env = "RELAY_OPERATOR_ADMISSION")]
    #[arg(num_args = 0..=1, default_missing_value = "true", default_value = "", hide_default_value = true)]
    pub(crate) admission: Given<bool>,

    /// The port of the webhook; 0 takes a free one [default: 443]
    #[arg(long, value_name = "PORT", env = "RELAY_OPERATOR_WEBHOOK_SERVER_PORT")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) webhook_server_port: Given<u16>,

    /// A directory with tls.crt and tls.key, read again when they change; the CA in the webhook's
    /// configuration is then yours to keep [default: the operator makes and renews a certificate]
    #[arg(long, value_name = "DIRECTORY", env = "RELAY_OPERATOR_WEBHOOK_SERVER_KEY_DIR")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) webhook_server_key_dir: Given<PathBuf>,

    /// The Secret that the certificate is kept in [default: relay-operator-webhook]
    #[arg(long, value_name = "NAME", env = "RELAY_OPERATOR_CERTIFICATE_SECRET_NAME")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) certificate_secret_name: Given<String>,

    /// The Service of the webhook, which the certificate is for [default: relay-operator-webhook]
    #[arg(long, value_name = "NAME", env = "RELAY_OPERATOR_SERVICE_NAME")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) service_name: Given<String>,

    /// The configuration of the webhook, which is told the CA [default: relay-operator]
    #[arg(long, value_name = "NAME", env = "RELAY_OPERATOR_MUTATING_WEBHOOK_CONFIGURATION_NAME")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) mutating_webhook_configuration_name: Given<String>,

    /// Labels of the nodes that pods go to, or `none`
    /// [default: nebula.puppet.com/scheduling.customer-ready=true]
    #[arg(long, value_name = "LABEL=VALUE,…", env = "RELAY_OPERATOR_POD_NODE_SELECTOR")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) pod_node_selector: Given<NodeSelector>,

    /// Taints that pods tolerate, and no others; `none` leaves those of the pod [default:
    /// nebula.puppet.com/scheduling.customer-workload=true:NoSchedule,sandbox.gke.io/runtime=gvisor:NoSchedule]
    #[arg(long, value_name = "KEY[=VALUE][:EFFECT],…", env = "RELAY_OPERATOR_POD_TOLERATIONS")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) pod_tolerations: Given<Tolerations>,

    /// Where pods have name servers from: `None` (those listed and no others), `ClusterFirst`,
    /// `Default` (the node), or `keep` [default: None]
    #[arg(long, value_name = "POLICY", env = "RELAY_OPERATOR_POD_DNS_POLICY")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) pod_dns_policy: Given<PodDnsPolicy>,

    /// Name servers of pods [default: 1.1.1.1,1.0.0.1,8.8.8.8 with the policy None]
    #[arg(long, value_name = "ADDRESS,…", env = "RELAY_OPERATOR_POD_NAMESERVERS")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) pod_nameservers: Given<Nameservers>,

    /// Domains in which pods look for names
    #[arg(long, value_name = "DOMAIN,…", env = "RELAY_OPERATOR_POD_DNS_SEARCHES")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) pod_dns_searches: Given<String>,

    /// Run pods with a runtime class of their own
    #[arg(long, env = "RELAY_OPERATOR_TENANT_SANDBOXING")]
    #[arg(num_args = 0..=1, default_missing_value = "true", default_value = "", hide_default_value = true)]
    pub(crate) tenant_sandboxing: Given<bool>,

    /// That class [default: runsc]
    #[arg(long, value_name = "NAME", env = "RELAY_OPERATOR_TENANT_SANDBOX_RUNTIME_CLASS_NAME")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) tenant_sandbox_runtime_class_name: Given<String>,
}

impl AdmissionOptions {
    pub(crate) fn is_on(&self) -> bool {
        self.admission.0.unwrap_or(self.webhook_server_key_dir.0.is_some())
    }

    pub(crate) fn names(&self, namespace: &str) -> Names {
        let name = |given: &Given<String>, default: &str| {
            given.0.clone().unwrap_or_else(|| default.to_owned())
        };
        Names {
            namespace: namespace.to_owned(),
            secret: name(&self.certificate_secret_name, "relay-operator-webhook"),
            service: name(&self.service_name, "relay-operator-webhook"),
            configuration: name(&self.mutating_webhook_configuration_name, "relay-operator"),
        }
    }

    /// What is done to pods; `is_standalone` decides what is not said.
    pub(crate) fn policy(&self, is_standalone: bool) -> Result<PodPolicy, Failure> {
        let mut policy = if is_standalone { PodPolicy::standalone() } else { PodPolicy::default() };
        if let Some(NodeSelector(labels)) = &self.pod_node_selector.0 {
            policy.node_selector.clone_from(labels);
        }
        if let Some(Tolerations(tolerations)) = &self.pod_tolerations.0 {
            policy.tolerations.clone_from(tolerations);
        }
        policy.dns = self.dns(policy.dns)?;
        if self.tenant_sandboxing.0 == Some(true) {
            let class = self.tenant_sandbox_runtime_class_name.0.as_deref();
            policy.runtime_class = Some(class.unwrap_or("runsc").to_owned());
        }
        Ok(policy)
    }

    fn dns(&self, default: Option<Dns>) -> Result<Option<Dns>, Failure> {
        let nameservers = self.pod_nameservers.0.as_ref().map(|given| given.0.clone());
        let searches: Option<Vec<String>> =
            self.pod_dns_searches.0.as_deref().map(|text| parts(text).map(str::to_owned).collect());
        let lists = nameservers.is_some() || searches.is_some();
        let policy = match self.pod_dns_policy.0 {
            Some(PodDnsPolicy::Keep) if lists => {
                return Err(Failure(
                    "name servers and search domains of pods need a --pod-dns-policy other than keep"
                        .to_owned(),
                ));
            }
            Some(PodDnsPolicy::Keep) => return Ok(None),
            None if !lists => return Ok(default),
            None | Some(PodDnsPolicy::None) => DnsPolicy::None,
            Some(PodDnsPolicy::ClusterFirst) => DnsPolicy::ClusterFirst,
            Some(PodDnsPolicy::Default) => DnsPolicy::Default,
        };
        let public = || match policy {
            DnsPolicy::None => Dns::default().nameservers().to_vec(),
            _ => Vec::new(),
        };
        Dns::new(policy, nameservers.unwrap_or_else(public), searches.unwrap_or_default())
            .map(Some)
            .map_err(|error| Failure(format!("pods cannot be told their name servers: {error}")))
    }
}

/// Labels of nodes.
#[derive(Clone, Debug)]
pub(crate) struct NodeSelector(BTreeMap<String, String>);

impl FromStr for NodeSelector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(BTreeMap::new()));
        }
        let label = |part: &str| {
            let split = part.split_once('=').filter(|(label, _)| !label.is_empty());
            let split = split.map(|(label, value)| (label.to_owned(), value.to_owned()));
            split.ok_or_else(|| format!("{part:?} is not LABEL=VALUE"))
        };
        parts(text).map(label).collect::<Result<_, _>>().map(Self)
    }
}

/// Tolerations, as `kubectl taint` writes taints; none to leave those of the pod.
#[derive(Clone, Debug)]
pub(crate) struct Tolerations(Option<Vec<Toleration>>);

impl FromStr for Tolerations {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        parts(text).map(toleration).collect::<Result<_, _>>().map(|all| Self(Some(all)))
    }
}

fn toleration(text: &str) -> Result<Toleration, String> {
    let (taint, effect) = match text.split_once(':') {
        None => (text, None),
        Some((taint, effect @ ("NoSchedule" | "PreferNoSchedule" | "NoExecute"))) => {
            (taint, Some(effect.to_owned()))
        }
        Some(_) => {
            return Err(format!(
                "the effect in {text:?} is not NoSchedule, PreferNoSchedule or NoExecute"
            ));
        }
    };
    let (key, value) = match taint.split_once('=') {
        None => (taint, None),
        Some((key, value)) => (key, Some(value.to_owned())),
    };
    if key.is_empty() {
        return Err(format!("{text:?} names no taint"));
    }
    let operator = value.is_none().then(|| "Exists".to_owned());
    Ok(Toleration { key: Some(key.to_owned()), value, effect, operator, toleration_seconds: None })
}

/// Addresses of name servers.
#[derive(Clone, Debug)]
pub(crate) struct Nameservers(Vec<IpAddr>);

impl FromStr for Nameservers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address =
            |part: &str| part.parse().map_err(|_| format!("{part:?} is not an IP address"));
        parts(text).map(address).collect::<Result<_, _>>().map(Self)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum PodDnsPolicy {
    None,
    ClusterFirst,
    Default,
    Keep,
}

impl FromStr for PodDnsPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "None" => Ok(Self::None),
            "ClusterFirst" => Ok(Self::ClusterFirst),
            "Default" => Ok(Self::Default),
            "keep" => Ok(Self::Keep),
            _ => Err("the DNS policy of pods is None, ClusterFirst, Default or keep".to_owned()),
        }
    }
}

/// What stands between commas.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}
