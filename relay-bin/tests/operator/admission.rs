//! Pods of tenants, as a real API server asks about them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret, ServiceAccount};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use relay_model::annotation;
use serde_json::{Value, json};

use crate::process::{Operator, until};
use crate::world::{SYSTEM, World, eventually, install_admission};

const LISTENING: &str = "listening for questions about pods";

/// A namespace with these labels that pods can be made in.
async fn namespace(world: &World, name: &str, labels: Value) -> String {
    let name = format!("{}-{name}", world.namespace);
    world.create::<Namespace>(None, json!({"metadata": {"name": name, "labels": labels}})).await;
    let accounts: Api<ServiceAccount> = Api::namespaced(world.client.clone(), &name);
    let account = || async { accounts.get_opt("default").await.unwrap() };
    eventually("the namespace has its account", account).await;
    name
}

async fn make(world: &World, namespace: &str, spec: Value) -> Result<Value, kube::Error> {
    let mut pod = json!({
        "metadata": {"generateName": "p-"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    for (field, value) in spec.as_object().unwrap() {
        pod["spec"][field] = value.clone();
    }
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), namespace);
    let made = pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await?;
    Ok(serde_json::to_value(made.spec.unwrap()).unwrap())
}

fn configurations(world: &World) -> Api<MutatingWebhookConfiguration> {
    Api::all(world.client.clone())
}

async fn bundle(world: &World) -> Vec<u8> {
    let configuration = configurations(world).get("relay-operator").await.unwrap();
    let webhooks = configuration.webhooks.unwrap();
    webhooks[0].client_config.ca_bundle.clone().unwrap_or_default().0
}

async fn change(world: &World, operation: Value) {
    let patch = Patch::Json::<()>(serde_json::from_value(json!([operation])).unwrap());
    let params = PatchParams::default();
    configurations(world).patch("relay-operator", &params, &patch).await.unwrap();
}

/// Lets the Service lead to this operator.
async fn lead_to(world: &World, operator: &Operator) {
    let path = "/webhooks/0/clientConfig/service/port";
    let port = operator.port(LISTENING);
    change(world, json!({"op": "add", "path": path, "value": port})).await;
}

/// Waits until the API server gets an answer about a pod.
async fn until_asked(world: &World, namespace: &str) -> Value {
    eventually("pods can be made", || async { make(world, namespace, json!({})).await.ok() }).await
}

/// The entries of a Secret with a certificate that holds for 20 days.
fn ends_soon() -> BTreeMap<&'static str, ByteString> {
    let now = jiff::Timestamp::now();
    let day = |time: jiff::Timestamp| {
        let date = time.to_zoned(jiff::tz::TimeZone::UTC).date();
        let part = |number: i8| u8::try_from(number).unwrap();
        rcgen::date_time_ymd(i32::from(date.year()), part(date.month()), part(date.day()))
    };
    let until = day(now + jiff::SignedDuration::from_hours(20 * 24));
    let name = format!("relay-operator-webhook.{SYSTEM}.svc");
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.not_before = day(now);
    let issuer = rcgen::Issuer::new(authority.clone(), rcgen::KeyPair::generate().unwrap());
    let authority = authority.self_signed(issuer.key()).unwrap().pem();
    let mut end = rcgen::CertificateParams::new([name]).unwrap();
    end.not_before = day(now);
    end.not_after = until;
    end.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let key = rcgen::KeyPair::generate().unwrap();
    let end = end.signed_by(&key, &issuer).unwrap().pem();
    [
        ("tls.crt", format!("{end}{authority}")),
        ("tls.key", key.serialize_pem()),
        ("ca.crt", authority),
    ]
    .map(|(key, text)| (key, ByteString(text.into_bytes())))
    .into()
}

