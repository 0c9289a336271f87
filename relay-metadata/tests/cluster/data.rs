//! What callers get, and what it costs the API server.

use std::time::Duration;

use axum::http::Method;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::DeleteParams;
use relay_core::{Action, Claims, Journal as _, SigningKey, Value};
use relay_store::{ConfigMapJournal, key};
use serde_json::json;

use crate::world::{PRIVATE, World, step};

const BUILD: &str = "10.0.0.1";
const DEPLOY: &str = "10.0.0.2";

const SPEC: &str = r#"{"a": "${secrets.pw}", "b": "${connections.http.api.user}",
    "c": "${parameters.p}", "d": "${outputs.build.o}", "e": "${steps.build.succeeded}",
    "f": {"$type": "Secret", "name": "odd name"}}"#;

async fn run() -> World {
    let world = World::new().await;
    let json =
        |key: Result<String, relay_core::StoreError>, text: &str| (key.unwrap(), text.to_owned());
    let deploy = step("deploy");
    world
        .map(
            "r-immutable",
            &[json(Ok(key::spec(&deploy)), SPEC), json(key::parameter("p"), "9007199254740993")],
        )
        .await;
    world.map("r-mutable", &[json(key::state(&deploy, "s"), "[1]")]).await;
    world.secret("one", json!({"relay.sh/secret": "pw"}), json!({}), json!({"value": "all"})).await;
    let own = json!({"relay.sh/secret": "pw", "relay.sh/workflow": "w1"});
    world.secret("own", own, json!({}), json!({"value": "hunter2"})).await;
    let other = json!({"relay.sh/secret": "theirs", "relay.sh/workflow": "w2"});
    world.secret("other", other, json!({}), json!({"value": "canary"})).await;
    let hashed = json!({"relay.sh/secret": "hash-0123456789"});
    let named = json!({"relay.sh/name": "odd name"});
    world.secret("odd", hashed, named, json!({"value": "odd"})).await;
    let connection = json!({"relay.sh/connection": "http.api"});
    world.secret("api", connection, json!({}), json!({"user": "robot", "key": "k"})).await;
    world.pod_of("build", BUILD, &step("build")).await;
    world.pod_of("deploy", DEPLOY, &deploy).await;
    world
}

