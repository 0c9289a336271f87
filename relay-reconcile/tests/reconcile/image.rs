//! Steps that name no program: their images are asked for, beside everything else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use kube::Api;
use relay_core::{ImageError, ImageInspector, ImageProgram, MemoryImages, RegistryLogin};
use relay_model::tekton::PipelineRun;
use relay_model::v1beta1::RunStatus;
use relay_reconcile::Context;
use serde_json::json;

use crate::registry::Double;
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
