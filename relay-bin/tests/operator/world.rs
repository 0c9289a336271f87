//! A cluster with the manifests, and what tests do in it as administrators.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use relay_model::annotation;
use relay_model::tekton::{self, PIPELINE_RUN_LABEL, PIPELINE_TASK_LABEL, PipelineRun, TaskRun};
use relay_model::v1beta1::{Condition, Run, RunStatus, Tenant};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::Operator;

/// The namespace of the installation.
pub(crate) const SYSTEM: &str = "relay-system";

pub(crate) struct World {
    /// As an administrator.
    pub(crate) client: Client,
    /// The namespace of this test's custom resources.
    pub(crate) namespace: String,
    /// With the token of the operator's account.
    pub(crate) kubeconfig: PathBuf,
    files: TempDir,
}

/// Whether `kubectl` could do that, and what it printed.
fn try_kubectl(arguments: &[&str]) -> (bool, String) {
    let output = Command::new("kubectl").args(arguments).output().unwrap();
    let printed = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.success(), String::from_utf8(printed).unwrap())
}

fn kubectl(arguments: &[&str]) -> String {
    let (done, printed) = try_kubectl(arguments);
    assert!(done, "kubectl {arguments:?}: {printed}");
    printed
}

/// Installs the manifests as the README says, once, and Tekton's definitions where they are missing.
fn install() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let (found, _) = try_kubectl(&["get", "crd", "pipelineruns.tekton.dev"]);
        if !found {
            let files = TempDir::new().unwrap();
            for definition in tekton::definitions() {
                let file = files.path().join(definition.name_any());
                std::fs::write(&file, serde_json::to_string(&definition).unwrap()).unwrap();
                kubectl(&["apply", "-f", file.to_str().unwrap()]);
            }
        }
        kubectl(&["apply", "-k", root.join("manifests").to_str().unwrap()]);
    });
}

/// Installs what admission of pods takes beside them, once. Nobody runs the Deployment here, so a
/// program on this machine stands behind the Service.
pub(crate) fn install_admission() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    install();
    INSTALLED.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        kubectl(&["apply", "-k", root.join("examples/admission").to_str().unwrap()]);
        let own = ["-n", SYSTEM];
        let service = "relay-operator-webhook";
        kubectl(&[&own[..], &["delete", "service", service]].concat());
        let outside = ["create", "service", "externalname", service, "--external-name=localhost"];
        kubectl(&[&own[..], &outside].concat());
    });
}

/// What an account may do, as the API server says it.
pub(crate) fn may(account: &str, verb: &str, resource: &str, place: &[&str]) -> bool {
    let account = format!("--as=system:serviceaccount:{SYSTEM}:{account}");
    let mut arguments = vec!["auth", "can-i", verb, resource, &account];
    arguments.extend(place);
    try_kubectl(&arguments).1.trim() == "yes"
}

impl World {
    pub(crate) async fn new() -> Self {
        install();
        let mut config: Value = serde_json::from_str(&kubectl(&[
            "config",
            "view",
            "--raw",
            "--flatten",
            "--minify",
            "-o",
            "json",
        ]))
        .unwrap();
        let token = kubectl(&["-n", SYSTEM, "create", "token", "relay-operator"]);
        config["users"][0]["user"] = json!({ "token": token.trim() });
        let files = TempDir::new().unwrap();
        let kubeconfig = files.path().join("kubeconfig");
        std::fs::write(&kubeconfig, config.to_string()).unwrap();

        let client = Client::try_default().await.unwrap();
        let namespace = format!("relay-{}", jiff::Timestamp::now().as_nanosecond());
        let world = Self { client, namespace, kubeconfig, files };
        world.create::<Namespace>(None, json!({"metadata": {"name": world.namespace}})).await;
        world
    }

    /// An operator for this namespace, with its own rights.
    pub(crate) fn operator(&self) -> Operator {
        self.operator_with(&[])
    }

    /// The same with more arguments.
    pub(crate) fn operator_with(&self, more: &[&str]) -> Operator {
        let arguments = ["--namespace", SYSTEM, "--kube-namespace", &self.namespace];
        Operator::start(&self.kubeconfig, &[&arguments[..], more].concat())
    }

