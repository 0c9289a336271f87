//! What pods of tenants are made to be.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use k8s_openapi::api::core::v1::{PodDNSConfig, Toleration};

/// What is done to pods of tenants. [`PodPolicy::enforce`] says what is refused and taken away
/// besides, which no setting changes.
///
/// The default is that of an installation that keeps nodes of their own for tenants
/// (`operator.md` §14): pods go to nodes with its label, are let onto nodes with its taint and onto
/// sandboxed nodes, and ask public name servers only. With these they do not find names of the
/// cluster, so the metadata API needs an address or a public name.
#[derive(Clone, Debug, PartialEq)]
pub struct PodPolicy {
    /// Labels that a pod's node must have, beside those that the pod itself names.
    pub node_selector: BTreeMap<String, String>,
    /// The taints that pods tolerate, in the place of those that they name themselves; none to leave
    /// these as they are.
    pub tolerations: Option<Vec<Toleration>>,
    /// How pods find names; none to leave that as it is.
    pub dns: Option<Dns>,
    /// The runtime class that pods run with, such as one of a sandbox; none to leave that as it is.
    pub runtime_class: Option<String>,
}

/// How pods find names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    policy: DnsPolicy,
    nameservers: Vec<IpAddr>,
    searches: Vec<String>,
}

/// Where name servers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsPolicy {
    /// The cluster.
    ClusterFirst,
    /// The node.
    Default,
    /// What is listed, and nothing else.
    None,
}

/// Why Kubernetes would take no pod with such a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DnsError {
    /// Nobody would be asked.
    #[error("the DNS policy None needs a name server")]
    NoNameserver,
    /// More than three name servers.
    #[error("a pod has three name servers at most")]
    TooManyNameservers,
    /// More than 32 domains.
    #[error("a pod has 32 search domains at most")]
    TooManySearches,
}

impl Default for PodPolicy {
    fn default() -> Self {
        let nodes = ("nebula.puppet.com/scheduling.customer-ready", "true");
        let taints = [
            ("nebula.puppet.com/scheduling.customer-workload", "true"),
            ("sandbox.gke.io/runtime", "gvisor"),
        ];
        let tolerations = taints.map(|(key, value)| Toleration {
            key: Some(key.to_owned()),
            value: Some(value.to_owned()),
            effect: Some("NoSchedule".to_owned()),
            ..Toleration::default()
        });
        Self {
            node_selector: [(nodes.0.to_owned(), nodes.1.to_owned())].into(),
            tolerations: Some(tolerations.into()),
            dns: Some(Dns::default()),
            runtime_class: None,
        }
    }
}

impl PodPolicy {
    /// For a cluster without nodes of its own for tenants: scheduling and DNS stay as they are.
    #[must_use]
    pub fn standalone() -> Self {
        Self { node_selector: BTreeMap::new(), tolerations: None, dns: None, runtime_class: None }
    }
}

impl Default for Dns {
    /// Public name servers and no others.
    fn default() -> Self {
        let nameservers = [[1, 1, 1, 1], [1, 0, 0, 1], [8, 8, 8, 8]];
        Self {
            policy: DnsPolicy::None,
            nameservers: nameservers.map(|octets| Ipv4Addr::from(octets).into()).into(),
            searches: Vec::new(),
        }
    }
}

impl Dns {
    /// With these name servers and search domains beside those that the policy gives.
    ///
    /// # Errors
    ///
    /// When Kubernetes would refuse pods that have this.
    pub fn new(
        policy: DnsPolicy,
        nameservers: Vec<IpAddr>,
        searches: Vec<String>,
    ) -> Result<Self, DnsError> {
        if policy == DnsPolicy::None && nameservers.is_empty() {
            return Err(DnsError::NoNameserver);
        }
        if nameservers.len() > 3 {
            return Err(DnsError::TooManyNameservers);
        }
        if searches.len() > 32 {
            return Err(DnsError::TooManySearches);
        }
        Ok(Self { policy, nameservers, searches })
    }

    /// The listed name servers.
    #[must_use]
    pub fn nameservers(&self) -> &[IpAddr] {
        &self.nameservers
    }

    /// Whether pods find the names of the cluster's Services.
    #[must_use]
    pub fn knows_the_cluster(&self) -> bool {
        self.policy == DnsPolicy::ClusterFirst
    }

    pub(super) fn policy(&self) -> &'static str {
        match self.policy {
            DnsPolicy::ClusterFirst => "ClusterFirst",
            DnsPolicy::Default => "Default",
            DnsPolicy::None => "None",
        }
    }

    /// `dnsConfig` of a pod; none where nothing is listed.
    pub(super) fn config(&self) -> Option<PodDNSConfig> {
        let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
        let nameservers = some(self.nameservers.iter().map(ToString::to_string).collect());
        let searches = some(self.searches.clone());
        (nameservers.is_some() || searches.is_some()).then_some(PodDNSConfig {
            nameservers,
            searches,
            options: None,
        })
    }
}
