//! Ring 3: the program in cluster mode, on a real API server, under the rights that its documentation
//! asks for. Requests come from addresses of the loopback network.

use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Config, ResourceExt as _};
use nix::sys::signal::Signal;
use relay_core::{Action, Claims, SealKeys, SigningKey, TokenSealer as _, TokenSigner as _};
use relay_store::key;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use crate::program::{Files, Serving, metadata_api};

const SEAL: [u8; 32] = [7; 32];
// Other suites may use the same API server.
const TENANT: &str = "metadata-program-tenant";
const SYSTEM: &str = "metadata-program-system";

fn object<K: DeserializeOwned>(json: Json) -> K {
    serde_json::from_value(json).unwrap()
}

fn step(name: &str) -> Action {
    Action::step("r".parse().unwrap(), name.parse().unwrap())
}

struct World {
    client: Client,
    signer: SigningKey,
    seal: SealKeys,
    uid: String,
}

impl World {
    fn of<K>(&self, namespace: &str) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn account(&self, namespace: &str, name: &str) -> SecretString {
        let accounts: Api<ServiceAccount> = self.of(namespace);
        let account = object(json!({"metadata": {"name": name}}));
        accounts.create(&PostParams::default(), &account).await.unwrap();
        let spec = TokenRequestSpec { audiences: Vec::new(), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let made = accounts.create_token_request(name, &PostParams::default(), &request).await;
        made.unwrap().status.unwrap().token.into()
    }

    async fn pod(&self, name: &str, ip: &str, account: Option<SecretString>) {
        let action = step(name);
        let now = jiff::Timestamp::now().as_second();
        let claims = Claims {
            not_before: Some(now),
            expires_at: Some(now + 3600),
            namespace_name: Some(TENANT.to_owned()),
            namespace_uid: Some(self.uid.clone()),
            tenant_id: Some("w1".to_owned()),
            immutable_config_map: Some("r-immutable".to_owned()),
            mutable_config_map: Some("r-mutable".to_owned()),
            service_account_token: account,
            ..Claims::for_action(&action)
        };
        let token = self.signer.sign(&claims).await.unwrap();
        let sealed = self.seal.seal(&self.uid, &token).await.unwrap();
        let pod: Pod = object(json!({
            "metadata": {"name": name, "annotations": {
                "relay.sh/token": sealed, "relay.sh/subject": action.subject(),
            }},
            "spec": {"containers": [{"name": "step-step", "image": "alpine"}]},
        }));
        let pods: Api<Pod> = self.of(TENANT);
        // The account that pods run under comes a moment after their namespace.
        let mut attempts = 0;
        while let Err(error) = pods.create(&PostParams::default(), &pod).await {
            attempts += 1;
            assert!(attempts < 100, "{error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let status = json!({"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]});
        let patch = Patch::Merge(json!({"status": status}));
        pods.patch_status(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Lets an account do this in a namespace.
    async fn allow(&self, namespace: &str, account: (&str, &str), rules: Json) {
        let name = account.1;
        let role: Role = object(json!({"metadata": {"name": name}, "rules": rules}));
        self.of(namespace).create(&PostParams::default(), &role).await.unwrap();
        let binding: RoleBinding = object(json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "namespace": account.0, "name": name}],
        }));
        self.of(namespace).create(&PostParams::default(), &binding).await.unwrap();
    }
}

