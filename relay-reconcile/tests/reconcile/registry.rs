//! A registry of images, and how it is asked.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use futures::stream;
use relay_core::{ImageInspector as _, RegistryLogin};
use relay_reconcile::{Registry, RegistryOptions};
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// A registry with one image for two processors, for those who log in.
#[derive(Clone, Default)]
pub(crate) struct Double {
    blobs: BTreeMap<String, (&'static str, Vec<u8>)>,
    pub(crate) address: String,
    pub(crate) requests: Arc<AtomicU64>,
    /// What was sent of bodies that never end.
    sent: Arc<AtomicU64>,
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

impl Double {
    fn add(&mut self, kind: &'static str, content: &serde_json::Value) -> serde_json::Value {
        let bytes = content.to_string().into_bytes();
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
        let size = bytes.len();
        self.blobs.insert(digest.clone(), (kind, bytes));
        json!({"mediaType": kind, "digest": digest, "size": size})
    }

    fn tag(&mut self, tag: &str, kind: &'static str, content: &serde_json::Value) {
        self.blobs.insert(tag.to_owned(), (kind, content.to_string().into_bytes()));
    }

    fn image(&mut self, config: &serde_json::Value) -> serde_json::Value {
        let config = self.add(CONFIG, config);
        let manifest =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []});
        self.add(MANIFEST, &manifest)
    }

