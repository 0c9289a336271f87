//! An API server in memory with the controllers on it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use kube_memory::MemoryCluster;
use relay_core::{Hs256Key, SealKeys, SystemClock, Value};
use relay_model::tekton;
use relay_model::v1beta1::{self, Run, RunSpec, RunStatus, Tenant, Workflow, WorkflowReference};
use relay_reconcile::{ClusterSecrets, Context, Settings, Telemetry};
use tokio::task::JoinHandle;

use crate::tekton::Tekton;

pub(crate) struct World {
    /// The API server, when it is in memory.
    pub(crate) cluster: MemoryCluster,
    pub(crate) client: Client,
    pub(crate) context: Arc<Context>,
    /// Signs the tokens of steps.
    pub(crate) key: Arc<Hs256Key>,
    controllers: Vec<JoinHandle<()>>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop();
    }
}

impl World {
    /// Without controllers: reconcilers are called by hand.
    pub(crate) fn still() -> Self {
        Self::still_on(MemoryCluster::new())
    }

    /// The same on a cluster that has nothing on it yet.
    pub(crate) fn still_on(cluster: MemoryCluster) -> Self {
        for definition in v1beta1::definitions().iter().chain(&tekton::definitions()) {
            cluster.register(definition).unwrap();
        }
        let client = cluster.client("default");
        Self::on(client, cluster)
    }

    fn on(client: Client, cluster: MemoryCluster) -> Self {
        let key = Arc::new(Hs256Key::generate());
        let context = Arc::new(Context {
            client: client.clone(),
            settings: Settings {
                metadata_api_url: "http://metadata-api".to_owned(),
                ..Settings::default()
            },
            signer: Arc::clone(&key) as _,
            sealer: Arc::new(SealKeys::generate()),
            secrets: Arc::new(ClusterSecrets::new(client.clone())),
            clock: Arc::new(SystemClock),
            telemetry: Telemetry::default(),
            images: None,
        });
        Self { cluster, client, context, key, controllers: Vec::new() }
    }

    /// With the controllers of Runs and Tenants.
    pub(crate) fn running() -> Self {
        Self::still().start()
    }

    /// On the API server of `$KUBECONFIG`, in a namespace of its own.
    pub(crate) async fn real() -> Self {
        let mut config = kube::Config::infer().await.unwrap();
        let namespace = format!("relay-{}", jiff::Timestamp::now().as_nanosecond());
        config.default_namespace.clone_from(&namespace);
        let client = Client::try_from(config).unwrap();
        install(&client).await;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let mut object = Namespace::default();
        object.metadata.name = Some(namespace);
        namespaces.create(&PostParams::default(), &object).await.unwrap();
        Self::on(client, MemoryCluster::new()).start()
    }

    pub(crate) fn start(mut self) -> Self {
        self.start_on(self.client.clone());
        self
    }

    /// Starts controllers that speak through this client.
    pub(crate) fn start_on(&mut self, client: Client) {
        self.stop();
        let secrets = Arc::new(ClusterSecrets::new(client.clone()));
        let context = Arc::new(Context { client, secrets, ..Context::clone(&self.context) });
        let never = std::future::pending;
        self.controllers = vec![
            tokio::spawn(relay_reconcile::run::controller(Arc::clone(&context), never())),
            tokio::spawn(relay_reconcile::tenant::controller(context, never())),
        ];
    }

    /// Ends the controllers wherever they are, as a crash does.
    pub(crate) fn stop(&mut self) {
        for controller in self.controllers.drain(..) {
            controller.abort();
        }
    }

    pub(crate) fn runs(&self) -> Api<Run> {
        Api::default_namespaced(self.client.clone())
    }

    pub(crate) async fn create_tenant(&self, name: &str) {
        self.create_tenant_of(name, serde_json::json!({})).await;
    }

