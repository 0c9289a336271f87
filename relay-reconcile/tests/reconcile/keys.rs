//! The keys of tokens as Secrets.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use kube_memory::MemoryCluster;
use relay_core::{Action, Claims, SigningKey, TokenSealer as _, TokenSigner, TokenVerifier as _};
use relay_core::{SealKeys, VerifyingKeys};
use relay_reconcile::keys::{KeySecrets, SEAL_KEYS, SIGNING_KEYS, VERIFICATION_KEYS};
use secrecy::ExposeSecret as _;
use serde_json::json;

fn keys(cluster: &MemoryCluster) -> KeySecrets {
    KeySecrets::new(cluster.client("default"), "default")
}

fn secrets(cluster: &MemoryCluster) -> Api<Secret> {
    Api::default_namespaced(cluster.client("default"))
}

async fn entries(cluster: &MemoryCluster, name: &str) -> BTreeMap<String, Vec<u8>> {
    let secret = secrets(cluster).get(name).await.unwrap();
    secret.data.unwrap().into_iter().map(|(id, bytes)| (id, bytes.0)).collect()
}

async fn add(cluster: &MemoryCluster, name: &str, id: &str, text: &str) {
    let patch = json!({"stringData": {id: text}});
    let params = PatchParams::default();
    secrets(cluster).patch(name, &params, &Patch::Merge(&patch)).await.unwrap();
}

/// Whether the metadata API would take what this key signs.
async fn is_trusted(cluster: &MemoryCluster, signer: &dyn TokenSigner) -> bool {
    let public = entries(cluster, VERIFICATION_KEYS).await;
    let public = public.iter().map(|(id, pem)| (id.as_str(), pem.as_slice()));
    let verifier = VerifyingKeys::from_pems(public).unwrap();
    let action = Action::step("1".parse().unwrap(), "build".parse().unwrap());
    let times =
        Claims { not_before: Some(0), expires_at: Some(1 << 40), ..Claims::for_action(&action) };
    verifier.verify(&signer.sign(&times).await.unwrap()).await.is_ok()
}

#[tokio::test]
async fn keys_are_made_once_and_kept() {
    let cluster = MemoryCluster::new();
    let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
    let signer = keys(&cluster).signing_key(now).await.unwrap();
    let sealer = keys(&cluster).seal_keys(now).await.unwrap();
    assert!(is_trusted(&cluster, &signer).await);
    for name in [SIGNING_KEYS, VERIFICATION_KEYS, SEAL_KEYS] {
        let ids: Vec<_> = entries(&cluster, name).await.into_keys().collect();
        assert_eq!(ids, ["20261123-120000"], "{name}");
    }
    let public = entries(&cluster, VERIFICATION_KEYS).await;
    assert!(!String::from_utf8(public["20261123-120000"].clone()).unwrap().contains("PRIVATE"));

    let writes = cluster.writes();
    let later = now + jiff::SignedDuration::from_hours(24);
    let again = keys(&cluster).signing_key(later).await.unwrap();
    let sealed = sealer.seal("uid", &"t".to_owned().into()).await.unwrap();
    let unseals = keys(&cluster).seal_keys(later).await.unwrap();
    assert_eq!(unseals.unseal("uid", &sealed).await.unwrap().expose_secret(), "t");
    assert!(is_trusted(&cluster, &again).await);
    assert_eq!(cluster.writes(), writes, "nothing is written again");
}

#[tokio::test]
async fn replicas_that_start_together_agree() {
    let cluster = MemoryCluster::new();
    let starts = (0..8).map(|number| {
        let (keys, now) = (keys(&cluster), Timestamp::from_second(number).unwrap());
        async move { (keys.signing_key(now).await.unwrap(), keys.seal_keys(now).await.unwrap()) }
    });
    let all: Vec<(SigningKey, SealKeys)> = futures::future::join_all(starts).await;
    let sealed = all[0].1.seal("uid", &"t".to_owned().into()).await.unwrap();
    for (signer, sealer) in &all {
        assert!(is_trusted(&cluster, signer).await);
        assert!(sealer.unseal("uid", &sealed).await.is_ok());
    }
}

#[tokio::test]
async fn a_secret_that_is_there_and_empty_is_filled() {
    let cluster = MemoryCluster::new();
    let empty: Secret = serde_json::from_value(json!({"metadata": {"name": SEAL_KEYS}})).unwrap();
    secrets(&cluster).create(&PostParams::default(), &empty).await.unwrap();
    keys(&cluster).seal_keys(Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(entries(&cluster, SEAL_KEYS).await.len(), 1);
}

#[tokio::test]
async fn a_new_signing_key_is_published_with_one_start_and_used_with_the_next() {
    let cluster = MemoryCluster::new();
    let start = || async {
        let signer = keys(&cluster).signing_key(Timestamp::UNIX_EPOCH).await.unwrap();
        assert!(is_trusted(&cluster, &signer).await);
        format!("{signer:?}")
    };
    assert!(start().await.contains("19700101-000000"));
    let newer = SigningKey::generate_pem().unwrap();
    add(&cluster, SIGNING_KEYS, "2027", newer.expose_secret()).await;
    assert!(start().await.contains("19700101-000000"));
    assert!(entries(&cluster, VERIFICATION_KEYS).await.contains_key("2027"));
    assert!(start().await.contains("2027"));
}

#[tokio::test]
async fn the_newest_key_seals() {
    let cluster = MemoryCluster::new();
    keys(&cluster).seal_keys(Timestamp::UNIX_EPOCH).await.unwrap();
    add(&cluster, SEAL_KEYS, "2027", &"x".repeat(32)).await;
    let sealer = keys(&cluster).seal_keys(Timestamp::UNIX_EPOCH).await.unwrap();
    let sealed = sealer.seal("uid", &"t".to_owned().into()).await.unwrap();
    assert!(sealed.starts_with("relay:v1:2027:"), "{sealed}");
}

#[tokio::test]
async fn what_is_no_key_is_named_and_not_shown() {
    let cluster = MemoryCluster::new();
    keys(&cluster).seal_keys(Timestamp::UNIX_EPOCH).await.unwrap();
    keys(&cluster).signing_key(Timestamp::UNIX_EPOCH).await.unwrap();
    add(&cluster, SEAL_KEYS, "broken", "hunter2").await;
    add(&cluster, SIGNING_KEYS, "broken", "hunter2").await;
    let seal = keys(&cluster).seal_keys(Timestamp::UNIX_EPOCH).await.unwrap_err();
    let sign = keys(&cluster).signing_key(Timestamp::UNIX_EPOCH).await.unwrap_err();
    for (name, error) in
        [(SEAL_KEYS, format!("{seal:?} {seal}")), (SIGNING_KEYS, format!("{sign:?} {sign}"))]
    {
        assert!(error.contains(name) && error.contains("broken"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
