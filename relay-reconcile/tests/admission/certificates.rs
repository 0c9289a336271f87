//! The certificate of the webhook, and its CA in the configuration. Time is made up.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use kube_memory::{Fault, MemoryCluster, RequestInfo, Verb};
use relay_core::Clock;
use relay_reconcile::Telemetry;
use relay_reconcile::admission::certificate::{Keeper, Names, Pair};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A clock that is set by hand.
#[derive(Debug)]
struct Hands(Mutex<Timestamp>);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

struct World {
    cluster: MemoryCluster,
    clock: Arc<Hands>,
}

impl World {
    fn new() -> Self {
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        Self { cluster: MemoryCluster::new(), clock: Arc::new(Hands(Mutex::new(now))) }
    }

    fn keeper(&self) -> Keeper {
        self.keeper_on(&self.cluster)
    }

    fn keeper_on(&self, cluster: &MemoryCluster) -> Keeper {
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

    fn pass(&self, span: SignedDuration) {
        let mut now = self.clock.0.lock().unwrap();
        *now = now.checked_add(span).unwrap();
    }

    fn secrets(&self) -> Api<Secret> {
        Api::default_namespaced(self.cluster.client("default"))
    }

    async fn entry(&self, key: &str) -> Vec<u8> {
        let secret = self.secrets().get("tls").await.unwrap();
        secret.data.unwrap().get(key).map(|bytes| bytes.0.clone()).unwrap_or_default()
    }

    async fn create_secret(&self, type_: &str, data: &[(&str, Vec<u8>)]) {
        let data = data.iter().map(|(key, bytes)| ((*key).to_owned(), ByteString(bytes.clone())));
        let mut secret = Secret { data: Some(data.collect()), ..Secret::default() };
        secret.metadata.name = Some("tls".to_owned());
        secret.type_ = Some(type_.to_owned());
        self.secrets().create(&PostParams::default(), &secret).await.unwrap();
    }

    fn configurations(&self) -> Api<MutatingWebhookConfiguration> {
        Api::all(self.cluster.client("default"))
    }

    async fn create_configuration(&self) {
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
    async fn bundle(&self) -> Vec<u8> {
        let configuration = self.configurations().get("hooks").await.unwrap();
        let webhooks = configuration.webhooks.unwrap();
        let bundles: Vec<_> = webhooks
            .into_iter()
            .map(|webhook| webhook.client_config.ca_bundle.unwrap_or_default().0)
            .collect();
        let same = bundles.windows(2).all(|two| two[0] == two[1]);
        if same { bundles[0].clone() } else { Vec::new() }
    }

    async fn reset_bundle(&self) {
        let patch = json!([{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]);
        let patch = Patch::Json::<()>(serde_json::from_value(patch).unwrap());
        self.configurations().patch("hooks", &PatchParams::default(), &patch).await.unwrap();
    }

    /// Whether an API server with this bundle would speak to who shows this.
    fn is_trusted(&self, pair: &Pair, bundle: &[u8]) -> bool {
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

    async fn is_settled(&self) -> bool {
        let Ok(Some(secret)) = self.secrets().get_opt("tls").await else { return false };
        let data = secret.data.unwrap_or_default();
        let entry = |key: &str| data.get(key).map(|bytes| bytes.0.clone()).unwrap_or_default();
        let pair = Pair { certificate: entry("tls.crt"), key: entry("tls.key").into() };
        certificates(&pair.certificate).len() == 2
            && self.bundle().await == entry("ca.crt")
            && self.is_trusted(&pair, &entry("ca.crt"))
    }

    /// Waits until both objects are right; a minute of made-up time at most.
    async fn settle(&self) {
        let settled = async {
            while !self.is_settled().await {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(60), settled).await.expect("it is put right");
    }

    fn run(&self, keeper: Keeper) -> JoinHandle<()> {
        tokio::spawn(keeper.run(std::future::pending()))
    }
}

/// What a keeper has made.
struct Made {
    pair: Pair,
    ca: Vec<u8>,
}

impl Made {
    async fn by(world: &World, service: &str) -> Self {
        let mut keeper = world.keeper();
        service.clone_into(&mut keeper.names.service);
        let pair = keeper.reconcile().await.unwrap();
        Self { pair, ca: world.entry("ca.crt").await }
    }
}

fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect()
}

#[tokio::test]
async fn a_certificate_is_made_once_and_kept() {
    let world = World::new();
    world.create_configuration().await;
    let pair = world.keeper().reconcile().await.unwrap();
    assert!(world.is_trusted(&pair, &world.bundle().await));
    let secret = world.secrets().get("tls").await.unwrap();
    assert_eq!(secret.type_.as_deref(), Some("kubernetes.io/tls"));
    let keys: Vec<_> = secret.data.as_ref().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["ca.crt", "tls.crt", "tls.key"]);
    assert_eq!(certificates(&pair.certificate).len(), 2, "the chain has its CA");
    assert_eq!(world.entry("tls.crt").await, pair.certificate);
    assert_eq!(world.entry("tls.key").await, *pair.key);
    assert!(pair.key.starts_with(b"-----BEGIN PRIVATE KEY-----"), "PKCS#8");

    let writes = world.cluster.writes();
    world.pass(DAY * 59);
    let again = world.keeper().reconcile().await.unwrap();
    assert!(pair == again);
    assert_eq!(world.cluster.writes(), writes, "nothing is written again");
    assert!(!format!("{pair:?} {:?}", world.keeper()).contains("PRIVATE"));
}

#[tokio::test(start_paused = true)]
async fn at_a_renewal_both_ca_are_known_and_later_the_old_one_goes() {
    let world = World::new();
    world.create_configuration().await;
    let first = world.keeper().reconcile().await.unwrap();
    let old = world.bundle().await;
    world.pass(DAY * 61);

    // What is shown changes only after what is trusted has.
    let renewing = tokio::spawn({
        let keeper = world.keeper();
        async move { keeper.reconcile().await.unwrap() }
    });
    sleep(Duration::from_secs(5)).await;
    assert_eq!(world.entry("tls.crt").await, first.certificate);
    assert_eq!(certificates(&world.bundle().await).len(), 2, "both are known");
    assert!(world.is_trusted(&first, &world.bundle().await));

    let second = renewing.await.unwrap();
    assert!(second != first);
    let both = world.bundle().await;
    assert!(world.is_trusted(&first, &both), "a replica that is late is trusted still");
    assert!(world.is_trusted(&second, &both));
    assert!(!world.is_trusted(&second, &old));
    assert_eq!(world.entry("ca.crt").await, both);
    let writes = world.cluster.writes();
    world.keeper().reconcile().await.unwrap();
    assert_eq!(world.cluster.writes(), writes);

    world.pass(DAY * 61);
    let third = world.keeper().reconcile().await.unwrap();
    let bundle = world.bundle().await;
    assert_eq!(certificates(&bundle).len(), 2, "and no third one");
    assert!(world.is_trusted(&second, &bundle) && world.is_trusted(&third, &bundle));
}

#[tokio::test]
async fn what_cannot_be_used_is_replaced() {
    /// What is there, from what was good, what another CA made, and what is for another name.
    type Spoil = fn(&Made, &Made, &Made) -> Vec<(&'static str, Vec<u8>)>;
    fn whole(made: &Made) -> Vec<(&'static str, Vec<u8>)> {
        vec![
            ("tls.crt", made.pair.certificate.clone()),
            ("tls.key", made.pair.key.to_vec()),
            ("ca.crt", made.ca.clone()),
        ]
    }
    let cases: [(&str, SignedDuration, Spoil); 10] = [
        ("nothing in it", DAY, |_, _, _| vec![]),
        ("empty entries", DAY, |_, _, _| vec![("tls.crt", vec![]), ("tls.key", vec![])]),
        ("no key", DAY, |good, _, _| vec![("tls.crt", good.pair.certificate.clone())]),
        ("garbage", DAY, |_, _, _| {
            vec![("tls.crt", vec![0xff; 99]), ("tls.key", b"x".to_vec()), ("ca.crt", vec![0])]
        }),
        ("a PEM of something else", DAY, |good, _, _| {
            let text = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
            let mut data = whole(good);
            data[0].1 = text.repeat(2).into_bytes();
            data
        }),
        ("no CA in the chain", DAY, |good, _, _| {
            let end = "-----END CERTIFICATE-----\n";
            let chain = String::from_utf8(good.pair.certificate.clone()).unwrap();
            let mut data = whole(good);
            data[0].1 = chain.split_inclusive(end).next().unwrap().as_bytes().to_vec();
            data
        }),
        ("another key", DAY, |good, other, _| {
            let mut data = whole(good);
            data[1].1 = other.pair.key.to_vec();
            data
        }),
        ("another CA", DAY, |good, other, _| {
            let mut data = whole(good);
            data[2].1.clone_from(&other.ca);
            data
        }),
        ("another name", DAY, |_, _, elsewhere| whole(elsewhere)),
        ("one that has ended", DAY * 91, |good, _, _| whole(good)),
    ];
    for (name, passed, spoil) in cases {
        let world = World::new();
        world.create_configuration().await;
        let good = Made::by(&world, "hook").await;
        let other = Made::by(&World::new(), "hook").await;
        let elsewhere = Made::by(&World::new(), "elsewhere").await;
        let mut data = spoil(&good, &other, &elsewhere);
        data.push(("mine", b"kept".to_vec()));
        world.secrets().delete("tls", &DeleteParams::default()).await.unwrap();
        world.create_secret("Opaque", &data).await;
        world.pass(passed);
        world.keeper().reconcile().await.expect(name);
        assert!(world.is_settled().await, "{name}");
        assert_eq!(world.entry("mine").await, b"kept", "{name}");
        assert_ne!(world.entry("tls.crt").await, good.pair.certificate, "{name}");
    }
}

#[tokio::test]
async fn with_less_than_a_day_left_it_is_replaced_at_once() {
    let world = World::new();
    world.create_configuration().await;
    let first = world.keeper().reconcile().await.unwrap();
    world.pass(DAY * 89 + SignedDuration::from_hours(1));
    assert!(world.is_trusted(&first, &world.bundle().await), "it is good still");
    let second = timeout(Duration::from_secs(5), world.keeper().reconcile()).await.unwrap();
    assert!(second.unwrap() != first);
    assert!(world.is_settled().await);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_changes_is_put_right() {
    let world = World::new();
    let keeper = world.run(world.keeper());
    sleep(Duration::from_secs(2)).await;
    assert!(!world.entry("tls.crt").await.is_empty(), "the configuration is not waited for");
    world.create_configuration().await;
    world.settle().await;

    world.reset_bundle().await;
    world.settle().await;
    world.configurations().delete("hooks", &DeleteParams::default()).await.unwrap();
    sleep(Duration::from_secs(2)).await;
    world.create_configuration().await;
    world.settle().await;

    let before = world.entry("tls.crt").await;
    world.secrets().delete("tls", &DeleteParams::default()).await.unwrap();
    world.settle().await;
    assert_ne!(world.entry("tls.crt").await, before);
    let patch = json!({"data": {"tls.key": "eA=="}});
    world.secrets().patch("tls", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    world.settle().await;

    // From then on nothing is written.
    sleep(Duration::from_secs(1)).await;
    let writes = world.cluster.writes();
    sleep(Duration::from_secs(86_400)).await;
    assert_eq!(world.cluster.writes(), writes);
    // Nobody has to tell it that time has passed.
    let before = world.entry("tls.crt").await;
    world.pass(DAY * 61);
    sleep(Duration::from_secs(3_700)).await;
    assert_ne!(world.entry("tls.crt").await, before);
    world.settle().await;
    keeper.abort();
}

#[tokio::test]
async fn nothing_but_bundles_is_written_into_the_configuration() {
    let world = World::new();
    world.create_configuration().await;
    let before = world.configurations().get("hooks").await.unwrap();
    world.keeper().reconcile().await.unwrap();
    let mut after = world.configurations().get("hooks").await.unwrap();
    assert_eq!(after.metadata.generation, Some(2));
    for (was, is) in before.webhooks.iter().flatten().zip(after.webhooks.iter_mut().flatten()) {
        is.client_config.ca_bundle.clone_from(&was.client_config.ca_bundle);
        assert_eq!(was, is);
    }
    assert_eq!(before.labels(), after.labels());
}

#[tokio::test]
async fn a_configuration_without_webhooks_is_left_alone() {
    let world = World::new();
    let empty = serde_json::from_value(json!({"metadata": {"name": "hooks"}})).unwrap();
    world.configurations().create(&PostParams::default(), &empty).await.unwrap();
    world.keeper().reconcile().await.unwrap();
    let after = world.configurations().get("hooks").await.unwrap();
    assert_eq!(after.metadata.generation, Some(1));
}

#[tokio::test]
async fn replicas_that_start_together_agree() {
    let world = World::new();
    world.create_configuration().await;
    let all = (0..8).map(|_| {
        let keeper = world.keeper();
        async move { keeper.reconcile().await.unwrap() }
    });
    let pairs = futures::future::join_all(all).await;
    assert!(pairs.iter().all(|pair| *pair == pairs[0]));
    assert!(world.is_settled().await);
}

#[tokio::test(start_paused = true)]
async fn replicas_see_what_one_of_them_writes() {
    let world = World::new();
    let mut pairs = std::pin::pin!(world.keeper().follow());
    let elsewhere = Made::by(&World::new(), "elsewhere").await;
    let data = [("tls.crt", elsewhere.pair.certificate), ("tls.key", elsewhere.pair.key.to_vec())];
    world.create_secret("Opaque", &data).await;
    // What cannot be used is never shown.
    assert!(timeout(Duration::from_secs(5), pairs.next()).await.is_err());
    let first = world.keeper().reconcile().await.unwrap();
    assert!(pairs.next().await.unwrap() == first);
    world.pass(DAY * 61);
    let second = world.keeper().reconcile().await.unwrap();
    assert!(pairs.next().await.unwrap() == second);
}

#[tokio::test(start_paused = true)]
async fn a_fault_at_any_call_is_got_over() {
    // Each call of the first minutes fails once, before or after it did its work, or is refused.
    for number in 1..=16_u64 {
        for (what, fault) in [
            ("down", Fault::status(503, "ServiceUnavailable", "down")),
            ("reset after the write", Fault::reset().after_the_write()),
            ("forbidden", Fault::status(403, "Forbidden", "no")),
            ("conflict", Fault::status(409, "Conflict", "changed")),
        ] {
            let world = World::new();
            world.create_configuration().await;
            let meets = move |info: &RequestInfo| (info.number == number).then(|| fault.clone());
            let faulty = world.cluster.with_faults(meets);
            let keeper = world.run(world.keeper_on(&faulty));
            world.settle().await;
            world.pass(DAY * 61);
            sleep(Duration::from_secs(3_800)).await;
            assert!(world.is_settled().await, "{what} at call {number}");
            keeper.abort();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_gone_in_the_middle_of_a_renewal_is_followed() {
    let world = World::new();
    world.create_configuration().await;
    let first = world.keeper().reconcile().await.unwrap();
    world.pass(DAY * 61);
    let crashed = world.run(world.keeper());
    sleep(Duration::from_secs(5)).await;
    crashed.abort();
    assert!(world.is_trusted(&first, &world.bundle().await));
    let next = world.keeper().reconcile().await.unwrap();
    assert!(next != first);
    assert!(world.is_settled().await);
    assert_eq!(certificates(&world.bundle().await).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_that_may_not_write_says_so_and_waits() {
    let world = World::new();
    let faulty = world.cluster.with_faults(|info| {
        (info.verb == Verb::Create).then(|| Fault::status(403, "Forbidden", "no"))
    });
    let keeper = world.keeper_on(&faulty);
    let error = keeper.reconcile().await.err().unwrap();
    assert_eq!(error.reason(), "Forbidden");
    assert!(error.chain().starts_with("could not write Secret default/tls"), "{}", error.chain());
    let metrics = keeper.telemetry.metrics.clone();
    let before = world.cluster.requests().len();
    let running = world.run(keeper);
    sleep(Duration::from_secs(600)).await;
    running.abort();
    let asked = world.cluster.requests().len() - before;
    assert!(asked < 80, "{asked} calls in ten minutes");
    let page = metrics.encode().unwrap();
    let line =
        "relay_operator_reconcile_errors_total{controller=\"certificate\",reason=\"Forbidden\"}";
    assert!(page.contains(line), "{page}");
}
