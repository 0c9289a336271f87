//! The output of steps and triggers in an object store.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use futures::TryStreamExt as _;
use kube_memory::MemoryCluster;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use relay_core::{Action, SystemClock};
use relay_store::ObjectLogs;
use serde_json::json;

use crate::world::{Answer, World, step};

const BUILD: &str = "10.0.0.1";
const DEPLOY: &str = "10.0.0.2";
const PUSH: &str = "10.0.0.3";

async fn world(logs: &ObjectLogs) -> World {
    let logs = logs.clone();
    let world = World::having(MemoryCluster::new(), |stores| stores.with_logs(logs)).await;
    world.map("r-immutable", &[]).await;
    world.map("r-mutable", &[]).await;
    world.pod_of("build", BUILD, &step("build")).await;
    world.pod_of("deploy", DEPLOY, &step("deploy")).await;
    world.pod_of("push", PUSH, &Action::Trigger { name: "push".parse().unwrap() }).await;
    world
}

async fn octets(world: &World, ip: &str, path: &str, body: Vec<u8>) -> Answer {
    let request = Request::post(path).header("content-type", "application/octet-stream");
    world.send(ip, request.body(Body::from(body)).unwrap()).await
}

/// A field of bytes, all of which are short here.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap();
    assert!(length < 128, "one byte is enough for the length");
    [&[number << 3 | 2, length], bytes].concat()
}

/// Begins a log that asks for the context of somebody else; its id.
async fn begin(world: &World, ip: &str, name: &str) -> String {
    let body = [field(1, b"tenants/other/runs/x/steps/y"), field(2, name.as_bytes())].concat();
    let answer = octets(world, ip, "/logs", body).await;
    assert_eq!(
        (answer.status, answer.headers["content-type"].as_bytes()),
        (201, &b"application/octet-stream"[..])
    );
    let id = answer.body.split_at(2).1.to_owned();
    assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)), "{id}");
    id
}

async fn say(world: &World, ip: &str, id: &str, payload: &[u8]) -> u16 {
    let second = b"\x22\x02\x08\x01".to_vec();
    let body = [field(1, id.as_bytes()), field(3, payload), second].concat();
    octets(world, ip, &format!("/logs/{id}/messages"), body).await.status
}

/// What a store holds, in the order of keys: the directory of each part, and its lines.
async fn stored(store: &dyn ObjectStore) -> Vec<(String, Vec<serde_json::Value>)> {
    let mut objects: Vec<_> = store.list(None).try_collect().await.unwrap();
    objects.sort_by(|a, b| a.location.cmp(&b.location));
    let mut all = Vec::new();
    for object in objects {
        let bytes = store.get(&object.location).await.unwrap().bytes().await.unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let key = object.location.to_string();
        let (log, part) = key.rsplit_once('/').unwrap();
        assert!(part.ends_with(".jsonl"), "{key}");
        all.push((log.rsplit_once('/').unwrap().0.to_owned(), lines));
    }
    all
}

/// Runs the storing while this goes on, and ends it as the program does.
async fn with_storing(logs: &ObjectLogs, work: impl Future<Output = ()>) {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let storing = tokio::spawn(logs.clone().run(async { drop(stopped.await) }));
    work.await;
    drop(stop);
    storing.await.unwrap();
}

#[tokio::test]
async fn output_is_kept_below_the_callers_own_context() {
    let store = Arc::new(InMemory::new());
    let logs = ObjectLogs::new(store.clone(), Path::from("kept"), Arc::new(SystemClock));
    let world = world(&logs).await;
    with_storing(&logs, async {
        let (out, err) =
            (begin(&world, BUILD, "stdout").await, begin(&world, BUILD, "stderr").await);
        let of_trigger = begin(&world, PUSH, "stdout").await;
        for (ip, id, text) in [
            (BUILD, &out, &b"first"[..]),
            (BUILD, &out, &b"\xff"[..]),
            (BUILD, &err, &b""[..]),
            (PUSH, &of_trigger, &b"pushed"[..]),
        ] {
            assert_eq!(say(&world, ip, id, text).await, 202);
        }
        // Nobody has the logs of others, nor one that nobody began.
        assert_eq!(say(&world, DEPLOY, &out, b"foreign").await, 404);
        assert_eq!(say(&world, PUSH, &out, b"foreign").await, 404);
        let renamed = out.replace('.', ".0");
        for made_up in ["x", "...", "0.0.0", renamed.as_str()] {
            assert_eq!(say(&world, BUILD, made_up, b"x").await, 404, "{made_up}");
        }
        let body = [field(1, b"\xff"), field(2, b"stdout")].concat();
        assert_eq!(octets(&world, BUILD, "/logs", body).await.status, 422, "no text");
        for name in [String::new(), "x".repeat(81)] {
            let answer = octets(&world, BUILD, "/logs", field(2, name.as_bytes())).await;
            assert_eq!(answer.status, 422, "{name:?}");
        }
    })
    .await;

    let parts = stored(store.as_ref()).await;
    let build = "kept/tenants/w1/runs/r/steps/build";
    let seen: Vec<_> = parts.iter().map(|(log, lines)| (log.as_str(), lines.len())).collect();
    let expected = [
        (format!("{build}/stderr"), 1),
        (format!("{build}/stdout"), 2),
        ("kept/tenants/w1/triggers/push/stdout".to_owned(), 1),
    ];
    assert_eq!(seen, expected.each_ref().map(|(log, lines)| (log.as_str(), *lines)));
    let lines = &parts[1].1;
    assert_eq!(lines[0]["payload"], "first");
    assert_eq!(lines[0]["time"], "1970-01-01T00:00:01Z");
    assert_eq!(lines[1]["payload"], json!({"$encoding": "base64", "data": "/w=="}));
    assert_ne!(lines[0]["id"], lines[1]["id"]);
}

#[tokio::test]
async fn output_is_kept_in_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("file://{}", directory.path().display());
    let logs = ObjectLogs::from_url(&url, [], Arc::new(SystemClock)).unwrap();
    let world = world(&logs).await;
    with_storing(&logs, async {
        let id = begin(&world, BUILD, "../out put").await;
        assert_eq!(say(&world, BUILD, &id, b"line").await, 202);
        // It comes by itself, well before the end.
        let store =
            object_store::local::LocalFileSystem::new_with_prefix(directory.path()).unwrap();
        let mut attempts = 0;
        while stored(&store).await.is_empty() {
            attempts += 1;
            assert!(attempts < 200);
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        let parts = stored(&store).await;
        assert_eq!(parts[0].0, "tenants/w1/runs/r/steps/build/..%2Fout put");
        assert_eq!(parts[0].1[0]["payload"], "line");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_a_store_output_is_refused() {
    let world = World::new().await;
    world.pod_of("build", BUILD, &step("build")).await;
    let answer = octets(&world, BUILD, "/logs", field(2, b"stdout")).await;
    assert_eq!(answer.status, 403, "{}", answer.body);
}
