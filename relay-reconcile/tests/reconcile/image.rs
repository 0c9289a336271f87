//! Steps that name no program: their images are asked for, beside everything else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use kube::Api;
use relay_core::{ImageError, ImageInspector, ImageProgram, MemoryImages, RegistryLogin};
use relay_model::tekton::PipelineRun;
use relay_model::v1beta1::RunStatus;
use relay_reconcile::{Context, Registry, RegistryOptions};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::tekton::{Ending, Tekton};
use crate::world::{World, summary};

fn program(entrypoint: &[&str], cmd: &[&str]) -> ImageProgram {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    ImageProgram { entrypoint: words(entrypoint), cmd: words(cmd) }
}

/// A world whose images are known to this inspector.
fn world(images: impl ImageInspector + 'static) -> World {
    let mut world = World::still();
    let images: Arc<dyn ImageInspector> = Arc::new(images);
    world.context = Arc::new(Context { images: Some(images), ..Context::clone(&world.context) });
    let client = world.client.clone();
    world.start_on(client);
    world
}

/// The arguments of the entrypoint of each step, by name.
async fn arguments(world: &World, run: &str) -> BTreeMap<String, Vec<String>> {
    let api: Api<PipelineRun> = Api::default_namespaced(world.client.clone());
    let tasks = api.get(run).await.unwrap().spec.pipeline_spec.unwrap().tasks;
    let of = |task: relay_model::tekton::PipelineTask| {
        (task.display_name.unwrap(), task.task_spec.unwrap().steps[1].args.clone())
    };
    tasks.into_iter().map(of).collect()
}

/// Counts what it is asked.
#[derive(Debug)]
struct Counting(MemoryImages, Arc<AtomicU64>);

#[async_trait]
impl ImageInspector for Counting {
    async fn inspect(&self, image: &str, l: &[RegistryLogin]) -> Result<ImageProgram, ImageError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.inspect(image, l).await
    }
}

