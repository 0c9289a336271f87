//! Asking for many images, and where.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::http::Uri;
use jiff::{SignedDuration, Timestamp};
use relay_core::{Clock, ImageError, ImageInspector, ImageProgram, RegistryLogin};
use relay_model::v1beta1::RunStatus;
use relay_reconcile::{Context, Registries};
use serde_json::json;
use tokio::time::Instant;

use crate::world::World;

/// Takes its time, and is not there.
#[derive(Debug)]
struct Unreachable;

#[async_trait]
impl ImageInspector for Unreachable {
    async fn inspect(&self, image: &str, _: &[RegistryLogin]) -> Result<ImageProgram, ImageError> {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let problem = "nobody answers".to_owned();
        Err(ImageError { image: image.to_owned(), problem, is_temporary: true })
    }
}

/// The clock of the test, which goes on when nothing else does.
#[derive(Debug)]
struct Virtual(Instant);

impl Clock for Virtual {
    fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.0.elapsed()).unwrap();
        Timestamp::from_second(1_800_000_000).unwrap() + passed
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_with_many_images_begins_though_no_registry_answers() {
    let mut world = World::still();
    world.context = Arc::new(Context {
        images: Some(Arc::new(Unreachable)),
        clock: Arc::new(Virtual(Instant::now())),
        ..Context::clone(&world.context)
    });
    let world = world.start();
    world.create_tenant("demo").await;
    let steps: Vec<_> = (0..40)
        .map(|number| json!({"name": format!("s{number}"), "image": format!("r.test/i{number}")}))
        .collect();
    world.create_workflow("w", json!(steps)).await;
    world.create_run("r", "w").await;
    let mut status = RunStatus::default();
    // Five rounds of eight, 30 s each.
    for _ in 0..300 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        status = world.runs().get("r").await.unwrap().status.unwrap_or_default();
        if status.start_time.is_some() {
            return;
        }
    }
    panic!("it still waits: {:?}", status.condition("Completed"));
}

#[tokio::test]
async fn a_registry_nearby_is_asked_without_tls_too() {
    let answer = async |uri: Uri| {
        const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
        const CONFIG: &str = r#"{"config": {"Entrypoint": ["/it"]}}"#;
        let digest =
            format!("sha256:{}", hex::encode(<sha2::Sha256 as sha2::Digest>::digest(CONFIG)));
        let config = json!({
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest, "size": CONFIG.len(),
        });
        let manifest =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []});
        let body = match uri.path() {
            "/v2/" => String::new(),
            path if path.contains("/manifests/") => manifest.to_string(),
            _ => CONFIG.to_owned(),
        };
        ([("content-type", MANIFEST)], body)
    };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let found = Registries::default().inspect(&format!("{address}/team/tool:1"), &[]).await;
    assert_eq!(found.unwrap().entrypoint, ["/it"]);
}
