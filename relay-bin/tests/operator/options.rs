//! Options, without any API server.

use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::process::Output;

use serde_json::json;

use crate::process::{Operator, command};

fn ends(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    command().args(arguments).envs(variables.iter().copied()).output().unwrap()
}

#[test]
fn help_lists_every_option_and_its_variable() {
    let output = ends(&["--help"], &[]);
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for option in [
        "environment",
        "kubeconfig",
        "kube-namespace",
        "namespace",
        "num-workers",
        "kube-calls-per-second",
        "metadata-api-url",
        "metadata-api-ca-file",
        "runtime-tools-image",
        "timeout",
        "step-timeout",
        "approval-timeout",
        "jwt-signing-key-file",
        "listen-port",
        "standalone",
        "admission",
        "webhook-server-port",
        "webhook-server-key-dir",
        "certificate-secret-name",
        "service-name",
        "mutating-webhook-configuration-name",
        "pod-node-selector",
        "pod-tolerations",
        "pod-dns-policy",
        "pod-nameservers",
        "pod-dns-searches",
        "tenant-sandboxing",
        "tenant-sandbox-runtime-class-name",
        "debug",
        "log-format",
        "metadata-api-namespace",
        "metadata-api-labels",
        "metadata-api-port",
        "image-pull-secret",
        "plain-registry",
    ] {
        let variable = format!("RELAY_OPERATOR_{}", option.replace('-', "_").to_uppercase());
        assert!(help.contains(&format!("--{option}")), "{option}");
        assert!(help.contains(&variable), "{variable}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_starts() {
    for (arguments, variables, hint) in [
        (&["--timeout", "soon"][..], &[][..], "--timeout"),
        (&["--step-timeout", "0s"], &[], "more than nothing"),
        (&["--num-workers=-1"], &[], "--num-workers"),
        (&["--storage-addr", "file:///x"], &[], "--storage-addr"),
        (&["--webhook-server-port", "70000"], &[], "--webhook-server-port"),
        (&["--pod-node-selector", "a"], &[], "not LABEL=VALUE"),
        (&["--pod-tolerations", "a:Never"], &[], "NoExecute"),
        (&["--pod-tolerations", "=b"], &[], "names no taint"),
        (&["--pod-nameservers", "dns.example.test"], &[], "not an IP address"),
        (&["--pod-dns-policy", "none"], &[], "ClusterFirst, Default or keep"),
        (&["--metadata-api-labels", "app"], &[], "NAME=VALUE"),
        (&["--image-pull-secret", "a,,b"], &[], "a comma too many"),
        (&[], &[("RELAY_OPERATOR_LOG_FORMAT", "xml")], "text or json"),
    ] {
        let output = ends(arguments, variables);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(error.contains(hint), "{arguments:?}: {error}");
    }
}

#[test]
fn an_api_server_that_is_not_named_is_a_failure_that_says_what_to_do() {
    // An empty variable counts as none.
    let output = ends(&[], &[("RELAY_OPERATOR_KUBECONFIG", ""), ("RELAY_OPERATOR_TIMEOUT", "")]);
    let log = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("set KUBECONFIG or --kubeconfig"), "{log}");
    let output = ends(&["--kubeconfig", "/none", "--log-format", "text"], &[]);
    let log = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("/none"), "{log}");
}

#[test]
fn an_authority_of_the_metadata_api_that_cannot_be_used() {
    let files = tempfile::tempdir().unwrap();
    let (empty, large) = (files.path().join("empty"), files.path().join("large"));
    std::fs::write(&empty, "nothing").unwrap();
    let one = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(&large, one.repeat(1000)).unwrap();
    for (file, hint) in [
        ("/none".as_ref(), "cannot be read"),
        (empty.as_path(), "holds no PEM of certificates"),
        (large.as_path(), "more than 16 KiB"),
    ] {
        let file = file.to_str().unwrap();
        let output = ends(&[], &[("RELAY_OPERATOR_METADATA_API_CA_FILE", file)]);
        let log = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{log}");
        assert!(log.contains(hint) && log.contains(file), "{log}");
    }
}

#[test]
fn its_health_is_asked_for_by_both_families_of_addresses() {
    let files = tempfile::TempDir::new().unwrap();
    let kubeconfig = files.path().join("kubeconfig");
    let nobody = json!({
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    });
    std::fs::write(&kubeconfig, nobody.to_string()).unwrap();
    let operator = Operator::start(&kubeconfig, &[]);
    assert_eq!(operator.get("/healthz").as_deref(), Some("ok\n"));
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        TcpStream::connect((Ipv6Addr::LOCALHOST, operator.health_port())).unwrap();
    }
}
