//! A namespace of its own, the controllers, and the program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, Config};
use relay_core::{Hs256Key, SealKeys, SystemClock};
use relay_local::executor::{Executor, ExecutorOptions};
use relay_model::{definitions, tekton};
use relay_reconcile::{Context, Settings};
use tokio::sync::{Mutex, MutexGuard, mpsc};
use tokio_util::sync::CancellationToken;

/// Each world has controllers and an executor for all namespaces: two at a time would carry out each
/// other's runs.
static ALONE: Mutex<()> = Mutex::const_new(());

pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    folder: tempfile::TempDir,
    stop: CancellationToken,
    _alone: MutexGuard<'static, ()>,
}

/// What the program printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let alone = ALONE.lock().await;
        let client = Client::try_from(Config::infer().await.unwrap()).unwrap();
        let namespace = format!("relay-{}", jiff::Timestamp::now().as_nanosecond());
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let mut object = Namespace::default();
        object.metadata.name = Some(namespace.clone());
        namespaces.create(&PostParams::default(), &object).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        Self { client, namespace, folder, stop: CancellationToken::new(), _alone: alone }
    }

    /// Defines these resources, unless somebody has.
    pub(crate) async fn install(&self, definitions: &[CustomResourceDefinition]) {
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        for definition in definitions {
            let name = definition.metadata.name.clone().unwrap();
            if name.ends_with(".tekton.dev") && api.get_opt(&name).await.unwrap().is_some() {
                continue;
            }
            let params = PatchParams::apply("relay-test").force();
            api.patch(&name, &params, &Patch::Apply(definition)).await.unwrap();
            let established = conditions::is_crd_established();
            await_condition(api.clone(), &name, established).await.unwrap();
        }
    }

    /// Starts the controllers, and what carries out their pipelines.
    pub(crate) async fn start(&self) {
        self.install(&[definitions::all(), tekton::definitions()].concat()).await;
        let sealer = Arc::new(SealKeys::generate());
        let context = Arc::new(Context {
            client: self.client.clone(),
            settings: Settings::default(),
            signer: Arc::new(Hs256Key::generate()),
            sealer: Arc::clone(&sealer) as _,
            secrets: Arc::new(relay_reconcile::ClusterSecrets::new(self.client.clone())),
            images: None,
            clock: Arc::new(SystemClock),
            telemetry: relay_reconcile::Telemetry::default(),
        });
        let stopped = || self.stop.clone().cancelled_owned();
        tokio::spawn(relay_reconcile::run::controller(Arc::clone(&context), stopped()));
        tokio::spawn(relay_reconcile::tenant::controller(context, stopped()));
        let (news, mut swallowed) = mpsc::channel(16);
        tokio::spawn(async move { while swallowed.recv().await.is_some() {} });
        let tools = self.path("tools");
        std::fs::create_dir(&tools).unwrap();
        let options = ExecutorOptions::new(self.path("work"), tools, sealer, news);
        let executor = Executor::new(self.client.clone(), options);
        tokio::spawn(executor.run(self.stop.clone()));
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relay"));
        command.env_remove("RELAY_LOG").args(["-n", &self.namespace]).args(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the program while the controllers work.
    pub(crate) async fn relay(&self, arguments: &[&str]) -> Ran {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap().into()).await.unwrap()
    }

    pub(crate) fn spawn(&self, arguments: &[&str]) -> std::process::Child {
        self.command(arguments).spawn().unwrap()
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        drop(namespaces.delete(&self.namespace, &DeleteParams::default()).await);
    }
}