/// What `curl` gets: the status and the body.
fn curl(port: u16, from: &str, arguments: &[&str], path: &str) -> (String, String) {
    let url = format!("http://127.0.0.1:{port}{path}");
    let mut command = Command::new("curl");
    command.args(["--silent", "--interface", from, "--write-out", "\n%{http_code}"]);
    let output = command.args(arguments).arg(&url).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

#[tokio::test]
#[ignore = "needs an API server: KUBECONFIG"]
async fn pods_of_a_real_cluster() {
    const BUILD: &str = "127.0.2.1";
    const DEPLOY: &str = "127.0.2.2";
    const ACTING: &str = "127.0.2.3";
    const ROTATED: &str = "127.0.2.4";
    let config = Config::infer().await.unwrap();
    let client = Client::try_from(config.clone()).unwrap();
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let signer = SigningKey::from_pem("k", pair.serialize_pem().as_bytes()).unwrap();
    let seal = SealKeys::new([("1".to_owned(), SEAL)]);
    let mut world = World { client: client.clone(), signer, seal, uid: String::new() };
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for name in [TENANT, SYSTEM] {
        let namespace = object(json!({"metadata": {"name": name}}));
        let made = namespaces.create(&PostParams::default(), &namespace).await.unwrap();
        if name == TENANT {
            world.uid = made.uid().unwrap();
        }
    }

    // What docs/metadata-api.md says that the account needs, and no more.
    let token = world.account(SYSTEM, "metadata-api").await;
    let role: ClusterRole = object(json!({
        "metadata": {"name": "metadata-api"},
        "rules": [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
        ],
    }));
    Api::all(client.clone()).create(&PostParams::default(), &role).await.unwrap();
    let binding: ClusterRoleBinding = object(json!({
        "metadata": {"name": "metadata-api"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "metadata-api",
        },
        "subjects": [
            {"kind": "ServiceAccount", "namespace": SYSTEM, "name": "metadata-api"},
        ],
    }));
    Api::all(client.clone()).create(&PostParams::default(), &binding).await.unwrap();
    let rules = json!([
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch", "patch"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list", "watch"]},
    ]);
    world.allow(TENANT, (SYSTEM, "metadata-api"), rules).await;
    // An account of the run, which may read what its author wrote and nothing else.
    let acting = world.account(TENANT, "reader").await;
    let rules = json!([{
        "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["r-immutable"],
        "verbs": ["get"],
    }]);
    world.allow(TENANT, (TENANT, "reader"), rules).await;

    let spec = r#"{"o": "${outputs.build.o}", "p": "${parameters.p}", "s": "${secrets.pw}"}"#;
    let maps: Api<ConfigMap> = world.of(TENANT);
    for (name, data) in [
        (
            "r-immutable",
            json!({
                (key::spec(&step("deploy"))): spec,
                (key::spec(&step("acting"))): r#"{"p": "${parameters.p}"}"#,
                (key::parameter("p").unwrap()): "\"given\"",
            }),
        ),
        ("r-mutable", json!({})),
    ] {
        let map = object(json!({"metadata": {"name": name}, "data": data}));
        maps.create(&PostParams::default(), &map).await.unwrap();
    }
    let secret: Secret = object(json!({
        "metadata": {"name": "pw", "labels": {"relay.sh/secret": "pw"}},
        "stringData": {"value": "hunter2"},
    }));
    world.of(TENANT).create(&PostParams::default(), &secret).await.unwrap();
    world.pod("build", BUILD, None).await;
    world.pod("deploy", DEPLOY, None).await;
    world.pod("acting", ACTING, Some(acting)).await;

    let files = Files::new();
    let directory = |name: &str| {
        let path = files.file("unused", "").with_file_name(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let (seals, verifies, logs) = (directory("seal"), directory("verify"), directory("logs"));
    std::fs::write(seals.join("1"), SEAL).unwrap();
    std::fs::write(verifies.join("k"), pair.public_key_pem()).unwrap();
    let mut ca = String::new();
    for root in config.root_cert.iter().flatten() {
        let text = STANDARD.encode(root);
        ca.push_str(&format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"));
    }
    let mut command = metadata_api();
    command
        .env("RELAY_METADATA_API_KUBERNETES_URL", config.cluster_url.to_string())
        .env("RELAY_METADATA_API_KUBERNETES_CA_DATA", ca)
        .env("RELAY_METADATA_API_KUBERNETES_SERVICE_ACCOUNT_TOKEN", token.expose_secret())
        .env("RELAY_METADATA_API_TOKEN_SEAL_KEYS_DIR", &seals)
        .env("RELAY_METADATA_API_TOKEN_VERIFY_KEYS_DIR", &verifies)
        .env("RELAY_METADATA_API_LOG_STORAGE_URL", format!("file://{}", logs.display()))
        .env("RELAY_METADATA_API_LOG_FORMAT", "text")
        .env("RELAY_METADATA_API_METRICS_PORT", "0");
    let serving = Serving::start(command, "listening for metadata connections");
    let port = serving.port();

    let (status, body) = curl(port, DEPLOY, &[], "/spec");
    assert_eq!(status, "200", "{body}");
    assert!(body.contains(r#""complete":false"#), "{body}");
    assert_eq!(
        curl(
            port,
            BUILD,
            &["-X", "PUT", "-d", "\"made\"", "-H", "content-type: application/json"],
            "/outputs/o"
        )
        .0,
        "201"
    );
    let complete =
        r#"{"complete":true,"unresolvable":{},"value":{"o":"made","p":"given","s":"hunter2"}}"#;
    assert_eq!(curl(port, DEPLOY, &[], "/spec"), ("200".to_owned(), complete.to_owned()));
    assert_eq!(curl(port, DEPLOY, &[], "/secrets/pw").0, "200");
    assert_eq!(curl(port, DEPLOY, &[], "/spec").1, complete);

    // Under its own account this pod reads the one map and writes none.
    let (status, body) = curl(port, ACTING, &[], "/spec");
    assert_eq!((status.as_str(), body.contains("given")), ("200", true), "{body}");
    let put = ["-X", "PUT", "--data-binary", "x", "-H", "content-type: text/plain"];
    assert_eq!(curl(port, ACTING, &put, "/outputs/o").0, "500");

    // Nobody, and somebody who says that he is a pod.
    assert_eq!(curl(port, "127.0.2.9", &[], "/spec").0, "401");
    let forged = ["-H", "X-Forwarded-For: 127.0.2.2"];
    assert_eq!(curl(port, "127.0.2.9", &forged, "/spec").0, "401");

    // A key that is added is in use some seconds later.
    let newer = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    world.signer = SigningKey::from_pem("l", newer.serialize_pem().as_bytes()).unwrap();
    world.seal = SealKeys::new([("2".to_owned(), [8; 32])]);
    world.pod("rotated", ROTATED, None).await;
    assert_eq!(curl(port, ROTATED, &[], "/spec").0, "401");
    std::fs::write(verifies.join("l"), newer.public_key_pem()).unwrap();
    std::fs::write(seals.join("2"), [8; 32]).unwrap();
    let rotated = async {
        while curl(port, ROTATED, &[], "/spec").0 == "401" {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), rotated).await.unwrap();

    let octets = "content-type: application/octet-stream";
    let begin = ["-X", "POST", "-H", octets, "--data-binary", "\u{12}\u{6}stdout"];
    let (status, log) = curl(port, BUILD, &begin, "/logs");
    assert_eq!(status, "201", "{log}");
    let id = log.get(2..).unwrap();
    let say = ["-X", "POST", "-H", octets, "--data-binary", "\u{1a}\u{5}hello"];
    assert_eq!(curl(port, BUILD, &say, &format!("/logs/{id}/messages")).0, "202");
    assert_eq!(curl(port, DEPLOY, &say, &format!("/logs/{id}/messages")).0, "404");
    assert_eq!(serving.end(Signal::SIGTERM), Some(0));
    let log = logs.join("tenants/w1/runs/r/steps/build/stdout");
    let log = std::fs::read_dir(log).unwrap().next().unwrap().unwrap().path();
    let part = std::fs::read_dir(log).unwrap().next().unwrap().unwrap().path();
    let part = std::fs::read_to_string(part).unwrap();
    assert!(part.contains(r#""payload":"hello""#), "{part}");
}
