//! Options of the webhook, and what it answers over HTTP.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use clap::Parser as _;
use relay_reconcile::admission::PodPolicy;
use relay_reconcile::telemetry::Metrics;
use relay_reconcile::tenant::Network;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::finds;
use super::server::{MAX_TIME, router};
use crate::options::Options;

fn options(arguments: &[&str]) -> Options {
    Options::try_parse_from(["relay-operator"].iter().chain(arguments)).unwrap()
}

fn policy(arguments: &[&str]) -> Result<PodPolicy, String> {
    let options = options(arguments);
    options.admission.policy(options.is_standalone()).map_err(|failure| failure.to_string())
}

#[test]
fn when_the_webhook_is_served() {
    for (arguments, is_on) in [
        (&[][..], false),
        (&["--admission"], true),
        (&["--admission=false"], false),
        (&["--webhook-server-key-dir", "/keys"], true),
        (&["--webhook-server-key-dir", "/keys", "--admission=false"], false),
        (&["--standalone", "--webhook-server-port", "8443"], false),
    ] {
        assert_eq!(options(arguments).admission.is_on(), is_on, "{arguments:?}");
    }
}

#[test]
fn what_options_make_of_pods() {
    let labels = |policy: &PodPolicy| -> Vec<String> {
        policy.node_selector.iter().map(|(key, value)| format!("{key}={value}")).collect()
    };
    assert_eq!(policy(&[]), Ok(PodPolicy::default()));
    assert_eq!(policy(&["--standalone"]), Ok(PodPolicy::standalone()));

    let chosen = policy(&["--pod-node-selector", "a=b, example.test/c="]).unwrap();
    assert_eq!(labels(&chosen), ["a=b", "example.test/c="]);
    assert_eq!(labels(&policy(&["--pod-node-selector", "none"]).unwrap()), [""; 0]);

    let chosen = policy(&["--standalone", "--pod-tolerations", "a=b:NoSchedule,c,d:NoExecute"]);
    let tolerations = serde_json::to_value(chosen.unwrap().tolerations).unwrap();
    let wanted = json!([
        {"key": "a", "value": "b", "effect": "NoSchedule"},
        {"key": "c", "operator": "Exists"},
        {"key": "d", "operator": "Exists", "effect": "NoExecute"},
    ]);
    assert_eq!(tolerations, wanted);
    assert_eq!(policy(&["--pod-tolerations", "none"]).unwrap().tolerations, None);

    let class = |arguments: &[&str]| policy(arguments).unwrap().runtime_class;
    assert_eq!(class(&["--standalone", "--tenant-sandboxing"]).as_deref(), Some("runsc"));
    assert_eq!(class(&["--tenant-sandbox-runtime-class-name", "kata"]), None);
    let kata = ["--tenant-sandboxing", "--tenant-sandbox-runtime-class-name", "kata"];
    assert_eq!(class(&kata).as_deref(), Some("kata"));
}

#[test]
fn network_policies_are_open_in_a_cluster_of_one_s_own() {
    let network = |arguments: &[&str]| {
        crate::settings(&options(arguments), "relay-system").policies.unwrap().network
    };
    assert_eq!(network(&["--standalone"]), Network::Open);
    assert!(matches!(network(&[]), Network::Closed { .. }));
}

#[test]
fn which_name_servers_pods_get() {
    let servers = |arguments: &[&str]| {
        policy(arguments).map(|policy| {
            let dns = policy.dns?;
            let servers: Vec<_> = dns.nameservers().iter().map(ToString::to_string).collect();
            Some((dns.knows_the_cluster(), servers.join(" ")))
        })
    };
    let found = |of_cluster, servers: &str| Ok(Some((of_cluster, servers.to_owned())));
    for (arguments, wanted) in [
        (&[][..], found(false, "1.1.1.1 1.0.0.1 8.8.8.8")),
        (&["--standalone"], Ok(None)),
        (&["--pod-dns-policy", "keep"], Ok(None)),
        (&["--pod-dns-policy", "ClusterFirst"], found(true, "")),
        (&["--pod-dns-policy", "Default"], found(false, "")),
        (&["--pod-nameservers", "9.9.9.9,fd00::1"], found(false, "9.9.9.9 fd00::1")),
        (&["--standalone", "--pod-nameservers", "9.9.9.9"], found(false, "9.9.9.9")),
        (
            &["--pod-dns-policy", "ClusterFirst", "--pod-dns-searches", "example.test"],
            found(true, ""),
        ),
    ] {
        assert_eq!(servers(arguments), wanted, "{arguments:?}");
    }
    for (arguments, hint) in [
        (&["--pod-dns-policy", "keep", "--pod-nameservers", "9.9.9.9"][..], "other than keep"),
        (&["--pod-nameservers", ","], "needs a name server"),
        (&["--pod-nameservers", "1.1.1.1,1.1.1.2,1.1.1.3,1.1.1.4"], "three name servers"),
    ] {
        let error = servers(arguments).unwrap_err();
        assert!(error.contains(hint), "{arguments:?}: {error}");
    }
}

