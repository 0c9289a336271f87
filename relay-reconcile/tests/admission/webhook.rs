//! The objects of a webhook in an API server in memory. Time is made up.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use kube_memory::MemoryCluster;
use relay_core::Clock;
use relay_reconcile::Telemetry;
use relay_reconcile::admission::certificate::{Keeper, Names, Pair};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

pub(crate) const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A clock that is set by hand.
#[derive(Debug)]
pub(crate) struct Hands(Mutex<Timestamp>);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

pub(crate) struct World {
    pub(crate) cluster: MemoryCluster,
    pub(crate) clock: Arc<Hands>,
}

impl World {
    pub(crate) fn new() -> Self {
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        Self { cluster: MemoryCluster::new(), clock: Arc::new(Hands(Mutex::new(now))) }
    }

    pub(crate) fn keeper(&self) -> Keeper {
        self.keeper_on(&self.cluster)
    }

    pub(crate) fn keeper_on(&self, cluster: &MemoryCluster) -> Keeper {
        Keeper {
            client: cluster.client("default"),
            names: Names {
                namespace: "default".to_owned(),
                secret: "tls".to_owned(),
                service: "hook".to_owned(),
                configuration: "hooks".to_owned(),
            },
            clock: Arc::clone(&self.clock) as _,
            telemetry: Telemetry::default(),
        }
    }

    pub(crate) fn pass(&self, span: SignedDuration) {
        let mut now = self.clock.0.lock().unwrap();
        *now = now.checked_add(span).unwrap();
    }

    pub(crate) fn secrets(&self) -> Api<Secret> {
        Api::default_namespaced(self.cluster.client("default"))
    }

    pub(crate) async fn entry(&self, key: &str) -> Vec<u8> {
        let secret = self.secrets().get("tls").await.unwrap();
        secret.data.unwrap().get(key).map(|bytes| bytes.0.clone()).unwrap_or_default()
    }

    pub(crate) async fn create_secret(&self, type_: &str, data: &[(&str, Vec<u8>)]) {
        let data = data.iter().map(|(key, bytes)| ((*key).to_owned(), ByteString(bytes.clone())));
        let mut secret = Secret { data: Some(data.collect()), ..Secret::default() };
        secret.metadata.name = Some("tls".to_owned());
        secret.type_ = Some(type_.to_owned());
        self.secrets().create(&PostParams::default(), &secret).await.unwrap();
    }

    pub(crate) fn configurations(&self) -> Api<MutatingWebhookConfiguration> {
        Api::all(self.cluster.client("default"))
    }

    pub(crate) async fn create_configuration(&self) {
        let webhook = |name: &str, client: Value| {
            json!({
                "name": name, "clientConfig": client, "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            })
        };
        let service = json!({"service": {"namespace": "default", "name": "hook"}});
        let configuration = json!({
            "metadata": {"name": "hooks"},
            "webhooks": [
                webhook("pods.relay.sh", service),
                webhook("more.relay.sh", json!({"url": "https://127.0.0.1/", "caBundle": "eA=="})),
            ],
        });
        let configuration = serde_json::from_value(configuration).unwrap();
        self.configurations().create(&PostParams::default(), &configuration).await.unwrap();
    }

    /// The bundle of the configuration; nothing where its webhooks differ.
    pub(crate) async fn bundle(&self) -> Vec<u8> {
        let configuration = self.configurations().get("hooks").await.unwrap();
        let webhooks = configuration.webhooks.unwrap();
        let bundles: Vec<_> = webhooks
            .into_iter()
            .map(|webhook| webhook.client_config.ca_bundle.unwrap_or_default().0)
            .collect();
        let same = bundles.windows(2).all(|two| two[0] == two[1]);
        if same { bundles[0].clone() } else { Vec::new() }
    }

    pub(crate) async fn reset_bundle(&self) {
        let patch = json!([{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]);
        let patch = Patch::Json::<()>(serde_json::from_value(patch).unwrap());
        self.configurations().patch("hooks", &PatchParams::default(), &patch).await.unwrap();
    }

    /// Whether an API server with this bundle would speak to who shows this.
    pub(crate) fn is_trusted(&self, pair: &Pair, bundle: &[u8]) -> bool {
        let chain = certificates(&pair.certificate);
        let end = webpki::EndEntityCert::try_from(&chain[0]).unwrap();
        let authorities = certificates(bundle);
        let anchors: Vec<_> = authorities
            .iter()
            .map(|authority| webpki::anchor_from_trusted_cert(authority).unwrap())
            .collect();
        let seconds = u64::try_from(self.clock.now().as_second()).unwrap();
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let usage = webpki::KeyUsage::server_auth();
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        let name = "hook.default.svc".try_into().unwrap();
        end.verify_for_usage(algorithms, &anchors, &chain[1..], time, usage, None, None).is_ok()
            && end.verify_is_valid_for_subject_name(&name).is_ok()
    }

    pub(crate) async fn is_settled(&self) -> bool {
        let Ok(Some(secret)) = self.secrets().get_opt("tls").await else { return false };
        let data = secret.data.unwrap_or_default();
        let entry = |key: &str| data.get(key).map(|bytes| bytes.0.clone()).unwrap_or_default();
        let pair = Pair { certificate: entry("tls.crt"), key: entry("tls.key").into() };
        certificates(&pair.certificate).len() == 2
            && self.bundle().await == entry("ca.crt")
            && self.is_trusted(&pair, &entry("ca.crt"))
    }

    /// Waits until both objects are right; a minute of made-up time at most.
    pub(crate) async fn settle(&self) {
        let settled = async {
            while !self.is_settled().await {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(60), settled).await.expect("it is put right");
    }

    pub(crate) fn run(&self, keeper: Keeper) -> JoinHandle<()> {
        tokio::spawn(keeper.run(std::future::pending()))
    }
}

/// What a keeper has made.
pub(crate) struct Made {
    pub(crate) pair: Pair,
    pub(crate) ca: Vec<u8>,
}

impl Made {
    pub(crate) async fn by(world: &World, service: &str) -> Self {
        let mut keeper = world.keeper();
        service.clone_into(&mut keeper.names.service);
        let pair = keeper.reconcile().await.unwrap();
        Self { pair, ca: world.entry("ca.crt").await }
    }
}

pub(crate) fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect()
}
