//! What pods become.

use std::collections::BTreeMap;

use json_patch::Patch;
use k8s_openapi::api::core::v1::{Pod, Toleration};
use proptest::prelude::*;
use relay_reconcile::admission::{Dns, DnsError, DnsPolicy, PodPolicy};
use serde_json::{Value, json};

fn patch(pod: &Value, policy: &PodPolicy) -> Patch {
    let pod: Pod = serde_json::from_value(pod.clone()).unwrap();
    policy.enforce(&pod).unwrap()
}

/// The pod after the API server has applied the patch; a second look finds nothing to do.
fn admit(mut pod: Value, policy: &PodPolicy) -> Value {
    let changes = patch(&pod, policy);
    json_patch::patch(&mut pod, &changes).unwrap();
    assert_eq!(patch(&pod, policy), Patch::default(), "{pod:#}");
    pod
}

fn pod(spec: &Value) -> Value {
    let mut pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}});
    json_patch::merge(&mut pod, &json!({ "spec": spec }));
    pod
}

/// A pod as the API server shows it to a webhook: with defaults, and the token of its account.
fn usual() -> Value {
    let mount = |path: &str, name: &str| json!({"mountPath": path, "name": name});
    let token = mount("/var/run/secrets/kubernetes.io/serviceaccount", "kube-api-access-x2k4d");
    pod(&json!({
        "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "serviceAccountName": "default",
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [
            {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"},
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
            {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
        ],
        "initContainers": [{"name": "prepare", "volumeMounts": [token]}],
        "containers": [
            {"name": "step", "volumeMounts": [mount("/data", "data"), token, mount("/more", "data")]},
            {"name": "bare"},
        ],
        "volumes": [
            {"name": "data", "emptyDir": {}},
            {"name": "kube-api-access-x2k4d", "projected": {"sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt"}},
            ]}},
        ],
    }))
}

#[test]
fn a_usual_pod() {
    insta::assert_json_snapshot!("usual", patch(&usual(), &PodPolicy::default()));
    let spec = &admit(usual(), &PodPolicy::default())["spec"];
    assert_eq!(spec["volumes"], json!([{"name": "data", "emptyDir": {}}]));
    let mounts =
        json!([{"mountPath": "/data", "name": "data"}, {"mountPath": "/more", "name": "data"}]);
    assert_eq!(spec["containers"][0]["volumeMounts"], mounts);
}

#[test]
fn a_usual_pod_in_a_sandbox() {
    let policy = PodPolicy { runtime_class: Some("runsc".to_owned()), ..PodPolicy::standalone() };
    insta::assert_json_snapshot!("sandbox", patch(&usual(), &policy));
}

#[test]
fn each_part_of_the_policy() {
    let standalone = PodPolicy::standalone;
    let own_token = json!({"automountServiceAccountToken": false});
    let labels = |labels: &[(&str, &str)]| -> BTreeMap<String, String> {
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let of = |key: &str| Toleration { key: Some(key.to_owned()), ..Toleration::default() };
    let dns = |policy, servers: &[&str], searches: &[&str]| {
        let servers = servers.iter().map(|server| server.parse().unwrap()).collect();
        let searches = searches.iter().map(|&search| search.to_owned()).collect();
        Some(Dns::new(policy, servers, searches).unwrap())
    };
    for (name, policy, before, after) in [
        ("standalone", standalone(), json!({}), json!({})),
        (
            "standalone leaves what the pod says",
            standalone(),
            json!({"nodeSelector": {"a": "b"}, "tolerations": [{"operator": "Exists"}], "dnsPolicy": "Default"}),
            json!({"nodeSelector": {"a": "b"}, "tolerations": [{"operator": "Exists"}], "dnsPolicy": "Default"}),
        ),
        (
            "labels beside others",
            PodPolicy { node_selector: labels(&[("a/b~c", "1"), ("d", "2")]), ..standalone() },
            json!({"nodeSelector": {"d": "other", "e": "3"}}),
            json!({"nodeSelector": {"a/b~c": "1", "d": "2", "e": "3"}}),
        ),
        (
            "no tolerations at all",
            PodPolicy { tolerations: Some(vec![]), ..standalone() },
            json!({"tolerations": [{"key": "a"}]}),
            json!({"tolerations": []}),
        ),
        (
            "tolerations that are there",
            PodPolicy { tolerations: Some(vec![of("a"), of("b")]), ..standalone() },
            json!({"tolerations": [{"key": "b", "operator": "Equal"}, {"key": "a"}]}),
            json!({"tolerations": [{"key": "b", "operator": "Equal"}, {"key": "a"}]}),
        ),
        (
            "one toleration too many",
            PodPolicy { tolerations: Some(vec![of("a")]), ..standalone() },
            json!({"tolerations": [{"key": "a"}, {"key": "a", "operator": "Exists"}]}),
            json!({"tolerations": [{"key": "a"}]}),
        ),
        (
            "name servers of one's own",
            PodPolicy {
                dns: dns(DnsPolicy::None, &["fd00::1"], &["example.test"]),
                ..standalone()
            },
            json!({"dnsPolicy": "ClusterFirst", "dnsConfig": {"options": [{"name": "ndots"}]}}),
            json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["fd00::1"], "searches": ["example.test"]}}),
        ),
        (
            "the name servers of the node",
            PodPolicy { dns: dns(DnsPolicy::Default, &[], &[]), ..standalone() },
            json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["10.0.0.1"]}}),
            json!({"dnsPolicy": "Default"}),
        ),
        (
            "another runtime class, with its overhead",
            PodPolicy { runtime_class: Some("runsc".to_owned()), ..standalone() },
            json!({"runtimeClassName": "kata", "overhead": {"cpu": "1"}}),
            json!({"runtimeClassName": "runsc"}),
        ),
        (
            "the runtime class that is wanted, with its overhead",
            PodPolicy { runtime_class: Some("runsc".to_owned()), ..standalone() },
            json!({"runtimeClassName": "runsc", "overhead": {"cpu": "1"}}),
            json!({"runtimeClassName": "runsc", "overhead": {"cpu": "1"}}),
        ),
    ] {
        let mut wanted = pod(&after);
        json_patch::merge(&mut wanted, &json!({ "spec": own_token }));
        assert_eq!(admit(pod(&before), &policy), wanted, "{name}");
    }
}

