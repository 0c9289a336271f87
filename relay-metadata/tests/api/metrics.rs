use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use relay_metadata::cluster::PodIndex;
use tower::ServiceExt as _;

use crate::world::World;

async fn page(router: axum::Router, path: &str) -> (u16, String) {
    let request = Request::builder().uri(path).body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn requests_are_counted_by_route_and_never_by_name() {
    let api = World::new().secret("canary-1", "canary-2").serve();
    for path in ["/secrets/canary-1", "/secrets/canary-3", "/secrets/canary-4", "/canary-5"] {
        api.get(path).await;
    }
    let odd = Request::builder().method("CANARY").uri("/spec").body(Body::empty()).unwrap();
    api.send(odd).await;
    api.by(&crate::world::step("build"), Method::PUT, "/status", None, "{}").await;
    let (status, page) = page(api.router.metrics().router(None), "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        r#"relay_metadata_requests_total{method="GET",route="/secrets/{name}",status="200"} 1"#,
        r#"relay_metadata_requests_total{method="GET",route="/secrets/{name}",status="404"} 2"#,
        r#"relay_metadata_requests_total{method="GET",route="unknown",status="404"} 1"#,
        r#"relay_metadata_requests_total{method="other",route="/spec",status="405"} 1"#,
        r#"relay_metadata_requests_total{method="PUT",route="/status",status="201"} 1"#,
        r#"relay_metadata_request_duration_seconds_count{route="/secrets/{name}"} 3"#,
    ] {
        assert!(page.contains(line), "{line:?} is missing in\n{page}");
    }
    assert!(!page.contains("canary") && !page.contains("CANARY"), "{page}");
}

#[tokio::test]
async fn readiness_waits_for_the_pods() {
    let metrics = World::new().serve().router.metrics();
    assert_eq!(page(metrics.router(None), "/readyz").await.0, 200);
    let pods = PodIndex::new();
    assert_eq!(page(metrics.router(Some(pods.clone())), "/readyz").await.0, 503);
    let cluster = kube_memory::MemoryCluster::new();
    tokio::spawn(pods.clone().run(cluster.client("default")));
    while !pods.is_ready() {
        tokio::task::yield_now().await;
    }
    assert_eq!(page(metrics.router(Some(pods)), "/readyz").await.0, 200);
}
