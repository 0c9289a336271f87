//! Claims that hold a service account token: what is read and written goes through it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::Method;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::PostParams;
use kube::{Api, Client};
use kube_memory::MemoryCluster;
use relay_core::{Claims, SigningKey};
use relay_store::key;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use crate::world::{PRIVATE, World, step};

const OWN: &str = "10.0.0.1";
const ACTING: &str = "10.0.0.2";

async fn map(client: &Client, name: &str, data: &[(String, String)]) {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), "tenant");
    let mut map = ConfigMap { data: Some(data.iter().cloned().collect()), ..Default::default() };
    map.metadata.name = Some(name.to_owned());
    api.create(&PostParams::default(), &map).await.unwrap();
}

/// An API server for each identity tells them apart: what a caller with a token sees is there only
/// under that token.
struct Accounts {
    world: World,
    theirs: MemoryCluster,
    tokens: Arc<Mutex<Vec<String>>>,
}

async fn accounts() -> Accounts {
    let theirs = MemoryCluster::new();
    let client = theirs.client("default");
    let tokens = Arc::<Mutex<Vec<String>>>::default();
    let (seen, given) = (tokens.clone(), client.clone());
    let client_of = move |token: &SecretString| {
        seen.lock().unwrap().push(token.expose_secret().to_owned());
        Ok(given.clone())
    };
    let change = |stores: relay_metadata::cluster::ClusterStores| stores.with_accounts(client_of);
    let world = World::having(MemoryCluster::new(), change).await;
    let spec = |text: &str| (key::spec(&step("build")), format!(r#"{{"seen": "{text}"}}"#));
    world.map("r-immutable", &[spec("by our own account")]).await;
    world.map("r-mutable", &[]).await;
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some("tenant".to_owned());
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    map(&client, "r-immutable", &[spec("by theirs")]).await;
    map(&client, "r-mutable", &[]).await;

    world.pod_of("own", OWN, &step("build")).await;
    let signer = SigningKey::from_pem("k", PRIVATE).unwrap();
    let service_account_token = Some(SecretString::from("account-token"));
    let claims = Claims { service_account_token, ..world.claims(&step("build")) };
    let sealed = world.sealed(&signer, &claims).await;
    let subject = step("build").subject();
    world.pod("tenant", "acting", ACTING, &subject, Some(&sealed), json!({})).await;
    Accounts { world, theirs, tokens }
}

#[tokio::test(start_paused = true)]
async fn config_maps_are_read_by_name_with_the_callers_account() {
    let Accounts { world, theirs, tokens } = accounts().await;
    let seen = |text: &str| json!({"value": {"seen": text}, "unresolvable": {}, "complete": true});
    world.get(OWN, "/spec").await.is(200, &seen("by our own account"));
    assert!(tokens.lock().unwrap().is_empty());

    world.get(ACTING, "/spec").await.is(200, &seen("by theirs"));
    let before = theirs.request_count();
    for _ in 0..10 {
        world.get(ACTING, "/spec").await.is(200, &seen("by theirs"));
    }
    // Kept for a second, which ten requests do not take.
    assert!(theirs.request_count() <= before + 1, "{before}, {}", theirs.request_count());
    assert_eq!(*tokens.lock().unwrap(), ["account-token"], "one client for a pod");
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_kept_for_a_second() {
    let Accounts { world, theirs, .. } = accounts().await;
    assert_eq!(world.get(ACTING, "/spec").await.status, 200);
    let api: Api<ConfigMap> = Api::namespaced(theirs.client("default"), "tenant");
    api.delete("r-immutable", &Default::default()).await.unwrap();
    let other = [(key::spec(&step("build")), r#"{"seen": "another one"}"#.to_owned())];
    map(&theirs.client("default"), "r-immutable", &other).await;
    // The clock of the cache is the machine's, which tests cannot turn.
    std::thread::sleep(Duration::from_millis(1100));
    let answer = world.get(ACTING, "/spec").await;
    assert_eq!(answer.json()["value"]["seen"], "another one");
}

#[tokio::test(start_paused = true)]
async fn outputs_are_written_and_read_with_the_callers_account() {
    let Accounts { world, theirs, .. } = accounts().await;
    let ours = world.cluster.writes();
    assert_eq!(world.ask(ACTING, Method::PUT, "/outputs/o", "made").await.status, 201);
    assert_eq!(world.cluster.writes(), ours);
    let answer = world.get(ACTING, "/outputs/build/o").await;
    assert_eq!(answer.json()["value"], "made");
    assert_eq!(world.get(OWN, "/outputs/build/o").await.status, 404);
    // Written past this API and read at once: what changes is not kept at all.
    assert_eq!(world.ask(ACTING, Method::PUT, "/outputs/o", "again").await.status, 201);
    assert_eq!(world.get(ACTING, "/outputs/build/o").await.json()["value"], "again");
    let map: Api<ConfigMap> = Api::namespaced(theirs.client("default"), "tenant");
    let stored = map.get("r-mutable").await.unwrap().data.unwrap();
    assert_eq!(stored[&key::output(&step("build"), "o").unwrap()], "\"again\"");
}
