//! The log store when its object store is slow, broken, or not there.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use object_store::{ObjectStore, ObjectStoreExt as _};
use relay_core::{LogMessage, LogSink as _, StoreError, SystemClock};
use relay_store::{ObjectLogs, StorageError};

fn message(payload: &[u8]) -> LogMessage {
    LogMessage { media_type: String::new(), payload: payload.to_vec(), timestamp: None }
}

async fn text(store: &dyn ObjectStore) -> String {
    let mut objects: Vec<_> = store.list(None).try_collect().await.unwrap();
    objects.sort_by(|a, b| a.location.cmp(&b.location));
    let mut text = String::new();
    for object in objects {
        let bytes = store.get(&object.location).await.unwrap().bytes().await.unwrap();
        text.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    text
}

#[test]
fn addresses() {
    let missing = "file:///no/such/directory";
    type Check = fn(&StorageError) -> bool;
    let cases: [(&str, Check); 4] = [
        ("nothing", |error| matches!(error, StorageError::Address)),
        (missing, |error| matches!(error, StorageError::Directory { .. })),
        ("ftp://host/x", |error| matches!(error, StorageError::Store { .. })),
        ("az://container/x", |error| matches!(error, StorageError::Store { .. })),
    ];
    for (address, is_right) in cases {
        let error = ObjectLogs::from_url(address, [], Arc::new(SystemClock)).unwrap_err();
        assert!(is_right(&error), "{address}: {error:?}");
    }
    assert!(ObjectLogs::from_url("memory:///logs", [], Arc::new(SystemClock)).is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_a_slow_store_cannot_take_is_not_taken() {
    const MEGABYTE: usize = 1 << 20;
    let never =
        ThrottleConfig { wait_put_per_call: Duration::from_secs(1 << 20), ..Default::default() };
    let store = Arc::new(ThrottledStore::new(InMemory::new(), never));
    let logs = ObjectLogs::new(store, Path::default(), Arc::new(SystemClock));
    let storing = tokio::spawn(logs.clone().run(std::future::pending()));
    let caller = logs.of("tenants/t/runs/r/steps/s");
    let id = caller.create("stdout").await.unwrap().unwrap();
    let payload = vec![b'x'; MEGABYTE];
    let mut taken = 0;
    let refused = loop {
        match caller.append(&id, message(&payload)).await {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 100);
    };
    assert!(matches!(refused, StoreError::Backend { .. }), "{refused:?}");
    assert_eq!(taken, 31, "32 MiB, and each message is a little more than one");
    storing.abort();
}

#[tokio::test]
async fn what_could_not_be_stored_is_tried_again_in_its_order() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("file://{}", directory.path().display());
    // A file where the directory has to be.
    let obstacle = directory.path().join("tenants");
    std::fs::write(&obstacle, "").unwrap();
    let logs = ObjectLogs::from_url(&url, [], Arc::new(SystemClock)).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let storing = tokio::spawn(logs.clone().run(async { drop(stopped.await) }));
    let caller = logs.of("tenants/t/runs/r/steps/s");
    let id = caller.create("stdout").await.unwrap().unwrap();
    caller.append(&id, message(b"first")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    caller.append(&id, message(b"second")).await.unwrap();
    std::fs::remove_file(&obstacle).unwrap();
    drop(stop);
    storing.await.unwrap();
    let store = object_store::local::LocalFileSystem::new_with_prefix(directory.path()).unwrap();
    let text = text(&store).await;
    let (first, second) = (text.find("first").unwrap(), text.find("second").unwrap());
    assert!(first < second, "{text}");
    assert_eq!(text.lines().count(), 2, "{text}");
}

#[tokio::test(start_paused = true)]
async fn output_is_gathered() {
    let store = Arc::new(InMemory::new());
    let logs = ObjectLogs::new(store.clone(), Path::default(), Arc::new(SystemClock));
    let storing = tokio::spawn(logs.clone().run(std::future::pending()));
    let caller = logs.of("tenants/t/runs/r/steps/s");
    let id = caller.create("stdout").await.unwrap().unwrap();
    for index in 0..500 {
        caller.append(&id, message(format!("{index}").as_bytes())).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let objects: Vec<_> = store.list(None).try_collect().await.unwrap();
    assert_eq!(objects.len(), 1, "{objects:?}");
    assert_eq!(text(store.as_ref()).await.lines().count(), 500);
    storing.abort();
}