    /// Creates an object, in a namespace if its kind has them.
    pub(crate) async fn create<K>(&self, namespace: Option<&str>, object: Value) -> K
    where
        K: kube::Resource<DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + serde::Serialize
            + serde::de::DeserializeOwned,
    {
        let kind = kube::api::ApiResource::erase::<K>(&());
        let api: Api<kube::api::DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &kind),
            None => Api::all_with(self.client.clone(), &kind),
        };
        let object: K = serde_json::from_value(object).unwrap();
        let object = serde_json::from_value(serde_json::to_value(object).unwrap()).unwrap();
        let made = api.create(&PostParams::default(), &object).await.unwrap();
        serde_json::from_value(serde_json::to_value(made).unwrap()).unwrap()
    }

    /// Creates what nothing here reads.
    pub(crate) fn create_from(&self, text: &str) {
        let file = self.files.path().join("object.json");
        std::fs::write(&file, text).unwrap();
        kubectl(&["-n", &self.namespace, "create", "-f", file.to_str().unwrap()]);
    }

    /// An object as text.
    pub(crate) fn describe(&self, kind: &str, name: &str) -> String {
        kubectl(&["-n", &self.namespace, "describe", kind, name])
    }

    pub(crate) fn delete(&self, kind: &str, name: &str) {
        kubectl(&["-n", &self.namespace, "delete", "--timeout=30s", kind, name]);
    }

    /// Begins the deletion of an object in this namespace, or of one that is in none.
    pub(crate) fn begin_deletion(&self, kind: &str, name: &str) {
        kubectl(&["-n", &self.namespace, "delete", "--wait=false", kind, name]);
    }

    /// Waits until something is no more.
    pub(crate) fn gone(&self, kind: &str, name: &str) {
        crate::process::until(&format!("{kind} {name} is gone"), || {
            let (found, printed) = try_kubectl(&["-n", &self.namespace, "get", kind, name]);
            (!found && printed.contains("NotFound")).then_some(())
        });
    }

    /// Waits until the tenant is ready: the operator has bound itself what it needs.
    pub(crate) async fn tenant_is_ready(&self) {
        let tenants: Api<Tenant> = Api::namespaced(self.client.clone(), &self.namespace);
        eventually("the tenant is ready", || async {
            let status = tenants.get("demo").await.unwrap().status.unwrap_or_default();
            let ready = Condition::find(&status.conditions, "Ready");
            ready.is_some_and(Condition::is_true).then_some(())
        })
        .await;
    }

    pub(crate) async fn tenant(&self, spec: Value) {
        let tenant = json!({
            "apiVersion": "relay.sh/v1beta1", "kind": "Tenant",
            "metadata": {"name": "demo"}, "spec": spec,
        });
        self.create::<Tenant>(Some(&self.namespace), tenant).await;
    }

    /// A workflow of one step.
    pub(crate) async fn workflow(&self) {
        let workflow = json!({
            "apiVersion": "relay.sh/v1beta1", "kind": "Workflow",
            "metadata": {"name": "w"},
            "spec": {
                "tenantRef": {"name": "demo"},
                "steps": [{"name": "build", "image": "alpine:3.22", "input": ["true"]}],
            },
        });
        self.create::<relay_model::v1beta1::Workflow>(Some(&self.namespace), workflow).await;
    }

    pub(crate) async fn run(&self, name: &str) {
        let run = json!({
            "apiVersion": "relay.sh/v1beta1", "kind": "Run",
            "metadata": {"name": name}, "spec": {"workflowRef": {"name": "w"}},
        });
        self.create::<Run>(Some(&self.namespace), run).await;
    }

    pub(crate) fn runs(&self) -> Api<Run> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Waits until a run has a status for which `done` holds.
    pub(crate) async fn until(&self, run: &str, done: impl Fn(&RunStatus) -> bool) -> Run {
        eventually(&format!("the run {run} gets there"), || async {
            let found = self.runs().get_opt(run).await.unwrap()?;
            found.status.as_ref().is_some_and(&done).then_some(found)
        })
        .await
    }

    /// Does what Tekton does with a pipeline of one step.
    pub(crate) async fn carry_out(&self, namespace: &str, run: &str) {
        let pipelines: Api<PipelineRun> = Api::namespaced(self.client.clone(), namespace);
        let pipeline = eventually(&format!("the PipelineRun {run} is made"), || async {
            pipelines.get_opt(run).await.unwrap()
        })
        .await;
        let task = "task".to_owned();
        let task = pipeline
            .spec
            .pipeline_spec
            .as_ref()
            .and_then(|spec| spec.tasks.first())
            .map_or(task, |task| task.name.clone());
        let done = json!({"status": {"conditions": [{
            "type": "Succeeded", "status": "True", "reason": "Succeeded",
            "lastTransitionTime": "2026-11-23T12:00:00Z",
        }]}});
        let link = pipeline.annotations()[annotation::DEPENDENCY_OF].clone();
        let task_run = json!({
            "metadata": {
                "name": format!("{run}-build"),
                "labels": {
                    PIPELINE_RUN_LABEL: run, PIPELINE_TASK_LABEL: task,
                    annotation::RUN_ID: pipeline.labels()[annotation::RUN_ID],
                },
                "annotations": {annotation::DEPENDENCY_OF: link},
                "ownerReferences": [{
                    "apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "controller": true,
                    "name": run, "uid": pipeline.uid().unwrap(),
                }],
            },
            "spec": {},
        });
        let made: TaskRun = self.create(Some(namespace), task_run).await;
        let tasks: Api<TaskRun> = Api::namespaced(self.client.clone(), namespace);
        let params = PatchParams::default();
        let patch = Patch::Merge(&done);
        tasks.patch_status(&made.name_any(), &params, &patch).await.unwrap();
        pipelines.patch_status(run, &params, &patch).await.unwrap();
    }
}

/// Waits for something, up to a minute.
pub(crate) async fn eventually<T, F>(what: &str, look: impl Fn() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    for _ in 0..1_200 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never happened that {what}");
}
