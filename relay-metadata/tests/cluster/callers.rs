//! Who is let in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use jsonwebtoken::EncodingKey;
use kube_memory::{Fault, MemoryCluster, Verb};
use relay_core::{Claims, Hs256Key, SealKeys, SigningKey, TokenSealer as _, TokenSigner as _};
use relay_metadata::{Access, ROUTES};
use secrecy::{ExposeSecret as _, SecretSlice};
use serde_json::json;

use crate::world::{NOW, OTHER, PRIVATE, World, step};
use crate::wrong_claims::{changed, wrong_claims};

const GOOD: &str = "10.0.0.1";

/// Pods that must not be let in, each at an address of its own, with the one that must.
async fn strangers(world: &World) -> Vec<(&'static str, String)> {
    let good = step("build");
    let subject = good.subject();
    let signer = SigningKey::from_pem("k", PRIVATE).unwrap();
    world.pod_of("good", GOOD, &good).await;
    let foreign = world.namespace("foreign", None).await;

    let claims = || world.claims(&good);
    let token = signer.sign(&claims()).await.unwrap();
    let other_key = SigningKey::from_pem("k", OTHER).unwrap();
    let public = include_bytes!("ed.public.pem").to_vec();
    let password = Hs256Key::new(&SecretSlice::from(public)).unwrap();
    let own = world.sealed(&signer, &claims()).await;
    let sealed = [
        ("no token", None),
        ("an empty token", Some(String::new())),
        ("not sealed", Some(token.expose_secret().to_owned())),
        ("another seal", SealKeys::generate().seal(&world.namespace_uid, &token).await.ok()),
        ("sealed for another namespace", world.seal.seal(&foreign, &token).await.ok()),
        ("another signature", Some(world.sealed(&other_key, &claims()).await)),
        ("the public key as password", Some(world.sealed(&password, &claims()).await)),
        ("expired", {
            let expires_at = Some(NOW - 60);
            Some(world.sealed(&signer, &Claims { expires_at, ..claims() }).await)
        }),
        ("not valid yet", {
            let not_before = Some(NOW + 61);
            Some(world.sealed(&signer, &Claims { not_before, ..claims() }).await)
        }),
        ("no end", {
            let expires_at = None;
            Some(world.sealed(&signer, &Claims { expires_at, ..claims() }).await)
        }),
        ("another audience", {
            let audience = vec!["other".to_owned()];
            Some(world.sealed(&signer, &Claims { audience, ..claims() }).await)
        }),
        ("another step", Some(world.sealed(&signer, &world.claims(&step("deploy"))).await)),
        ("another run", {
            let run_id = Some("other".to_owned());
            Some(world.sealed(&signer, &Claims { run_id, ..claims() }).await)
        }),
        ("the claim of another namespace", {
            let namespace_uid = Some(foreign.clone());
            Some(world.sealed(&signer, &Claims { namespace_uid, ..claims() }).await)
        }),
        ("the name of another namespace", {
            let namespace_name = Some("foreign".to_owned());
            Some(world.sealed(&signer, &Claims { namespace_name, ..claims() }).await)
        }),
        ("no claim of a namespace", {
            let namespace_uid = None;
            Some(world.sealed(&signer, &Claims { namespace_uid, ..claims() }).await)
        }),
    ];
    let mut strangers = Vec::new();
    for (index, (name, sealed)) in sealed.into_iter().enumerate() {
        let (pod, ip) = (format!("stranger-{index}"), format!("10.0.1.{index}"));
        world.pod("tenant", &pod, &ip, &subject, sealed.as_deref(), json!({})).await;
        strangers.push((name, ip));
    }

    let own = Some(own.as_str());
    world.pod("foreign", "copied", "10.0.2.1", &subject, own, json!({})).await;
    strangers.push(("a token copied to another tenant", "10.0.2.1".to_owned()));
    let host = json!({"hostNetwork": true});
    world.pod("tenant", "host", "10.0.2.2", &subject, own, host).await;
    strangers.push(("the network of the host", "10.0.2.2".to_owned()));
    for pod in ["twin-1", "twin-2"] {
        world.pod("tenant", pod, "10.0.2.3", &subject, own, json!({})).await;
    }
    strangers.push(("two pods", "10.0.2.3".to_owned()));
    world.pod("tenant", "ended", "10.0.2.4", &subject, own, json!({})).await;
    world.report("tenant", "ended", "Succeeded", "10.0.2.4").await;
    strangers.push(("a pod that ended", "10.0.2.4".to_owned()));
    world.pod("tenant", "deleted", "10.0.2.5", &subject, own, json!({})).await;
    world.delete_pod("deleted").await;
    strangers.push(("a pod that was deleted", "10.0.2.5".to_owned()));
    strangers.push(("no pod", "10.0.2.6".to_owned()));
    strangers.push(("no address", "0.0.0.0".to_owned()));
    strangers
}