#[tokio::test(start_paused = true)]
async fn a_warm_spec_makes_no_call_at_all() {
    let world = run().await;
    let status = r#"{"process_state": {"exit_code": 0, "timestamp": "2031-02-03T04:05:06Z"}}"#;
    assert_eq!(world.ask(BUILD, Method::PUT, "/outputs/o", "out").await.status, 201);
    assert_eq!(world.ask(BUILD, Method::PUT, "/status", status).await.status, 201);
    let expected = json!({
        "value": {
            "a": "hunter2", "b": "robot", "c": 9_007_199_254_740_993_i64, "d": "out", "e": true,
            "f": "odd",
        },
        "unresolvable": {}, "complete": true,
    });
    world.get(DEPLOY, "/spec").await.is(200, &expected);
    // The watches that the first request began hold everything after a moment.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = world.cluster.request_count();
    for _ in 0..20 {
        world.get(DEPLOY, "/spec").await.is(200, &expected);
    }
    assert_eq!(world.cluster.request_count(), before);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_asked_for_before_that_is_said() {
    let world = run().await;
    world.get(DEPLOY, "/outputs/build/o").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let deploy = ConfigMapJournal::new(world.client.clone(), "tenant", "r-mutable", step("build"));
    for index in 0..20 {
        // Written past this API, as by another replica, and read at once.
        let name = format!("o{index}");
        deploy.set_output(&name, Value::from(i64::from(index))).await.unwrap();
        let answer = world.get(DEPLOY, &format!("/outputs/build/{name}")).await;
        assert_eq!((answer.status, &answer.json()["value"]), (200, &json!(index)), "{name}");
    }
    assert_eq!(world.get(DEPLOY, "/outputs/build/none").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn what_was_written_is_read_back_at_once() {
    let world = run().await;
    world.get(BUILD, "/outputs/build/o").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    for index in 0..20 {
        let text = index.to_string();
        assert_eq!(world.ask(BUILD, Method::PUT, "/outputs/o", &text).await.status, 201);
        let answer = world.get(DEPLOY, "/outputs/build/o").await;
        assert_eq!(answer.json()["value"], json!(text));
    }
}

#[tokio::test(start_paused = true)]
async fn writes_at_the_same_time_are_all_kept() {
    let world = run().await;
    let writes = (0..100).map(|index| {
        let (ip, path) =
            (if index % 2 == 0 { BUILD } else { DEPLOY }, format!("/outputs/o{index}"));
        let world = &world;
        async move { world.ask(ip, Method::PUT, &path, "x").await.status }
    });
    let before = world.cluster.writes();
    let statuses: Vec<_> = writes.collect::<futures::stream::FuturesUnordered<_>>().collect().await;
    assert_eq!(statuses, [201; 100]);
    assert_eq!(world.cluster.writes() - before, 100, "one patch each");
    for index in 0..100 {
        let name = if index % 2 == 0 { "build" } else { "deploy" };
        let answer = world.get(DEPLOY, &format!("/outputs/{name}/o{index}")).await;
        assert_eq!(answer.status, 200, "{index}");
    }
}

#[tokio::test(start_paused = true)]
async fn secrets_of_other_workflows_and_namespaces_are_not_there() {
    let world = run().await;
    for (name, status) in [("pw", 200), ("odd%20name", 200), ("theirs", 404), ("none", 404)] {
        let answer = world.get(DEPLOY, &format!("/secrets/{name}")).await;
        assert_eq!(answer.status, status, "{name}");
        assert!(!answer.body.contains("canary"), "{name}");
    }
    world.get(DEPLOY, "/secrets/pw").await.is(200, &json!({"key": "pw", "value": "hunter2"}));
    world.get(DEPLOY, "/state/s").await.is(200, &json!({"key": "s", "value": [1]}));
    assert_eq!(world.get(BUILD, "/state/s").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn triggers_belong_to_no_run() {
    let world = run().await;
    let trigger = Action::Trigger { name: "push".parse().unwrap() };
    let spec = r#"{"s": "${secrets.pw}", "p": "${parameters.p}"}"#;
    world.map("t-immutable", &[(key::spec(&trigger), spec.to_owned())]).await;
    world.map("t-mutable", &[]).await;
    let claims = Claims {
        immutable_config_map: Some("t-immutable".to_owned()),
        mutable_config_map: Some("t-mutable".to_owned()),
        ..world.claims(&trigger)
    };
    let signer = SigningKey::from_pem("k", PRIVATE).unwrap();
    let sealed = world.sealed(&signer, &claims).await;
    let subject = trigger.subject();
    world.pod("tenant", "trigger", "10.0.0.9", &subject, Some(&sealed), json!({})).await;
    for (method, path, status) in [
        (Method::GET, "/spec?q=s", 200),
        (Method::GET, "/spec?q=p", 422),
        (Method::GET, "/secrets/pw", 200),
        (Method::PUT, "/status", 201),
        (Method::PUT, "/outputs/o", 403),
        (Method::GET, "/outputs/build/o", 403),
        (Method::POST, "/decorators/d", 403),
        (Method::POST, "/events", 403),
        (Method::POST, "/logs", 403),
        (Method::POST, "/workflows/w/run", 403),
    ] {
        let answer = world.ask("10.0.0.9", method, path, "{}").await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
    }
}

/// What claims do not name is not there for their holder, and the rest is.
#[tokio::test(start_paused = true)]
async fn claims_may_name_no_config_map() {
    let world = run().await;
    let claims = world.claims(&step("deploy"));
    let none = Claims { immutable_config_map: None, mutable_config_map: None, ..claims.clone() };
    let immutable = Claims { mutable_config_map: None, ..claims };
    let signer = SigningKey::from_pem("k", PRIVATE).unwrap();
    for (name, ip, claims, spec, output) in
        [("none", "10.0.0.7", none, 403, 403), ("immutable", "10.0.0.8", immutable, 200, 403)]
    {
        let sealed = world.sealed(&signer, &claims).await;
        let subject = step("deploy").subject();
        world.pod("tenant", name, ip, &subject, Some(&sealed), json!({})).await;
        for (method, path, status) in [
            (Method::GET, "/secrets/pw", 200),
            (Method::GET, "/spec?q=f", spec),
            (Method::PUT, "/outputs/o", output),
            (Method::GET, "/state/s", 403),
        ] {
            let answer = world.ask(ip, method, path, "1").await;
            assert_eq!(answer.status, status, "{name} {path}: {}", answer.body);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_step_is_told_of_its_error_whoever_has_the_same() {
    let world = World::new().await;
    let build = step("build");
    let broken = (key::condition(&build), r#"["text"]"#.to_owned());
    let messages = async || {
        let maps: Api<ConfigMap> = Api::namespaced(world.client.clone(), "tenant");
        let data = maps.get("r-mutable").await.unwrap().data.unwrap_or_default();
        data.keys().filter(|key| key.contains(".message.")).count()
    };
    for pod in ["first", "again"] {
        world.map("r-immutable", std::slice::from_ref(&broken)).await;
        world.map("r-mutable", &[]).await;
        world.pod_of(pod, "10.0.0.1", &build).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        for _ in 0..3 {
            assert_eq!(world.get("10.0.0.1", "/conditions").await.status, 422, "{pod}");
        }
        assert_eq!(messages().await, 1, "{pod}");
        // The run is made again under its name.
        world.delete_pod(pod).await;
        let maps: Api<ConfigMap> = Api::namespaced(world.client.clone(), "tenant");
        for map in ["r-immutable", "r-mutable"] {
            maps.delete(map, &DeleteParams::default()).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