#[tokio::test]
#[ignore = "needs the API server of $KUBECONFIG"]
async fn pods_of_tenants_are_what_they_should_be() {
    install_admission();
    let world = World::new().await;
    let arguments =
        ["--admission", "--webhook-server-port=0", "--metadata-api-url=http://10.0.0.1"];
    let operator = world.operator_with(&arguments);
    operator.says("this replica leads");
    assert_eq!(operator.get("/readyz").as_deref(), Some("ready\n"));
    lead_to(&world, &operator).await;
    let tenant = namespace(&world, "tenant", json!({annotation::TENANT_WORKLOAD: "true"})).await;
    let other = namespace(&world, "other", json!({})).await;

    // What it becomes, after the API server's own defaults before and after.
    let spec = until_asked(&world, &tenant).await;
    assert_eq!(spec["nodeSelector"]["nebula.puppet.com/scheduling.customer-ready"], "true");
    let mut taints: Vec<_> = spec["tolerations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|toleration| toleration["key"].as_str().unwrap())
        .collect();
    taints.sort_unstable();
    let wanted = [
        "nebula.puppet.com/scheduling.customer-workload",
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
        "sandbox.gke.io/runtime",
    ];
    assert_eq!(taints, wanted);
    assert_eq!(spec["dnsPolicy"], "None");
    assert_eq!(spec["dnsConfig"], json!({"nameservers": ["1.1.1.1", "1.0.0.1", "8.8.8.8"]}));
    assert_eq!(spec["automountServiceAccountToken"], false);
    assert_eq!(spec.get("volumes"), None, "no token is left: {spec}");
    assert_eq!(spec["containers"][0].get("volumeMounts"), None, "{spec}");

    let refused = make(&world, &tenant, json!({"hostNetwork": true})).await.unwrap_err();
    let kube::Error::Api(status) = &refused else { panic!("{refused}") };
    assert_eq!(status.code, 403, "{status:?}");
    assert!(status.message.contains("may not have hostNetwork"), "{status:?}");

    let untouched = make(&world, &other, json!({"hostNetwork": true})).await.unwrap();
    assert_eq!(untouched["dnsPolicy"], "ClusterFirst");
    assert_eq!(untouched.get("nodeSelector"), None);
    assert!(untouched["volumes"][0]["projected"].is_object(), "{untouched}");
    assert!(operator.metric("relay_operator_admissions_total{outcome=\"patched\"}") >= 1.0);
    assert_eq!(operator.metric("relay_operator_admissions_total{outcome=\"refused\"}"), 1.0);

    // A bundle that somebody resets is put right.
    let right = bundle(&world).await;
    assert!(right.starts_with(b"-----BEGIN CERTIFICATE-----"));
    change(&world, json!({"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"})).await;
    eventually("the bundle is put right", || async {
        (bundle(&world).await == right).then_some(())
    })
    .await;
    until_asked(&world, &tenant).await;

    // Every replica answers, whether it leads or not, and shows a new certificate without a restart.
    let second = world.operator_with(&arguments);
    second.says("waiting: another replica leads");
    until("the second one is ready", || second.get("/readyz"));
    lead_to(&world, &second).await;
    eventually("the second one is asked", || async {
        let made = make(&world, &tenant, json!({})).await;
        let count = second.metric("relay_operator_admissions_total{outcome=\"patched\"}");
        (made.is_ok() && count >= 1.0).then_some(())
    })
    .await;
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), SYSTEM);
    let first = secrets.get("relay-operator-webhook").await.unwrap();
    assert_eq!(first.type_.as_deref(), Some("kubernetes.io/tls"));
    secrets.delete("relay-operator-webhook", &DeleteParams::default()).await.unwrap();
    second.says("a new certificate of the webhook is in use");
    let now = secrets.get("relay-operator-webhook").await.unwrap();
    assert_ne!(now.uid(), first.uid());
    eventually("the new CA is known", || async {
        let ca = now.data.as_ref().and_then(|data| data.get("ca.crt"));
        (ca == Some(&ByteString(bundle(&world).await))).then_some(())
    })
    .await;
    until_asked(&world, &tenant).await;

    // At a renewal no question fails: API servers know both CAs before the certificate is another one.
    let ends_soon = ends_soon();
    let patch = Patch::Merge(json!({ "data": ends_soon }));
    secrets.patch("relay-operator-webhook", &PatchParams::default(), &patch).await.unwrap();
    eventually("the bundle has both", || async {
        let both = bundle(&world).await;
        let wanted = &ends_soon["ca.crt"].0;
        both.windows(wanted.len()).any(|part| part == wanted).then_some(())
    })
    .await;
    until_asked(&world, &tenant).await;
    let certificate = || async {
        let secret = secrets.get("relay-operator-webhook").await.unwrap();
        secret.data.unwrap().remove("tls.crt")
    };
    let mut made = 0;
    let mut renewed = None;
    while renewed.is_none_or(|at: Instant| at.elapsed() < Duration::from_secs(2)) {
        make(&world, &tenant, json!({})).await.expect("a renewal is not noticed");
        made += 1;
        if renewed.is_none() && certificate().await.as_ref() != Some(&ends_soon["tls.crt"]) {
            renewed = Some(Instant::now());
        }
    }
    assert!(made > 20, "{made}");

    // Nothing is written when nothing changes.
    let versions = || async {
        let secret = secrets.get("relay-operator-webhook").await.unwrap();
        let configuration = configurations(&world).get("relay-operator").await.unwrap();
        (secret.resource_version(), configuration.resource_version())
    };
    let before = versions().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(versions().await, before);

    for replica in [operator, second] {
        let (code, took) = replica.stop();
        assert_eq!(code, Some(0));
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
    let unseen = make(&world, &tenant, json!({})).await.unwrap_err();
    assert!(unseen.to_string().contains("failed calling webhook"), "{unseen}");
}