#[tokio::test(start_paused = true)]
async fn every_route_refuses_every_stranger_alike() {
    let world = World::new().await;
    world.map("r-immutable", &[]).await;
    world.map("r-mutable", &[]).await;
    let strangers = strangers(&world).await;
    let mut first = None;
    for route in ROUTES.iter().filter(|route| route.access() == Access::Callers) {
        let path = route.path().replace("{name}", "x").replace("{step}", "y");
        for (name, ip) in &strangers {
            let mut answer = world.ask(ip, route.method().clone(), &path, "{}").await;
            assert_eq!(answer.status, 401, "{name} {path}: {}", answer.body);
            answer.headers.remove("x-request-id");
            assert_eq!(*first.get_or_insert_with(|| answer.clone()), answer, "{name} {path}");
        }
        let answer = world.ask(GOOD, route.method().clone(), &path, "{}").await;
        assert_ne!(answer.status, 401, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn claims_of_a_wrong_type_are_refused_alike() {
    let world = World::new().await;
    world.map("r-immutable", &[]).await;
    world.map("r-mutable", &[]).await;
    let build = step("build");
    let encoding = EncodingKey::from_ed_pem(PRIVATE).unwrap();
    let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA);
    header.kid = Some("k".to_owned());
    let good = serde_json::to_value(world.claims(&build)).unwrap();
    let mut cases = vec![("good", 200, good.clone())];
    for (name, claim, value) in wrong_claims(NOW) {
        cases.push((name, 401, changed(&good, claim, value)));
    }
    for claim in ["exp", "nbf", "k8s.io/namespace-uid", "k8s.io/namespace-name"] {
        cases.push((claim, 401, changed(&good, claim, None)));
    }
    for (index, (name, status, claims)) in cases.iter().enumerate() {
        let token = jsonwebtoken::encode(&header, claims, &encoding).unwrap();
        let sealed = world.seal.seal(&world.namespace_uid, &token.into()).await.unwrap();
        let (pod, ip) = (format!("p{index}"), format!("10.0.3.{index}"));
        world.pod("tenant", &pod, &ip, &build.subject(), Some(&sealed), json!({})).await;
        let answer = world.get(&ip, "/conditions").await;
        assert_eq!(answer.status, *status, "{name}: {}", answer.body);
    }
    let mut first = None;
    for (index, (name, ..)) in cases.iter().enumerate().skip(1) {
        let mut answer = world.get(&format!("10.0.3.{index}"), "/spec").await;
        answer.headers.remove("x-request-id");
        assert_eq!(*first.get_or_insert_with(|| answer.clone()), answer, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_that_went_to_a_stranger_is_refused() {
    let world = World::new().await;
    world.map("r-immutable", &[]).await;
    world.map("r-mutable", &[]).await;
    world.pod_of("good", GOOD, &step("build")).await;
    assert_eq!(world.get(GOOD, "/conditions").await.status, 200);
    world.delete_pod("good").await;
    world.pod("tenant", "stranger", GOOD, "steps/x", None, json!({})).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.get(GOOD, "/conditions").await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn no_header_matters() {
    let world = World::new().await;
    world.map("r-immutable", &[]).await;
    world.map("r-mutable", &[]).await;
    world.pod_of("good", GOOD, &step("build")).await;
    assert_eq!(world.get(GOOD, "/conditions").await.status, 200);
    assert_eq!(world.get("::ffff:10.0.0.1", "/conditions").await.status, 200);
    let signer = SigningKey::from_pem("k", PRIVATE).unwrap();
    let token = signer.sign(&world.claims(&step("build"))).await.unwrap();
    for (name, value) in [
        ("x-forwarded-for", GOOD.to_owned()),
        ("forwarded", format!("for={GOOD}")),
        ("x-real-ip", GOOD.to_owned()),
        (header::AUTHORIZATION.as_str(), format!("Bearer {}", token.expose_secret())),
    ] {
        let request = Request::builder().uri("/conditions").header(name, value);
        let answer = world.send("10.9.9.9", request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 401, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_goes_to_the_next_pod_with_its_own_identity() {
    let world = World::new().await;
    let spec = |name: &str, text: &str| {
        (relay_store::key::spec(&step(name)), format!(r#"{{"is":"{text}"}}"#))
    };
    world.map("r-immutable", &[spec("build", "first"), spec("deploy", "second")]).await;
    world.map("r-mutable", &[]).await;
    world.pod_of("first", GOOD, &step("build")).await;
    assert_eq!(world.get(GOOD, "/spec").await.json()["value"]["is"], "first");
    world.delete_pod("first").await;
    world.pod_of("second", GOOD, &step("deploy")).await;
    // The watch brings the news in its own time; what it has not brought is refused or the old pod.
    let mut seen = Vec::new();
    while seen.last() != Some(&json!("second")) {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let answer = world.get(GOOD, "/spec").await;
        seen.push(answer.json()["value"]["is"].clone());
        assert!(seen.len() < 500, "{seen:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_not_known_yet_is_waited_for() {
    let world = World::new().await;
    world.map("r-immutable", &[]).await;
    world.map("r-mutable", &[]).await;
    let early = world.get(GOOD, "/conditions");
    let late = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        world.pod_of("late", GOOD, &step("build")).await;
    };
    let (answer, ()) = tokio::join!(early, late);
    assert_eq!(answer.status, 200, "{}", answer.body);

    let started = tokio::time::Instant::now();
    assert_eq!(world.get("10.9.9.9", "/conditions").await.status, 401);
    assert_eq!(started.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_so_many_wait() {
    let world = World::new().await;
    let started = tokio::time::Instant::now();
    let mut at_once = 0;
    let mut asked: futures::stream::FuturesUnordered<_> =
        (0..300).map(|_| world.get("10.9.9.9", "/conditions")).collect();
    while let Some(answer) = futures::StreamExt::next(&mut asked).await {
        assert_eq!(answer.status, 401);
        at_once += usize::from(started.elapsed() < Duration::from_secs(4));
    }
    assert_eq!(at_once, 300 - 256);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_of_a_pod_expires_all_the_same() {
    let world = World::new().await;
    world.map("r-immutable", &[]).await;
    world.map("r-mutable", &[]).await;
    world.pod_of("good", GOOD, &step("build")).await;
    for (second, status) in [(NOW, 200), (NOW + 3659, 200), (NOW + 3660, 401), (NOW, 200)] {
        world.clock.set(second);
        assert_eq!(world.get(GOOD, "/conditions").await.status, status, "{second}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_does_not_answer_is_no_refusal() {
    let cluster = MemoryCluster::new().with_faults(|request| {
        let read = request.resource == "namespaces" && request.verb == Verb::Get;
        read.then(|| Fault::status(503, "ServiceUnavailable", "canary"))
    });
    let world = World::on(cluster).await;
    world.pod_of("good", GOOD, &step("build")).await;
    let answer = world.get(GOOD, "/conditions").await;
    assert_eq!(answer.status, 500, "{}", answer.body);
    assert!(answer.body.contains("rma_model_read_error"), "{}", answer.body);
    assert!(!answer.body.contains("canary"), "{}", answer.body);
}

/// A cluster whose pods cannot be read while the switch is on.
fn that_goes_silent() -> (MemoryCluster, Arc<AtomicBool>) {
    let silent = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&silent);
    let cluster = MemoryCluster::new().with_faults(move |request| {
        let read = matches!(request.verb, Verb::Get | Verb::List | Verb::Watch);
        let hit = read && request.resource == "pods" && silent.load(Ordering::Relaxed);
        hit.then(|| Fault::status(503, "ServiceUnavailable", "away"))
    });
    (cluster, switch)
}

#[tokio::test(start_paused = true)]
async fn without_news_of_pods_an_address_is_nobodys() {
    let (cluster, silent) = that_goes_silent();
    let world = World::on(cluster).await;
    let spec = (relay_store::key::spec(&step("build")), r#"{"is":"first"}"#.to_owned());
    world.map("r-immutable", &[spec]).await;
    world.map("r-mutable", &[]).await;
    world.pod_of("first", GOOD, &step("build")).await;
    world.pod_of("stays", "10.0.0.2", &step("build")).await;
    assert_eq!(world.get(GOOD, "/spec").await.status, 200);
    assert!(world.pods.is_ready());

    silent.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!world.pods.is_ready());
    for ip in [GOOD, "10.0.0.2", "10.9.9.9"] {
        let answer = world.get(ip, "/spec").await;
        assert_eq!(answer.status, 500, "{ip}: {}", answer.body);
        assert!(answer.body.contains("rma_model_read_error"), "{ip}: {}", answer.body);
    }

    silent.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(world.pods.is_ready());
    assert_eq!(world.get(GOOD, "/spec").await.status, 200);
    assert_eq!(world.get("10.9.9.9", "/spec").await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn without_news_a_pod_is_asked_for_by_itself() {
    // Only what watches and lists is out of reach.
    let silent = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&silent);
    let cluster = MemoryCluster::new().with_faults(move |request| {
        let read = matches!(request.verb, Verb::List | Verb::Watch);
        let hit = read && request.resource == "pods" && silent.load(Ordering::Relaxed);
        hit.then(|| Fault::status(503, "ServiceUnavailable", "away"))
    });
    let world = World::on(cluster).await;
    world.map("r-immutable", &[]).await;
    world.map("r-mutable", &[]).await;
    world.pod_of("goes", GOOD, &step("build")).await;
    world.pod_of("ends", "10.0.0.2", &step("build")).await;
    world.pod_of("stays", "10.0.0.3", &step("build")).await;
    assert_eq!(world.get(GOOD, "/conditions").await.status, 200);

    switch.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.delete_pod("goes").await;
    world.pod_of("goes", GOOD, &step("deploy")).await;
    world.report("tenant", "ends", "Succeeded", "10.0.0.2").await;
    for (ip, status) in [(GOOD, 500), ("10.0.0.2", 500), ("10.0.0.3", 200)] {
        assert_eq!(world.get(ip, "/conditions").await.status, status, "{ip}");
    }
    let asked = || {
        let all = world.cluster.requests().into_iter();
        all.filter(|request| request.resource == "pods" && request.verb == Verb::Get).count()
    };
    let before = asked();
    for _ in 0..20 {
        assert_eq!(world.get("10.0.0.3", "/conditions").await.status, 200);
    }
    assert_eq!(asked(), before, "what was confirmed a moment ago");
}

#[tokio::test(start_paused = true)]
async fn before_the_pods_are_known_nobody_is_refused() {
    let (cluster, silent) = that_goes_silent();
    silent.store(true, Ordering::Relaxed);
    let world = World::on(cluster).await;
    let answer = world.get(GOOD, "/spec").await;
    assert_eq!(answer.status, 500, "{}", answer.body);
}
