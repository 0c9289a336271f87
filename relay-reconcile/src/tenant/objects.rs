//! The objects that a tenant needs for its runs, from settings; pure (`operator.md` §5, §6.4, §19 and
//! `design.md` decisions 4 and 7).
//!
//! Fields that the API server would fill in are given, so that what is there can be compared.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    LimitRange, LimitRangeItem, LimitRangeSpec, LocalObjectReference, ServiceAccount,
};
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt as _;
use kube::api::ObjectMeta;
use relay_model::v1beta1::Tenant;
use relay_model::{annotation, name};

use super::policies::{Account, Limits, Network, Peer, Policies};
use crate::dependency::{DependencyOf, owned_by};

const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The account of the pods of a tenant's runs. It may do nothing.
pub(crate) fn step_account(tenant: &str) -> String {
    name::derived(tenant, "-untrusted")
}

/// What is made for a tenant.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Rights come first: they may be needed for the rest.
    pub(super) bindings: Vec<RoleBinding>,
    pub(super) account: ServiceAccount,
    pub(super) network: Vec<NetworkPolicy>,
    pub(super) limits: Option<LimitRange>,
}

/// What a tenant needs in the namespace of its runs, and in its own. Nothing in a namespace that was
/// not made for it touches pods other than those of runs.
pub(super) fn wanted(tenant: &Tenant, target: &str, policies: &Policies) -> Wanted {
    let own = tenant.namespace().unwrap_or_default();
    let managed = target != own;
    let at = |namespace: &str, suffix: &str| metadata(tenant, namespace, suffix);
    // In a namespace of its own a tenant's name is free.
    let exactly =
        |namespace: &str| ObjectMeta { name: tenant.metadata.name.clone(), ..at(namespace, "") };
    let operator = || policies.operator.iter();
    let mut bindings = Vec::new();
    if let Some(operator) = &policies.operator {
        let metadata = at(target, "-operator");
        bindings.push(binding(metadata, &policies.roles.operator, [operator]));
    }
    let metadata_api = at(target, "-metadata-api");
    bindings.push(binding(metadata_api, &policies.roles.metadata_api, [&policies.metadata_api]));
    let readers = operator().chain([&policies.metadata_api]);
    bindings.push(binding(at(&own, "-secrets"), &policies.roles.secrets, readers));
    let account = ServiceAccount {
        metadata: at(target, "-untrusted"),
        automount_service_account_token: Some(false),
        image_pull_secrets: (!policies.image_pull_secrets.is_empty()).then(|| {
            let names = policies.image_pull_secrets.iter().cloned();
            names.map(|name| LocalObjectReference { name }).collect()
        }),
        ..ServiceAccount::default()
    };
    let mut network = vec![runs_network(at(target, "-runs"), &policies.network)];
    if managed {
        let (ingress, egress) = everybody(&policies.network).unzip();
        network.push(NetworkPolicy {
            metadata: exactly(target),
            spec: Some(NetworkPolicySpec {
                pod_selector: Some(LabelSelector::default()),
                policy_types: Some(both_ways()),
                ingress,
                egress,
            }),
        });
    }
    let limits = policies.limits.as_ref().filter(|_| managed);
    let limits = limits.map(|limits| limit_range(exactly(target), limits));
    Wanted { bindings, account, network, limits }
}

/// What the namespace is labelled with where its template says nothing else.
pub(super) fn namespace_labels(policies: Option<&Policies>) -> BTreeMap<String, String> {
    let level = policies.and_then(|policies| policies.pod_security.clone());
    level
        .map(|level| ("pod-security.kubernetes.io/enforce".to_owned(), level))
        .into_iter()
        .collect()
}

fn metadata(tenant: &Tenant, namespace: &str, suffix: &str) -> ObjectMeta {
    let own = tenant.namespace();
    let link = (annotation::DEPENDENCY_OF.to_owned(), DependencyOf::new(tenant).to_json());
    ObjectMeta {
        name: Some(name::derived(&tenant.name_any(), suffix)),
        namespace: Some(namespace.to_owned()),
        labels: Some([(MANAGED_BY.to_owned(), "relay-operator".to_owned())].into()),
        annotations: Some([link].into()),
        // What is elsewhere goes with its namespace.
        owner_references: owned_by(tenant)
            .filter(|_| own.as_deref() == Some(namespace))
            .map(|owner| vec![owner]),
        ..ObjectMeta::default()
    }
}

