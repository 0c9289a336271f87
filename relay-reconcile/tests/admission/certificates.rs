//! The certificate of the webhook, and its CA in the configuration.

use std::time::Duration;

use futures::StreamExt as _;
use jiff::SignedDuration;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube_memory::{Fault, RequestInfo, Verb};
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::webhook::{DAY, Made, World, certificates};

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