    pub(crate) async fn create_tenant_of(&self, name: &str, spec: serde_json::Value) {
        let api: Api<Tenant> = Api::default_namespaced(self.client.clone());
        let tenant = Tenant::new(name, serde_json::from_value(spec).unwrap());
        api.create(&PostParams::default(), &tenant).await.unwrap();
    }

    /// A Secret in the namespace of the client, or in another one.
    pub(crate) async fn create_secret(&self, namespace: &str, secret: serde_json::Value) {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let secret: Secret = serde_json::from_value(secret).unwrap();
        api.create(&PostParams::default(), &secret).await.unwrap();
    }

    pub(crate) async fn create_namespace(&self, name: &str) {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let namespace = serde_json::from_value(serde_json::json!({"metadata": {"name": name}}));
        api.create(&PostParams::default(), &namespace.unwrap()).await.unwrap();
    }

    /// A workflow of these steps, in the form of resources.
    pub(crate) async fn create_workflow(&self, name: &str, steps: serde_json::Value) {
        let api: Api<Workflow> = Api::default_namespaced(self.client.clone());
        let workflow: Workflow = serde_json::from_value(serde_json::json!({
            "apiVersion": "relay.sh/v1beta1",
            "kind": "Workflow",
            "metadata": {"name": name},
            "spec": {
                "tenantRef": {"name": "demo"},
                "parameters": [{"name": "who", "default": "world"}, {"name": "unset"}],
                "steps": steps,
            },
        }))
        .unwrap();
        api.create(&PostParams::default(), &workflow).await.unwrap();
    }

    pub(crate) async fn create_run(&self, name: &str, workflow: &str) -> Run {
        let spec = RunSpec {
            workflow_ref: WorkflowReference { name: workflow.to_owned() },
            parameters: BTreeMap::from([("extra".to_owned(), Value::from(1))]),
            ..RunSpec::default()
        };
        self.runs().create(&PostParams::default(), &Run::new(name, spec)).await.unwrap()
    }

    /// Lets Tekton work until the run has a status for which `done` holds.
    pub(crate) async fn until(
        &self,
        run: &str,
        tekton: &mut Tekton,
        done: impl Fn(&RunStatus) -> bool,
    ) -> RunStatus {
        for _ in 0..2_000 {
            tekton.advance().await;
            let status = self.runs().get(run).await.unwrap().status.unwrap_or_default();
            if done(&status) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let status = self.runs().get(run).await.unwrap().status;
        panic!("the run did not get there: {}", serde_json::to_string_pretty(&status).unwrap());
    }

    pub(crate) async fn finish(&self, run: &str, tekton: &mut Tekton) -> RunStatus {
        self.until(run, tekton, RunStatus::is_completed).await
    }
}

/// Installs the definitions of `manifests/`, and Tekton's kinds where they are not there.
async fn install(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/crds");
    let mut definitions = tekton::definitions();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        definitions.push(serde_saphyr::from_str(&text).unwrap());
    }
    for definition in &definitions {
        let name = definition.metadata.name.clone().unwrap();
        if name.ends_with(".tekton.dev") && api.get_opt(&name).await.unwrap().is_some() {
            continue;
        }
        let params = PatchParams::apply("relay-test").force();
        api.patch(&name, &params, &Patch::Apply(definition)).await.unwrap();
        kube::runtime::wait::await_condition(
            api.clone(),
            &name,
            kube::runtime::wait::conditions::is_crd_established(),
        )
        .await
        .unwrap();
    }
}

/// `STEP: SUCCEEDED REASON` for each step, and the same of the run.
pub(crate) fn summary(status: &RunStatus) -> Vec<String> {
    let line = |name: &str, condition: Option<&v1beta1::Condition>| {
        let condition = condition.unwrap();
        let reason = condition.reason.clone().unwrap_or_default();
        format!("{name}: {:?} {reason}", condition.status).trim_end().to_owned()
    };
    let steps = status.steps.iter().map(|step| line(&step.name, step.condition("Succeeded")));
    steps.chain([line("run", status.condition("Succeeded"))]).collect()
}