fn binding<'a>(
    metadata: ObjectMeta,
    role: &str,
    accounts: impl IntoIterator<Item = &'a Account>,
) -> RoleBinding {
    let subject = |account: &Account| Subject {
        kind: "ServiceAccount".to_owned(),
        name: account.name.clone(),
        namespace: Some(account.namespace.clone()),
        ..Subject::default()
    };
    RoleBinding {
        metadata,
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "ClusterRole".to_owned(),
            name: role.to_owned(),
        },
        subjects: Some(accounts.into_iter().map(subject).collect()),
    }
}

fn both_ways() -> Vec<String> {
    vec!["Ingress".to_owned(), "Egress".to_owned()]
}

/// Rules for everybody, in an open network.
fn everybody(
    network: &Network,
) -> Option<(Vec<NetworkPolicyIngressRule>, Vec<NetworkPolicyEgressRule>)> {
    let open = *network == Network::Open;
    open.then(|| {
        (vec![NetworkPolicyIngressRule::default()], vec![NetworkPolicyEgressRule::default()])
    })
}

/// The policy of the pods of runs, and of no others.
fn runs_network(metadata: ObjectMeta, network: &Network) -> NetworkPolicy {
    let run = LabelSelectorRequirement {
        key: annotation::RUN_ID.to_owned(),
        operator: "Exists".to_owned(),
        values: None,
    };
    let (ingress, egress) = match network {
        Network::Open => everybody(network).unzip(),
        Network::Closed { private, metadata_api, dns } => {
            let public = ["0.0.0.0/0", "::/0"].map(|all| public(all, private));
            let peers = [metadata_api].into_iter().chain(dns).map(reachable);
            (None, Some(public.into_iter().chain(peers).collect()))
        }
    };
    NetworkPolicy {
        metadata,
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector {
                match_expressions: Some(vec![run]),
                match_labels: None,
            }),
            policy_types: Some(both_ways()),
            ingress,
            egress,
        }),
    }
}

/// All addresses of one family but for its private ones.
fn public(all: &str, private: &[String]) -> NetworkPolicyEgressRule {
    let family = |block: &str| block.contains(':');
    let except: Vec<_> =
        private.iter().filter(|block| family(block) == family(all)).cloned().collect();
    NetworkPolicyEgressRule {
        to: Some(vec![NetworkPolicyPeer {
            ip_block: Some(IPBlock {
                cidr: all.to_owned(),
                except: (!except.is_empty()).then_some(except),
            }),
            ..NetworkPolicyPeer::default()
        }]),
        ports: None,
    }
}

fn reachable(peer: &Peer) -> NetworkPolicyEgressRule {
    let labels = |labels: BTreeMap<String, String>| LabelSelector {
        match_labels: Some(labels),
        match_expressions: None,
    };
    let namespace = ("kubernetes.io/metadata.name".to_owned(), peer.namespace.clone());
    let port = |(protocol, port): &(&str, u16)| NetworkPolicyPort {
        port: Some(IntOrString::Int(i32::from(*port))),
        protocol: Some((*protocol).to_owned()),
        end_port: None,
    };
    NetworkPolicyEgressRule {
        to: Some(vec![NetworkPolicyPeer {
            pod_selector: Some(labels(peer.labels.iter().cloned().collect())),
            namespace_selector: Some(labels([namespace].into())),
            ip_block: None,
        }]),
        ports: Some(peer.ports.iter().map(port).collect()),
    }
}

fn limit_range(metadata: ObjectMeta, limits: &Limits) -> LimitRange {
    let quantities = |values: &[String; 3]| {
        let names = ["cpu", "memory", "ephemeral-storage"].map(str::to_owned);
        let values = values.iter().cloned().map(Quantity);
        Some(names.into_iter().zip(values).collect::<BTreeMap<_, _>>())
    };
    LimitRange {
        metadata,
        spec: Some(LimitRangeSpec {
            limits: vec![LimitRangeItem {
                type_: "Container".to_owned(),
                default: quantities(&limits.default),
                default_request: quantities(&limits.default_request),
                max: quantities(&limits.max),
                ..LimitRangeItem::default()
            }],
        }),
    }
}
