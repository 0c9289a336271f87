//! Cluster mode with a Vault: an API server in memory and a double of Vault, both behind sockets.

use std::io::{Read as _, Write as _};
use std::process::Command;

use axum::body::Body;
use axum::extract::Request;
use kube_memory::MemoryCluster;
use nix::sys::signal::Signal;
use relay_core::{Action, Claims, TokenSealer as _};
use serde_json::{Value as Json, json};
use tokio::net::TcpSocket;
use tower::ServiceExt as _;

use crate::double::{Double, ROOT};
use crate::program::{Serving, metadata_api};
use crate::stage::{Stage, claims, token};

/// Serves the API in memory by HTTP; its address.
async fn serve(cluster: &MemoryCluster) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let cluster = cluster.clone();
    let router = axum::Router::new().fallback(async move |request: Request| {
        cluster.clone().oneshot(request).await.unwrap().map(Body::new)
    });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

/// Has the API make this object, below `/api/v1/`.
async fn make(client: &kube::Client, method: &str, path: &str, object: &Json) -> Json {
    let request = http::Request::builder().method(method).uri(format!("/api/v1/{path}"));
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let request = request.header("content-type", kind).body(object.to_string().into_bytes());
    client.request(request.unwrap()).await.unwrap()
}

/// Status and body of a request from this address.
async fn get(port: u16, from: &str, path: &str) -> (u16, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let stream = socket.connect(([127, 0, 0, 1], port).into()).await.unwrap();
    let mut stream = stream.into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let answer = tokio::task::spawn_blocking(move || {
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = answer.await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_reads_a_secret_of_vault() {
    const BUILD: &str = "127.0.3.1";
    let double = Double::default();
    let stage = Stage::on_double(&double).await;
    let cluster = MemoryCluster::new();
    let client = cluster.client("default");
    let namespace = make(&client, "POST", "namespaces", &json!({"metadata": {"name": "t"}})).await;
    let uid = namespace["metadata"]["uid"].as_str().unwrap();
    let action = Action::step("r".parse().unwrap(), "build".parse().unwrap());
    let claims = Claims {
        namespace_name: Some("t".to_owned()),
        namespace_uid: Some(uid.to_owned()),
        immutable_config_map: Some("i".to_owned()),
        mutable_config_map: Some("m".to_owned()),
        vault_engine_path: Some(stage.engine.clone()),
        vault_secret_path: Some("workflows/w1".to_owned()),
        ..claims()
    };
    let sealed = stage.transit().seal(uid, &token(&claims).await).await.unwrap();
    let pod = json!({
        "metadata": {
            "name": "build",
            "annotations": {"relay.sh/token": sealed, "relay.sh/subject": action.subject()},
        },
        "spec": {"containers": [{"name": "step-step", "image": "alpine"}]},
    });
    make(&client, "POST", "namespaces/t/pods", &pod).await;
    let status = json!({"status": {"phase": "Running", "podIP": BUILD, "podIPs": [{"ip": BUILD}]}});
    make(&client, "PATCH", "namespaces/t/pods/build/status", &status).await;

    let authority = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap().cert.pem();
    let mut command = metadata_api();
    command
        .env("RELAY_METADATA_API_KUBERNETES_URL", serve(&cluster).await)
        .env("RELAY_METADATA_API_KUBERNETES_CA_DATA", authority)
        .env("RELAY_METADATA_API_KUBERNETES_SERVICE_ACCOUNT_TOKEN", "x")
        .env("RELAY_METADATA_API_LOG_FORMAT", "text")
        .env("RELAY_METADATA_API_METRICS_PORT", "0")
        .env("VAULT_ADDR", &stage.address)
        .env("VAULT_TOKEN", "not this one")
        .env("VAULT_NAMESPACE", "team")
        .env("RELAY_METADATA_API_VAULT_TOKEN", ROOT)
        .env("RELAY_METADATA_API_VAULT_TRANSIT_PATH", &stage.transit)
        .env("RELAY_METADATA_API_VAULT_AUTH_PATH", &stage.auth)
        .env("RELAY_METADATA_API_VAULT_AUTH_ROLE", "tenant");
    let serving = Serving::start(command, "listening for metadata connections");
    let answer = get(serving.port(), BUILD, "/secrets/pw").await;
    assert_eq!(answer, (200, "{\"key\":\"pw\",\"value\":\"hunter2-canary\"}".to_owned()));
    let requests = double.requests();
    assert!(requests.iter().skip(1).all(|request| request["namespace"] == "team"), "{requests:?}");
    assert_eq!(serving.end(Signal::SIGTERM), Some(0));
}

/// Runs it to its end; exit code and log.
fn fails(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn settings_that_cannot_be_used() {
    for (name, value, said) in [
        ("RELAY_METADATA_API_VAULT_ADDR", "vault:8200", "no http or https URL"),
        ("RELAY_METADATA_API_VAULT_AUTH_URL", "vault", "no http or https URL"),
        ("RELAY_METADATA_API_VAULT_TRANSIT_PATH", "../sys", "is no path in Vault"),
        ("RELAY_METADATA_API_VAULT_TRANSIT_KEY", "a//b", "is no path in Vault"),
        ("RELAY_METADATA_API_VAULT_AUTH_PATH", "/", "is no path in Vault"),
        ("VAULT_CACERT", "/nowhere", "VAULT_CACERT cannot be used"),
    ] {
        let mut command = metadata_api();
        command.env("VAULT_ADDR", "http://127.0.0.1:1").env(name, value);
        let (code, log) = fails(&mut command);
        assert_eq!(code, Some(1), "{name}: {log}");
        assert!(log.contains("Vault cannot be used") && log.contains(said), "{name}: {log}");
    }
    // Empty variables name no Vault.
    let mut command = metadata_api();
    command.env("VAULT_ADDR", "").env("RELAY_METADATA_API_VAULT_TRANSIT_PATH", "");
    let (code, log) = fails(&mut command);
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("--token-seal-keys-dir") && log.contains("--vault-addr"), "{log}");
}