    pub(crate) async fn start() -> Self {
        let mut double = Self::default();
        let mut entries = Vec::new();
        for architecture in ["arm64", "amd64"] {
            let config = json!({
                "architecture": architecture,
                "os": "linux",
                "config": {"Entrypoint": [format!("/{architecture}")], "Cmd": ["serve"]},
            });
            let mut entry = double.image(&config);
            entry["platform"] = json!({"architecture": architecture, "os": "linux"});
            entries.push(entry);
        }
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries.clone()});
        let index = double.add(INDEX, &index)["digest"].as_str().unwrap().to_owned();
        let index = double.blobs[&index].clone();
        double.blobs.insert("v1".to_owned(), index);
        let huge = double.image(&json!({"config": {}, "padding": "x".repeat(5 << 20)}));
        let huge = double.blobs[huge["digest"].as_str().unwrap()].clone();
        double.blobs.insert("huge".to_owned(), huge);
        let plain = double.image(&json!({"config": {"Cmd": ["c"], "Entrypoint": null}}));
        let plain = double.blobs[plain["digest"].as_str().unwrap()].clone();
        double.blobs.insert("plain".to_owned(), plain);

        // Not what the manifest says.
        let swapped = double.image(&json!({"config": {"Cmd": ["good"]}}));
        let swapped = double.blobs[swapped["digest"].as_str().unwrap()].clone();
        let manifest: serde_json::Value = serde_json::from_slice(&swapped.1).unwrap();
        let config = manifest["config"]["digest"].as_str().unwrap().to_owned();
        double.blobs.insert(config, (CONFIG, br#"{"config":{"Cmd":["bad"]}}"#.to_vec()));
        double.blobs.insert("swapped".to_owned(), swapped);
        let arm = json!({"schemaVersion": 2, "manifests": entries[..1]});
        double.tag("arm", INDEX, &arm);
        let padding = vec![json!({"digest": "sha256:0"}); 200_000];
        double.tag("long", INDEX, &json!({"schemaVersion": 2, "manifests": padding}));
        let many = double.image(&json!({"config": {"Cmd": vec![""; 1 << 20]}}));
        let many = double.blobs[many["digest"].as_str().unwrap()].clone();
        double.blobs.insert("many".to_owned(), many);
        double.tag("strange", MANIFEST, &json!({"layers": []}));
        let looped = json!({"schemaVersion": 2, "manifests": [
            {"digest": "loop:1", "platform": {"os": "linux", "architecture": "amd64"}}]});
        double.tag("loop", INDEX, &looped);

        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        double.address = listener.local_addr().unwrap().to_string();
        let router = axum::Router::new().fallback(serve).with_state(double.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        double
    }

    pub(crate) fn inspector(&self) -> Registry {
        let plain = vec![self.address.clone()];
        Registry::new(RegistryOptions { architecture: "amd64".to_owned(), plain })
    }

    fn login(&self, password: &str) -> RegistryLogin {
        RegistryLogin {
            registry: format!("{}/team", self.address),
            user: "me".to_owned(),
            password: password.to_owned().into(),
        }
    }
}

async fn serve(State(double): State<Double>, request: Request) -> Response {
    double.requests.fetch_add(1, Ordering::Relaxed);
    let path = request.uri().path();
    let answer = |status: StatusCode, kind: &str, body: Vec<u8>| {
        let response = Response::builder().status(status).header(header::CONTENT_TYPE, kind);
        response.body(Body::from(body)).unwrap()
    };
    let authorization = request.headers().get(header::AUTHORIZATION);
    let authorization = authorization.and_then(|value| value.to_str().ok()).unwrap_or_default();
    if path == "/token" {
        // `me:right` gets a token that works.
        return match authorization {
            "Basic bWU6cmlnaHQ=" => {
                answer(StatusCode::OK, "application/json", br#"{"token":"good"}"#.to_vec())
            }
            "" => answer(StatusCode::OK, "application/json", br#"{"token":"anonymous"}"#.to_vec()),
            _ => answer(StatusCode::UNAUTHORIZED, "application/json", b"{}".to_vec()),
        };
    }
    // Of which there is no end, in many pieces or in few.
    let endless = |piece: usize, pause: Duration| {
        let sent = Arc::clone(&double.sent);
        let pieces = stream::unfold((), move |()| {
            sent.fetch_add(piece as u64, Ordering::Relaxed);
            async move {
                tokio::time::sleep(pause).await;
                Some((Ok::<_, Infallible>(vec![b' '; piece]), ()))
            }
        });
        Response::new(Body::from_stream(pieces))
    };
    if path.ends_with("/endless") || path == "/endless-token" {
        return endless(64 << 10, Duration::ZERO);
    }
    if path.ends_with("/drips") {
        return endless(1, Duration::from_secs(1));
    }
    if path.ends_with("/silent") {
        return std::future::pending().await;
    }
    if path.ends_with("/claims") {
        let response = Response::builder().header(header::CONTENT_LENGTH, 1_u64 << 40);
        return response
            .body(Body::from_stream(stream::pending::<Result<Vec<u8>, Infallible>>()))
            .unwrap();
    }
    if path.ends_with("/elsewhere") {
        let next = path.replace("elsewhere", "plain");
        return Redirect::temporary(&next).into_response();
    }
    if path.ends_with("/round") {
        return Redirect::temporary(path).into_response();
    }
    if path.contains("/tokens/") {
        let challenge = format!("Bearer realm=\"http://{}/endless-token\"", double.address);
        let response = Response::builder().status(StatusCode::UNAUTHORIZED);
        return response.header(header::WWW_AUTHENTICATE, challenge).body(Body::empty()).unwrap();
    }
    if path.contains("/thief/") {
        let challenge = "Bearer realm=\"gopher://thief/token\"";
        let response = Response::builder().status(StatusCode::UNAUTHORIZED);
        return response.header(header::WWW_AUTHENTICATE, challenge).body(Body::empty()).unwrap();
    }
    if path.contains("/busy/") {
        return answer(StatusCode::SERVICE_UNAVAILABLE, "text/plain", Vec::new());
    }
    if authorization != "Bearer good" && !path.contains("/public/") {
        let challenge = format!(
            "Bearer realm=\"http://{}/token\",service=\"double\",scope=\"repository:team/tool:pull\"",
            double.address
        );
        let body = br#"{"errors":[{"code":"UNAUTHORIZED","message":"no","detail":null}]}"#;
        return Response::builder()
            .status(StatusCode::UNAUTHORIZED)
            .header(header::WWW_AUTHENTICATE, challenge)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_vec()))
            .unwrap();
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    match double.blobs.get(name) {
        Some((kind, bytes)) => answer(StatusCode::OK, kind, bytes.clone()),
        None if path == "/v2/" => answer(StatusCode::OK, "application/json", b"{}".to_vec()),
        None => {
            let body = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no","detail":null}]}"#;
            answer(StatusCode::NOT_FOUND, "application/json", body.to_vec())
        }
    }
}

#[tokio::test]
async fn a_registry_is_asked() {
    let double = Double::start().await;
    let inspector = double.inspector();
    let right = [double.login("right")];
    let wrong = [double.login("wrong")];
    for (name, image, logins, expected) in [
        (
            "with a login, for the processor",
            "team/tool:v1",
            &right[..],
            Ok(&["/amd64", "serve"][..]),
        ),
        ("for all", "public/tool:v1", &[][..], Ok(&["/amd64", "serve"])),
        ("for all, whatever login there is", "public/tool:plain", &wrong, Ok(&["c"])),
        ("no login", "team/tool:v1", &[], Err(("another login", false))),
        ("a wrong login", "team/tool:v1", &wrong, Err(("another login", false))),
        ("no such image", "team/tool:v2", &right, Err(("no such image", false))),
        ("a registry that is busy", "busy/tool:v1", &[], Err(("answered 503", true))),
        ("too much", "public/tool:huge", &[], Err(("description is too large", false))),
        ("too long a list", "public/tool:long", &[], Err(("manifest is too large", false))),
        ("what says how large it is", "public/tool:claims", &[], Err(("too large", false))),
        ("what never ends", "public/tool:endless", &[], Err(("manifest is too large", false))),
        ("a token that never ends", "tokens/tool:v1", &[], Err(("token is too large", false))),
        ("a token from elsewhere", "thief/tool:v1", &right, Err(("not understood", false))),
        ("too many words", "public/tool:many", &[], Err(("not understood", false))),
        ("another configuration", "public/tool:swapped", &[], Err(("digest", false))),
        ("another processor", "public/tool:arm", &[], Err(("processors of the kind amd64", false))),
        ("no configuration", "public/tool:strange", &[], Err(("not understood", false))),
        ("an odd digest", "public/tool:loop", &[], Err(("no such image", false))),
        ("what is elsewhere", "public/tool:elsewhere", &[], Ok(&["c"])),
        ("what is nowhere", "public/tool:round", &[], Err(("answered 307", false))),
    ] {
        let found = inspector.inspect(&format!("{}/{image}", double.address), logins).await;
        match (found, expected) {
            (Ok(found), Ok(words)) => assert_eq!(found.invocation(&[]).unwrap(), words, "{name}"),
            (Err(error), Err((part, is_temporary))) => {
                assert!(error.problem.contains(part), "{name}: {error}");
                assert_eq!(error.is_temporary, is_temporary, "{name}: {error}");
                assert!(!format!("{error:?}").contains("right"), "{name}");
            }
            (found, _) => panic!("{name}: {found:?}"),
        }
    }
    for image in ["", "team/UPPER", "a b", "x@sha256:1"] {
        let error = inspector.inspect(image, &[]).await.unwrap_err();
        assert!(!error.is_temporary, "{error}");
    }
    let closed = "127.0.0.1:1/x:1";
    let error = inspector.inspect(closed, &[]).await.unwrap_err();
    assert!(error.is_temporary && error.problem.contains("reached"), "{error}");
}

#[tokio::test]
async fn no_more_is_taken_of_an_answer_than_is_read() {
    let double = Double::start().await;
    let image = format!("{}/public/tool:endless", double.address);
    double.inspector().inspect(&image, &[]).await.unwrap_err();
    let sent = double.sent.load(Ordering::Relaxed);
    // The largest that is read, and what is under way.
    assert!(sent < 32 << 20, "{sent}");
}

#[tokio::test]
async fn a_registry_has_so_much_time() {
    for (tag, part) in [("silent", "does not answer"), ("drips", "too slow")] {
        let double = Double::start().await;
        let (inspector, requests) = (double.inspector(), Arc::clone(&double.requests));
        let image = format!("{}/public/tool:{tag}", double.address);
        let asked = tokio::spawn(async move { inspector.inspect(&image, &[]).await });
        while requests.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // From here on the clock goes as fast as it can.
        tokio::time::pause();
        let begun = tokio::time::Instant::now();
        let error = asked.await.unwrap().unwrap_err();
        assert!(error.problem.contains(part) && error.is_temporary, "{tag}: {error}");
        assert!(begun.elapsed() <= Duration::from_secs(16), "{tag}: {:?}", begun.elapsed());
        tokio::time::resume();
    }
}