#[tokio::test]
#[ignore = "needs the API server of $KUBECONFIG"]
async fn with_a_certificate_of_one_s_own() {
    let world = World::new().await;
    let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let keys = tempfile::tempdir().unwrap();
    std::fs::write(keys.path().join("tls.crt"), pair.cert.pem()).unwrap();
    std::fs::write(keys.path().join("tls.key"), pair.signing_key.serialize_pem()).unwrap();
    let operator = world.operator_with(&[
        "--webhook-server-key-dir",
        keys.path().to_str().unwrap(),
        "--webhook-server-port=0",
        "--standalone",
        "--tenant-sandboxing",
        "--pod-node-selector=kubernetes.io/os=linux",
    ]);
    let port = operator.port(LISTENING);
    let name = namespace(&world, "own", json!({})).await;
    let configuration = json!({
        "metadata": {"name": world.namespace},
        "webhooks": [{
            "name": "own.relay.sh", "admissionReviewVersions": ["v1beta1", "v1"],
            "sideEffects": "None", "failurePolicy": "Fail", "reinvocationPolicy": "IfNeeded",
            "clientConfig": {
                "url": format!("https://127.0.0.1:{port}/mutate/pod-enforcement"),
                "caBundle": ByteString(pair.cert.pem().into_bytes()),
            },
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
            "rules": [{
                "operations": ["CREATE", "UPDATE"], "apiGroups": [""], "apiVersions": ["v1"],
                "resources": ["pods", "pods/status"],
            }],
        }],
    });
    let made: MutatingWebhookConfiguration = world.create(None, configuration).await;
    eventually("the API server asks", || async {
        match make(&world, &name, json!({})).await {
            // The class has to be there, which shows that it was set.
            Err(kube::Error::Api(status)) if status.message.contains("\"runsc\" not found") => {
                Some(())
            }
            _ => None,
        }
    })
    .await;
    assert!(operator.metric("relay_operator_admissions_total{outcome=\"patched\"}") >= 1.0);
    assert_eq!(configurations(&world).get(&made.name_any()).await.unwrap(), made);
    configurations(&world).delete(&made.name_any(), &DeleteParams::default()).await.unwrap();
}