#[test]
fn whether_pods_find_the_metadata_api() {
    for (arguments, url, found) in [
        (&[][..], "http://relay-metadata-api.relay-system.svc.cluster.local", false),
        (&[], "http://relay-metadata-api.relay-system.svc:7000/", false),
        (&[], "http://metadata-api", false),
        (&[], "http://10.0.0.1:7000", true),
        (&[], "http://[fd00::1]/", true),
        (&[], "https://metadata.example.test/x.svc", true),
        (&["--standalone"], "http://relay-metadata-api.relay-system.svc.cluster.local", true),
        (&["--pod-dns-policy", "ClusterFirst"], "http://m.relay-system.svc", true),
    ] {
        let policy = policy(arguments).unwrap();
        assert_eq!(finds(&policy, url), found, "{arguments:?} {url}");
    }
}

async fn ask(metrics: &Metrics, request: Request<Body>) -> (StatusCode, String) {
    let router = router(PodPolicy::standalone(), metrics.clone(), MAX_TIME);
    let answer = router.oneshot(request).await.unwrap();
    let status = answer.status();
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn question(spec: &Value) -> Vec<u8> {
    let question = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "1", "operation": "CREATE", "name": "p", "namespace": "n",
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "object": {"spec": spec},
        },
    });
    question.to_string().into_bytes()
}

#[tokio::test]
async fn what_is_answered_and_counted() {
    let metrics = Metrics::default();
    let at = |path: &str, body: Vec<u8>| Request::post(path).body(Body::from(body)).unwrap();
    let path = "/mutate/pod-enforcement";
    for (name, request, status, hint) in [
        ("a pod", at(path, question(&json!({"containers": []}))), 200, "JSONPatch"),
        (
            "with a query",
            at("/mutate/pod-enforcement?timeout=10s", question(&json!({}))),
            200,
            "uid",
        ),
        ("a pod of the host", at(path, question(&json!({"hostPID": true}))), 200, "hostPID"),
        ("no pod", at(path, question(&json!([]))), 200, "cannot be read"),
        ("no question", at(path, b"{".to_vec()), 400, "no AdmissionReview"),
        ("too much", at(path, vec![b' '; (4 << 20) + 1]), 413, "length limit"),
        ("elsewhere", at("/", vec![]), 404, ""),
        ("looking", Request::get(path).body(Body::empty()).unwrap(), 405, ""),
    ] {
        let (found, body) = ask(&metrics, request).await;
        assert_eq!(found.as_u16(), status, "{name}: {body}");
        assert!(body.contains(hint), "{name}: {body}");
    }
    let page = metrics.encode().unwrap();
    for (outcome, count) in [("patched", 2), ("refused", 1), ("undecodable", 1), ("unreadable", 2)]
    {
        let line = format!("relay_operator_admissions_total{{outcome=\"{outcome}\"}} {count}\n");
        assert!(page.contains(&line), "{line}: {page}");
    }
}

#[tokio::test]
async fn a_question_that_does_not_arrive_is_not_waited_for() {
    let never = futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
    let request = Request::post("/mutate/pod-enforcement").body(Body::from_stream(never)).unwrap();
    let short = Duration::from_millis(20);
    let router = router(PodPolicy::standalone(), Metrics::default(), short);
    let answer = router.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
}