#[test]
fn which_tokens_are_taken() {
    const PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
    let token = json!({"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}});
    let secret = json!({"secret": {"secretName": "default-token-2xk4d"}});
    let ca = json!({"projected": {"sources": [{"configMap": {"name": "ca"}}]}});
    for (name, volume, mounts, left) in [
        ("the account's", &token, &[PATH][..], &[][..]),
        ("with a slash at the end", &token, &[&format!("{PATH}/")], &[]),
        ("mounted twice", &token, &[PATH, "/vault", &format!("{PATH}/")], &["/vault"]),
        ("of an old cluster", &secret, &[PATH], &[]),
        ("one that is asked for", &token, &["/vault"], &["/vault"]),
        ("one that is both", &token, &[PATH, "/vault"], &["/vault"]),
        ("no token", &ca, &[PATH], &[PATH]),
        ("nothing in its place", &json!({"emptyDir": {}}), &[PATH], &[PATH]),
    ] {
        let mut volume = volume.clone();
        volume["name"] = "v".into();
        let mount = |path: &&str| json!({"name": "v", "mountPath": path});
        let before = pod(&json!({
            "volumes": [volume],
            "containers": [{"name": "c", "volumeMounts": mounts.iter().map(mount).collect::<Vec<_>>()}],
        }));
        let after = admit(before, &PodPolicy::standalone());
        let paths = after["spec"]["containers"][0]["volumeMounts"].as_array().unwrap().iter();
        let paths: Vec<_> = paths.map(|mount| mount["mountPath"].as_str().unwrap()).collect();
        assert_eq!(paths, left, "{name}");
        let volumes = after["spec"]["volumes"].as_array().unwrap().len();
        assert_eq!(volumes, usize::from(!left.is_empty()), "{name}");
        assert_eq!(after["spec"]["automountServiceAccountToken"], false, "{name}");
    }
}

#[test]
fn what_is_refused() {
    let privileged = json!({"name": "c", "securityContext": {"privileged": true}});
    let confined = json!({"name": "c", "securityContext": {"privileged": false}});
    for (name, spec, refused) in [
        ("the host's network", json!({"hostNetwork": true}), "hostNetwork"),
        ("its processes", json!({"hostPID": true}), "hostPID"),
        ("its memory", json!({"hostIPC": true}), "hostIPC"),
        ("a privileged container", json!({"containers": [privileged]}), "container \"c\""),
        ("one that comes first", json!({"initContainers": [privileged]}), "container \"c\""),
        ("nothing of it", json!({"hostNetwork": false, "containers": [confined]}), ""),
    ] {
        let pod: Pod = serde_json::from_value(pod(&spec)).unwrap();
        // No setting lets them in.
        for policy in [PodPolicy::default(), PodPolicy::standalone()] {
            let error = policy.enforce(&pod).err().map(|error| error.to_string());
            assert_eq!(error.is_some(), !refused.is_empty(), "{name}: {error:?}");
            assert!(error.unwrap_or_default().contains(refused), "{name}");
        }
    }
}

#[test]
fn a_refusal_is_short() {
    let privileged = json!({"name": "c".repeat(63), "securityContext": {"privileged": true}});
    let pod = pod(&json!({"containers": vec![privileged; 1_000]}));
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let error = PodPolicy::default().enforce(&pod).unwrap_err().to_string();
    assert!(error.len() < 1_000, "{error}");
}

#[test]
fn dns_that_kubernetes_would_refuse() {
    let servers = |count| vec!["10.0.0.1".parse().unwrap(); count];
    let searches = |count| vec!["example.test".to_owned(); count];
    for (policy, nameservers, domains, error) in [
        (DnsPolicy::None, 0, 0, Some(DnsError::NoNameserver)),
        (DnsPolicy::None, 1, 32, None),
        (DnsPolicy::Default, 0, 0, None),
        (DnsPolicy::ClusterFirst, 4, 0, Some(DnsError::TooManyNameservers)),
        (DnsPolicy::ClusterFirst, 3, 33, Some(DnsError::TooManySearches)),
    ] {
        let made = Dns::new(policy, servers(nameservers), searches(domains));
        assert_eq!(made.err(), error, "{policy:?} {nameservers} {domains}");
    }
}

fn any_policy() -> impl Strategy<Value = PodPolicy> {
    let parts = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    parts.prop_map(|(nodes, taints, dns, of_cluster, sandbox)| {
        let full = PodPolicy::default();
        let none = PodPolicy::standalone();
        let cluster = Dns::new(DnsPolicy::ClusterFirst, vec![], vec![]).ok();
        PodPolicy {
            node_selector: if nodes { full.node_selector } else { none.node_selector },
            tolerations: full.tolerations.filter(|_| taints),
            dns: if of_cluster { cluster } else { full.dns }.filter(|_| dns),
            runtime_class: sandbox.then(|| "runsc".to_owned()),
        }
    })
}

/// Pods with a chance of everything that is looked at.
fn any_pod() -> impl Strategy<Value = Value> {
    const PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
    let maybe = |values: Vec<Value>| prop::option::of(prop::sample::select(values));
    let labels = maybe(vec![
        json!({}),
        json!({"a": "b"}),
        json!({"nebula.puppet.com/scheduling.customer-ready": "false"}),
    ]);
    let toleration = prop::sample::select(vec![
        json!({"operator": "Exists"}),
        json!({"key": "sandbox.gke.io/runtime", "operator": "Equal", "value": "gvisor", "effect": "NoSchedule"}),
        json!({"key": "nebula.puppet.com/scheduling.customer-workload", "value": "true", "effect": "NoSchedule"}),
        json!({"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}),
    ]);
    let tolerations = prop::option::of(prop::collection::vec(toleration, 0..5));
    let dns = maybe(vec!["None".into(), "ClusterFirst".into()]);
    let dns_config =
        maybe(vec![json!({}), json!({"nameservers": ["1.1.1.1", "1.0.0.1", "8.8.8.8"]})]);
    let class = maybe(vec!["runsc".into(), "kata".into()]);
    let token = maybe(vec![true.into(), false.into()]);
    let mount =
        (prop::sample::select(vec!["a", "b"]), prop::sample::select(vec![PATH, "/x", "/y"]));
    let mount = mount.prop_map(|(name, path)| json!({"name": name, "mountPath": path}));
    let container = prop::option::of(prop::collection::vec(mount, 0..4))
        .prop_map(|mounts| json!({"name": "c", "volumeMounts": mounts}));
    let containers = prop::collection::vec(container, 0..3);
    let volume = prop::sample::select(vec![
        json!({"name": "a", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}),
        json!({"name": "b", "secret": {"secretName": "s"}}),
        json!({"name": "c", "emptyDir": {}}),
    ]);
    let volumes = prop::option::of(prop::collection::vec(volume, 0..3));
    (labels, tolerations, dns, dns_config, class, token, containers, volumes).prop_map(
        |(labels, tolerations, dns, dns_config, class, token, containers, volumes)| {
            json!({"spec": {
                "nodeSelector": labels, "tolerations": tolerations, "dnsPolicy": dns,
                "dnsConfig": dns_config, "runtimeClassName": class,
                "automountServiceAccountToken": token, "overhead": {"cpu": "1"},
                "initContainers": containers, "containers": containers, "volumes": volumes,
            }})
        },
    )
}

proptest! {
    #[test]
    fn what_has_been_enforced_once_is_left_alone(pod in any_pod(), policy in any_policy()) {
        admit(pod, &policy);
    }
}

#[test]
fn what_the_api_server_adds_before_it_asks_again_is_left_alone() {
    let mut pod = admit(usual(), &PodPolicy::default());
    let tolerations = pod["spec"]["tolerations"].as_array_mut().unwrap();
    tolerations.retain(|toleration| !toleration["key"].as_str().unwrap().starts_with("node."));
    for condition in ["not-ready", "unreachable"] {
        tolerations.push(json!({
            "key": format!("node.kubernetes.io/{condition}"), "operator": "Exists",
            "effect": "NoExecute", "tolerationSeconds": 300,
        }));
    }
    assert_eq!(patch(&pod, &PodPolicy::default()), Patch::default());
}
