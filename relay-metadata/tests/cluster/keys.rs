//! Keys that are rotated in their Secrets, while requests go on.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use kube_memory::MemoryCluster;
use relay_core::{SealKeys, SigningKey, TokenSealer as _, TokenSigner as _};
use relay_metadata::cluster::{ClusterStores, PodAuthenticator, PodIndex};
use relay_metadata::{KeyFilesError, Router, SealKeyFiles, VerifyingKeyFiles};
use serde_json::json;
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::world::{OTHER, PRIVATE, World, step};

const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];

/// A mounted Secret: files are links into a directory, and a link says which directory counts.
struct Mount(TempDir, u32);

impl Mount {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let mut mount = Self(TempDir::new().unwrap(), 0);
        mount.change(files);
        mount
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// What the kubelet does when the Secret changes.
    fn change(&mut self, files: &[(&str, &[u8])]) {
        let (path, before) = (self.0.path(), format!("..{}", self.1));
        self.1 += 1;
        let version = format!("..{}", self.1);
        std::fs::create_dir(path.join(&version)).unwrap();
        for (name, content) in files {
            std::fs::write(path.join(&version).join(name), content).unwrap();
        }
        symlink(&version, path.join("..data_tmp")).unwrap();
        std::fs::rename(path.join("..data_tmp"), path.join("..data")).unwrap();
        for (name, _) in files {
            let _ = symlink(Path::new("..data").join(name), path.join(name));
        }
        let _ = std::fs::remove_dir_all(path.join(before));
    }
}

fn public(private: &[u8]) -> String {
    rcgen::KeyPair::from_pem(std::str::from_utf8(private).unwrap()).unwrap().public_key_pem()
}

/// A pod whose token is signed and sealed with these.
async fn pod(world: &World, name: &str, ip: &str, private: &[u8], seal: (&str, [u8; 32])) {
    let id = if private == PRIVATE { "k1" } else { "k2" };
    let (action, signer) = (step("build"), SigningKey::from_pem(id, private).unwrap());
    let token = signer.sign(&world.claims(&action)).await.unwrap();
    let keys = SealKeys::new([(seal.0.to_owned(), seal.1)]);
    let sealed = keys.seal(&world.namespace_uid, &token).await.unwrap();
    world.pod("tenant", name, ip, &action.subject(), Some(&sealed), json!({})).await;
}

/// Lets the time pass after which files have been looked at.
async fn pass() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(11)).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    tokio::time::resume();
}

async fn numbers(router: &Router) -> String {
    let request = Request::builder().uri("/metrics").body(Body::empty()).unwrap();
    let response = router.metrics().router(None).oneshot(request).await.unwrap();
    let page = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(page.to_vec()).unwrap()
}

#[tokio::test]
async fn keys_are_rotated_without_a_restart() {
    let mut world = World::on(MemoryCluster::new()).await;
    world.map("r-immutable", &[]).await;
    world.map("r-mutable", &[]).await;
    let (old, new) = (public(PRIVATE), public(OTHER));
    let mut seals = Mount::new(&[("2025", &OLD)]);
    let mut verifies = Mount::new(&[("k1", old.as_bytes())]);
    let unsealing = SealKeyFiles::read(seals.path()).unwrap();
    let verifying = VerifyingKeyFiles::read(verifies.path()).unwrap();
    let pods = PodIndex::new();
    tokio::spawn(pods.clone().run(world.client.clone()));
    let stores = ClusterStores::new(world.client.clone(), relay_store::sink_client().unwrap());
    let (seal, verify) = (Arc::new(unsealing.clone()), Arc::new(verifying.clone()));
    let authenticator = PodAuthenticator::new(world.client.clone(), pods, seal, verify, stores);
    world.router = Router::new(Arc::new(authenticator.with_clock(world.clock.clone())))
        .with_clock(world.clock.clone());
    tokio::spawn(unsealing.follow(world.router.metrics()));
    tokio::spawn(verifying.follow(world.router.metrics()));
    tokio::task::yield_now().await;

    pod(&world, "k1", "10.0.0.1", PRIVATE, ("2025", OLD)).await;
    pod(&world, "k2", "10.0.0.2", OTHER, ("2026", NEW)).await;
    assert_eq!(world.get("10.0.0.1", "/spec").await.status, 404);
    assert_eq!(world.get("10.0.0.2", "/spec").await.status, 401, "a key that is not there yet");

    // What cannot be used changes nothing, of all the keys beside it either.
    seals.change(&[("2025", &OLD), ("2026", b"short")]);
    verifies.change(&[("k2", b"no key")]);
    pass().await;
    pod(&world, "still", "10.0.0.3", PRIVATE, ("2025", OLD)).await;
    assert_eq!(world.get("10.0.0.3", "/spec").await.status, 404);
    let page = numbers(&world.router).await;
    for line in [
        r#"relay_metadata_outdated{files="seal-keys"} 1"#,
        r#"relay_metadata_outdated{files="verification-keys"} 1"#,
        r#"relay_metadata_reloads_total{files="seal-keys",result="failed"} 1"#,
        r#"relay_metadata_keys{files="seal-keys"} 1"#,
    ] {
        assert!(page.contains(line), "{line} is missing in\n{page}");
    }

    seals.change(&[("2025", &OLD), ("2026", &NEW)]);
    verifies.change(&[("k1", old.as_bytes()), ("k2", new.as_bytes())]);
    pass().await;
    assert_eq!(world.get("10.0.0.2", "/spec").await.status, 404, "the new key");
    pod(&world, "late", "10.0.0.4", PRIVATE, ("2025", OLD)).await;
    assert_eq!(world.get("10.0.0.4", "/spec").await.status, 404, "the old one as well");
    let page = numbers(&world.router).await;
    for line in [
        r#"relay_metadata_outdated{files="seal-keys"} 0"#,
        r#"relay_metadata_outdated{files="verification-keys"} 0"#,
        r#"relay_metadata_reloads_total{files="verification-keys",result="ok"} 1"#,
        r#"relay_metadata_keys{files="seal-keys"} 2"#,
        r#"relay_metadata_keys{files="verification-keys"} 2"#,
    ] {
        assert!(page.contains(line), "{line} is missing in\n{page}");
    }

    seals.change(&[("2026", &NEW)]);
    pass().await;
    pod(&world, "too-late", "10.0.0.5", PRIVATE, ("2025", OLD)).await;
    assert_eq!(world.get("10.0.0.5", "/spec").await.status, 401, "a key that was taken away");
}

#[test]
fn directories_that_hold_no_keys() {
    let empty = TempDir::new().unwrap();
    let nowhere = empty.path().join("nowhere");
    assert!(matches!(SealKeyFiles::read(nowhere), Err(KeyFilesError::Read { .. })));
    assert!(matches!(SealKeyFiles::read(empty.path()), Err(KeyFilesError::Empty { .. })));
    let short = Mount::new(&[("a", &OLD), ("b", b"canary")]);
    let error = SealKeyFiles::read(short.path()).unwrap_err();
    assert!(matches!(&error, KeyFilesError::Seal { id } if id == "b"));
    assert!(!format!("{error:?}").contains("canary"));
    let error = VerifyingKeyFiles::read(short.path()).unwrap_err();
    assert!(matches!(error, KeyFilesError::Verify(_)));
    let good = Mount::new(&[("a", &OLD)]);
    assert!(!format!("{:?}", SealKeyFiles::read(good.path()).unwrap()).contains("[1, 1"));
}