#[tokio::test]
async fn only_steps_without_a_program_are_asked_for() {
    let asked = Arc::<AtomicU64>::default();
    let images = MemoryImages::default().with_image("tool", program(&["/tool", "-q"], &["all"]));
    let world = world(Counting(images, Arc::clone(&asked)));
    world.create_tenant("demo").await;
    let steps = json!([
        {"name": "plain", "image": "tool"},
        {"name": "args", "image": "tool", "args": ["one"]},
        {"name": "command", "image": "unknown", "command": "c", "args": ["a"]},
        {"name": "script", "image": "unknown", "input": ["x"]},
    ]);
    world.create_workflow("w", steps).await;
    world.create_run("r", "w").await;
    world.finish("r", &mut Tekton::new(world.client.clone())).await;
    let arguments = arguments(&world, "r").await;
    assert_eq!(arguments["plain"], ["-entrypoint", "/tool", "--", "-q", "all"]);
    assert_eq!(arguments["args"], ["-entrypoint", "/tool", "--", "-q", "one"]);
    assert_eq!(arguments["command"], ["-entrypoint", "c", "--", "a"]);
    assert_eq!(asked.load(Ordering::Relaxed), 1, "and one image once");
    // The answer is kept.
    world.create_run("s", "w").await;
    world.finish("s", &mut Tekton::new(world.client.clone())).await;
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_step_whose_image_is_not_known_says_so() {
    let world = world(MemoryImages::default().with_image("bare", program(&[], &[])));
    world.create_tenant("demo").await;
    let steps = json!([
        {"name": "lost", "image": "nowhere/x:1"},
        {"name": "bare", "image": "bare"},
        {"name": "other", "image": "i", "command": "c"},
    ]);
    world.create_workflow("w", steps).await;
    world.create_run("r", "w").await;
    // What the entrypoint makes of it is the entrypoint's test.
    let refused = || Ending { exit_code: 127, ..Ending::default() };
    let mut tekton =
        Tekton::new(world.client.clone()).ending("lost", refused()).ending("bare", refused());
    let status = world.finish("r", &mut tekton).await;
    assert_eq!(
        summary(&status),
        [
            "lost: False Failed",
            "bare: False Failed",
            "other: True Succeeded",
            "run: False StepFailed"
        ]
    );
    let arguments = arguments(&world, "r").await;
    assert_eq!(arguments["lost"], ["-entrypoint", "", "--"]);
    let said = |step: usize| status.steps[step].messages[0].details.clone();
    assert_eq!(
        said(0),
        "the program of image \"nowhere/x:1\" is not known: there is no such image"
    );
    assert_eq!(said(1), "image \"bare\" names no program: give the step a command");
}

/// Never answers for one image.
#[derive(Debug)]
struct Stuck;

#[async_trait]
impl ImageInspector for Stuck {
    async fn inspect(&self, image: &str, _: &[RegistryLogin]) -> Result<ImageProgram, ImageError> {
        if image == "slow" {
            std::future::pending::<()>().await;
        }
        Ok(program(&["/quick"], &[]))
    }
}

#[tokio::test]
async fn a_slow_registry_holds_up_nobody_else() {
    let world = world(Stuck);
    world.create_tenant("demo").await;
    world.create_workflow("slow", json!([{"name": "a", "image": "slow"}])).await;
    world.create_workflow("quick", json!([{"name": "a", "image": "quick"}])).await;
    for run in 0..100 {
        world.create_run(&format!("slow-{run}"), "slow").await;
    }
    world.create_run("quick", "quick").await;
    let mut tekton = Tekton::new(world.client.clone());
    let status = world.finish("quick", &mut tekton).await;
    assert_eq!(summary(&status), ["a: True Succeeded", "run: True"]);
    let asks = |status: &RunStatus| !status.conditions.is_empty();
    let status = world.until("slow-7", &mut tekton, asks).await;
    let completed = status.condition("Completed").unwrap();
    assert_eq!(completed.reason.as_deref(), Some("ImagesPending"));
    assert_eq!(completed.message.as_deref(), Some("asking what these images run: slow"));
}

/// A registry with one image for two processors, for those who log in.
#[derive(Clone, Default)]
struct Double {
    blobs: BTreeMap<String, (&'static str, Vec<u8>)>,
    address: String,
    requests: Arc<AtomicU64>,
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

    fn image(&mut self, config: &serde_json::Value) -> serde_json::Value {
        let config = self.add(CONFIG, config);
        let manifest =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []});
        self.add(MANIFEST, &manifest)
    }

    async fn start() -> Self {
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
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
        let index = double.add(INDEX, &index)["digest"].as_str().unwrap().to_owned();
        let index = double.blobs[&index].clone();
        double.blobs.insert("v1".to_owned(), index);
        let huge = double.image(&json!({"config": {}, "padding": "x".repeat(2 << 20)}));
        let huge = double.blobs[huge["digest"].as_str().unwrap()].clone();
        double.blobs.insert("huge".to_owned(), huge);
        let plain = double.image(&json!({"config": {"Cmd": ["c"], "Entrypoint": null}}));
        let plain = double.blobs[plain["digest"].as_str().unwrap()].clone();
        double.blobs.insert("plain".to_owned(), plain);

        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        double.address = listener.local_addr().unwrap().to_string();
        let router = axum::Router::new().fallback(serve).with_state(double.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        double
    }

    fn inspector(&self) -> Registry {
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
        ("too much", "public/tool:huge", &[], Err(("too large", false))),
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

/// Names a pull Secret in the account of the tenant's pods, as whoever runs the cluster does.
async fn name_pull_secret(world: &World) {
    let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> =
        Api::default_namespaced(world.client.clone());
    let there = kube::runtime::wait::await_condition(
        accounts.clone(),
        "demo-untrusted",
        |a: Option<&_>| a.is_some(),
    );
    tokio::time::timeout(Duration::from_secs(5), there).await.unwrap().unwrap();
    let patch = kube::api::Patch::Merge(json!({"imagePullSecrets": [{"name": "pull"}]}));
    accounts.patch("demo-untrusted", &Default::default(), &patch).await.unwrap();
}

async fn create_pull_secret(world: &World, double: &Double) {
    let auths = json!({"auths": {double.address.clone(): {"username": "me", "password": "right"}}});
    let secret = json!({
        "metadata": {"name": "pull"},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": auths.to_string()},
    });
    world.create_secret("default", secret).await;
}

#[tokio::test]
async fn pull_secrets_of_the_account_are_used() {
    let double = Double::start().await;
    let world = world(double.inspector());
    create_pull_secret(&world, &double).await;
    world.create_tenant("demo").await;
    name_pull_secret(&world).await;
    let image = format!("{}/team/tool:v1", double.address);
    world.create_workflow("w", json!([{"name": "a", "image": image}])).await;
    world.create_run("r", "w").await;
    world.finish("r", &mut Tekton::new(world.client.clone())).await;
    assert_eq!(arguments(&world, "r").await["a"], ["-entrypoint", "/amd64", "--", "serve"]);
}

#[tokio::test]
async fn a_pull_secret_that_appears_counts_at_once() {
    let double = Double::start().await;
    let world = world(double.inspector());
    world.create_tenant("demo").await;
    name_pull_secret(&world).await;
    let image = format!("{}/team/tool:v1", double.address);
    world.create_workflow("w", json!([{"name": "a", "image": image}])).await;
    let mut tekton = Tekton::new(world.client.clone());
    world.create_run("without", "w").await;
    world.finish("without", &mut tekton).await;
    assert_eq!(arguments(&world, "without").await["a"], ["-entrypoint", "", "--"]);
    let asked = double.requests.load(Ordering::Relaxed);
    // As long as nothing changes the registry is not asked again.
    world.create_run("again", "w").await;
    world.finish("again", &mut tekton).await;
    assert_eq!(arguments(&world, "again").await["a"], ["-entrypoint", "", "--"]);
    assert_eq!(double.requests.load(Ordering::Relaxed), asked);
    create_pull_secret(&world, &double).await;
    world.create_run("with", "w").await;
    world.finish("with", &mut tekton).await;
    assert_eq!(arguments(&world, "with").await["a"], ["-entrypoint", "/amd64", "--", "serve"]);
}
