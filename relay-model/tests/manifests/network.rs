//! Whom the programs of an installation may call.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyPeer, NetworkPolicyPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

fn read<K: serde::de::DeserializeOwned>(file: &str) -> K {
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests");
    let text = std::fs::read_to_string(manifests.join(file)).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

/// What somebody calls: an address, or a pod by its namespace and its labels.
#[derive(Clone, Copy, Debug)]
enum Callee {
    Address(&'static str),
    Pod(&'static str, &'static [(&'static str, &'static str)]),
}

fn holds(block: &str, address: IpAddr) -> bool {
    let (network, length) = block.split_once('/').unwrap();
    let length: u32 = length.parse().unwrap();
    match (network.parse().unwrap(), address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let shift = 32 - length;
            u64::from(network.to_bits()) >> shift == u64::from(address.to_bits()) >> shift
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let shift = 128 - length;
            shift == 128 || network.to_bits() >> shift == address.to_bits() >> shift
        }
        _ => false,
    }
}

fn selects(selector: Option<&LabelSelector>, labels: &[(&str, &str)]) -> bool {
    let Some(selector) = selector else { return true };
    assert!(selector.match_expressions.is_none(), "not understood here");
    let wanted = selector.match_labels.iter().flatten();
    let labels: BTreeMap<_, _> = labels.iter().copied().collect();
    wanted.into_iter().all(|(key, value)| labels.get(key.as_str()) == Some(&value.as_str()))
}

fn is_peer(peer: &NetworkPolicyPeer, callee: Callee) -> bool {
    match (callee, &peer.ip_block) {
        (Callee::Address(address), Some(IPBlock { cidr, except })) => {
            let address = address.parse().unwrap();
            let except = except.iter().flatten();
            holds(cidr, address) && !except.into_iter().any(|block| holds(block, address))
        }
        (Callee::Pod(namespace, labels), None) => {
            let namespace = [("kubernetes.io/metadata.name", namespace)];
            peer.namespace_selector.is_some()
                && selects(peer.namespace_selector.as_ref(), &namespace)
                && selects(peer.pod_selector.as_ref(), labels)
        }
        _ => false,
    }
}

fn is_port(port: &NetworkPolicyPort, protocol: &str, number: i32) -> bool {
    port.protocol.as_deref() == Some(protocol) && port.port == Some(IntOrString::Int(number))
}

fn allows(rule: &NetworkPolicyEgressRule, callee: Callee, protocol: &str, port: i32) -> bool {
    let peers = rule.to.as_deref().unwrap_or_default();
    let ports = rule.ports.as_deref().unwrap_or_default();
    (peers.is_empty() || peers.iter().any(|peer| is_peer(peer, callee)))
        && (ports.is_empty() || ports.iter().any(|entry| is_port(entry, protocol, port)))
}

#[test]
fn what_the_programs_may_call() {
    use Callee::{Address, Pod};
    let dns = Pod("kube-system", &[("k8s-app", "kube-dns")]);
    let sink = Pod("acme", &[("relay.sh/reachable", "true"), ("app", "sink")]);
    let other = Pod("acme", &[("app", "sink")]);
    let (both, neither) = (true, false);
    for (what, callee, protocol, port, allowed) in [
        ("names", dns, "UDP", 53, both),
        ("long names", dns, "TCP", 53, both),
        ("names from the node", Address("169.254.20.10"), "UDP", 53, both),
        ("names from elsewhere", Address("8.8.8.8"), "UDP", 53, neither),
        ("the API server's Service", Address("10.96.0.1"), "TCP", 443, both),
        ("the API server", Address("192.168.1.10"), "TCP", 6443, both),
        ("the API server by IPv6", Address("fd00::1"), "TCP", 6443, both),
        ("a registry", Address("140.82.121.33"), "TCP", 443, both),
        ("a registry by IPv6", Address("2606:50c0::1"), "TCP", 443, both),
        ("by plain HTTP", Address("140.82.121.33"), "TCP", 80, neither),
        ("what clouds tell machines", Address("169.254.169.254"), "TCP", 80, neither),
        ("the same by HTTPS", Address("169.254.169.254"), "TCP", 443, neither),
        ("the same by IPv6", Address("fe80::a9fe:a9fe"), "TCP", 443, neither),
        ("a kubelet", Address("192.168.1.10"), "TCP", 10250, neither),
        ("etcd", Address("192.168.1.10"), "TCP", 2379, neither),
        ("a pod", other, "TCP", 8080, neither),
        ("a sink in the cluster", sink, "TCP", 8080, both),
        ("Vault in the cluster", sink, "TCP", 8200, both),
    ] {
        for program in ["operator", "metadata-api"] {
            let policy: NetworkPolicy = read(&format!("{program}/network-policy.yaml"));
            let spec = policy.spec.unwrap();
            assert_eq!(spec.policy_types.unwrap(), ["Ingress", "Egress"], "{program}");
            let rules = spec.egress.unwrap();
            let found = rules.iter().any(|rule| allows(rule, callee, protocol, port));
            assert_eq!(found, allowed, "{program}: {what}");
        }
    }
}

#[test]
fn each_policy_is_of_the_pods_of_its_program_and_open_on_their_ports() {
    for program in ["operator", "metadata-api"] {
        let policy: NetworkPolicy = read(&format!("{program}/network-policy.yaml"));
        let deployment: Value = read(&format!("{program}/deployment.yaml"));
        let spec = policy.spec.unwrap();
        let template = &deployment["spec"]["template"];
        let labels = template["metadata"]["labels"].as_object().unwrap();
        let labels: Vec<_> =
            labels.iter().map(|(k, v)| (k.as_str(), v.as_str().unwrap())).collect();
        assert!(selects(spec.pod_selector.as_ref(), &labels), "{program}");
        assert!(!selects(spec.pod_selector.as_ref(), &[]), "{program}: not all pods");
        for port in template["spec"]["containers"][0]["ports"].as_array().unwrap() {
            let number = i32::try_from(port["containerPort"].as_i64().unwrap()).unwrap();
            let mut open =
                spec.ingress.iter().flatten().flat_map(|rule| rule.ports.iter().flatten());
            assert!(open.any(|entry| is_port(entry, "TCP", number)), "{program}: {number}");
        }
    }
}
