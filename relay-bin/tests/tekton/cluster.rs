//! A tenant of its own for each test.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, ResourceExt as _};
use relay_model::v1beta1::{Condition, Run, RunStatus, StepStatus, Tenant, Workflow};
use serde_json::{Value, json};

/// How long a run may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// Where the resources are.
    pub(crate) home: String,
    /// Where the pods are.
    pub(crate) namespace: String,
}

/// The image that steps run in.
pub(crate) fn image() -> String {
    std::env::var("RELAY_TEST_IMAGE").unwrap_or_else(|_| "relay.local/busybox:1".to_owned())
}

impl Cluster {
    /// A namespace with the tenant `demo`, whose runs are in another one.
    pub(crate) async fn new(name: &str) -> Self {
        let client = Client::try_default().await.unwrap();
        let home = format!("{name}-{}", jiff::Timestamp::now().as_millisecond());
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let object = serde_json::from_value(json!({"metadata": {"name": home}})).unwrap();
        namespaces.create(&PostParams::default(), &object).await.unwrap();
        let tenants: Api<Tenant> = Api::namespaced(client.clone(), &home);
        let runs = format!("{home}-runs");
        let spec = json!({"namespaceTemplate": {"metadata": {"name": runs}}});
        let tenant = Tenant::new("demo", serde_json::from_value(spec).unwrap());
        tenants.create(&PostParams::default(), &tenant).await.unwrap();
        let started = Instant::now();
        loop {
            let status = tenants.get("demo").await.unwrap().status.unwrap_or_default();
            let ready = Condition::find(&status.conditions, "Ready");
            if let (true, Some(namespace)) =
                (ready.is_some_and(Condition::is_true), &status.namespace)
            {
                return Self { client, home, namespace: namespace.clone() };
            }
            assert!(started.elapsed() < PATIENCE, "the tenant is not ready: {status:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(crate) fn runs(&self) -> Api<Run> {
        Api::namespaced(self.client.clone(), &self.home)
    }

    /// A Secret as steps ask for it by `${secrets.NAME}`.
    pub(crate) async fn secret(&self, name: &str, value: &str) {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.home);
        let secret = json!({
            "metadata": {"name": name, "labels": {"relay.sh/secret": name}},
            "stringData": {"value": value},
        });
        let secret = serde_json::from_value(secret).unwrap();
        api.create(&PostParams::default(), &secret).await.unwrap();
    }

    /// Starts a run of these steps, under this name.
    pub(crate) async fn start(&self, name: &str, annotations: Value, steps: Value) {
        let workflows: Api<Workflow> = Api::namespaced(self.client.clone(), &self.home);
        let workflow = serde_json::from_value(json!({
            "apiVersion": "relay.sh/v1beta1",
            "kind": "Workflow",
            "metadata": {"name": name},
            "spec": {
                "tenantRef": {"name": "demo"},
                "parameters": [{"name": "who", "default": "world"}],
                "steps": steps,
            },
        }));
        workflows.create(&PostParams::default(), &workflow.unwrap()).await.unwrap();
        let run = serde_json::from_value(json!({
            "apiVersion": "relay.sh/v1beta1",
            "kind": "Run",
            "metadata": {"name": name, "annotations": annotations},
            "spec": {"workflowRef": {"name": name}, "parameters": {"who": "otter"}},
        }));
        self.runs().create(&PostParams::default(), &run.unwrap()).await.unwrap();
    }

    /// Says what is wanted of a run.
    pub(crate) async fn want(&self, run: &str, state: Value) {
        let patch = Patch::Merge(json!({"spec": {"state": state}}));
        self.runs().patch(run, &PatchParams::default(), &patch).await.unwrap();
    }

    pub(crate) async fn until(&self, run: &str, done: impl Fn(&RunStatus) -> bool) -> RunStatus {
        let started = Instant::now();
        loop {
            let status = self.runs().get(run).await.unwrap().status.unwrap_or_default();
            if done(&status) {
                return status;
            }
            let text = || serde_json::to_string_pretty(&status).unwrap();
            assert!(started.elapsed() < PATIENCE, "the run did not get there: {}", text());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The TaskRun of a step, as Tekton has it.
    pub(crate) async fn task_run(&self, run: &str, step: &str) -> DynamicObject {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("tekton.dev", "v1", "TaskRun"));
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.namespace, &kind);
        let selector = format!("controller.relay.sh/run-id={run}");
        let all = api.list(&ListParams::default().labels(&selector)).await.unwrap();
        let of = |task: &DynamicObject| {
            task.annotations().get("relay.sh/step").map(String::as_str) == Some(step)
        };
        all.into_iter().find(of).unwrap()
    }

    /// Takes the tenant away, and sees its pods' namespace go.
    pub(crate) async fn remove(self) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let tenants: Api<Tenant> = Api::namespaced(self.client.clone(), &self.home);
        tenants.delete("demo", &DeleteParams::default()).await.unwrap();
        let started = Instant::now();
        while namespaces.get_opt(&self.namespace).await.unwrap().is_some() {
            assert!(started.elapsed() < PATIENCE, "{} is still there", self.namespace);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        namespaces.delete(&self.home, &DeleteParams::default()).await.unwrap();
    }
}

/// `STEP: SUCCEEDED REASON` for each step, and the same of the run.
pub(crate) fn summary(status: &RunStatus) -> Vec<String> {
    let line = |name: &str, condition: Option<&Condition>| {
        let status = condition.map(|condition| condition.status);
        let reason =
            condition.and_then(|condition| condition.reason.as_deref()).unwrap_or_default();
        let status = status.map(|status| format!("{status:?}")).unwrap_or_default();
        format!("{name}: {status} {reason}").trim_end().to_owned()
    };
    let steps = status.steps.iter().map(|step| line(&step.name, step.condition("Succeeded")));
    steps.chain([line("run", status.condition("Succeeded"))]).collect()
}

pub(crate) fn step<'s>(status: &'s RunStatus, name: &str) -> &'s StepStatus {
    status.steps.iter().find(|step| step.name == name).unwrap()
}

pub(crate) fn outputs(status: &RunStatus, name: &str) -> Vec<(String, String)> {
    let outputs = step(status, name).outputs.iter();
    outputs.map(|output| (output.name.clone(), output.value.to_json())).collect()
}
