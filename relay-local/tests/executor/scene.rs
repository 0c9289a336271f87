//! A cluster with an executor in it, and hand-made PipelineRuns.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use kube_memory::MemoryCluster;
use relay_core::{SealKeys, TokenSealer as _};
use relay_local::executor::{Executor, ExecutorOptions, News, StepNews};
use relay_model::knative_condition::Condition;
use relay_model::tekton::{CustomRun, PipelineRun, PipelineRunStatus, TaskRun, TaskRunStatus};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::double::Double;

pub(crate) const NAMESPACE: &str = "default";
pub(crate) const TOKEN: &str = "a.to-ken_of.the-step";

pub(crate) struct Scene {
    pub(crate) cluster: MemoryCluster,
    pub(crate) client: Client,
    pub(crate) api: Double,
    pub(crate) sealed: String,
    pub(crate) options: ExecutorOptions,
    output: Arc<Mutex<BTreeMap<String, String>>>,
    dir: tempfile::TempDir,
}

/// A running executor.
pub(crate) struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(20), self.task).await.unwrap().unwrap();
    }

    pub(crate) fn kill(self) {
        self.task.abort();
    }
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::on(MemoryCluster::new()).await
    }

    pub(crate) async fn on(cluster: MemoryCluster) -> Self {
        for definition in relay_model::tekton::definitions() {
            cluster.register(&definition).unwrap();
        }
        let client = cluster.client(NAMESPACE);
        let (api, address) = Double::start().await;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let uid = namespaces.get(NAMESPACE).await.unwrap().uid().unwrap();
        let keys = SealKeys::generate();
        let sealed = keys.seal(&uid, &TOKEN.to_owned().into()).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let tools = dir.path().join("tools");
        std::fs::create_dir(&tools).unwrap();
        let (sender, mut receiver) = mpsc::channel::<StepNews>(16);
        let output: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
        let sink = Arc::clone(&output);
        tokio::spawn(async move {
            while let Some(StepNews { run, step, news }) = receiver.recv().await {
                let News::Output { bytes, .. } = news else { continue };
                let mut sink = sink.lock().unwrap();
                let text = sink.entry(format!("{run}/{step}")).or_default();
                text.push_str(&String::from_utf8_lossy(&bytes));
            }
        });
        let mut options =
            ExecutorOptions::new(dir.path().join("work"), tools, Arc::new(keys), sender);
        options.metadata_api = Some(address);
        options.grace = Duration::from_secs(5);
        Self { cluster, client, api, sealed, options, output, dir }
    }

    pub(crate) fn start(&self) -> Running {
        self.start_on(self.client.clone())
    }

    pub(crate) fn start_on(&self, client: Client) -> Running {
        let shutdown = CancellationToken::new();
        let executor = Executor::new(client, self.options.clone());
        let task = tokio::spawn(executor.run(shutdown.clone()));
        Running { shutdown, task }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn work_dir(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// What a step of the run `r` has written, once everything that was sent has arrived.
    pub(crate) async fn output(&self, step: &str) -> String {
        let channel = &self.options.news;
        while channel.capacity() < channel.max_capacity() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.output.lock().unwrap().get(&format!("r/{step}")).cloned().unwrap_or_default()
    }

    pub(crate) fn runs(&self) -> Api<PipelineRun> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    pub(crate) fn tasks(&self) -> Api<TaskRun> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    pub(crate) fn custom(&self) -> Api<CustomRun> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// Makes the PipelineRun `r`, with the scripts of its steps in the ConfigMap `r-immutable`.
    pub(crate) async fn run(&self, tasks: Vec<Task>) -> PipelineRun {
        self.run_with(tasks, json!({"pipeline": "1h0m0s"})).await
    }

    pub(crate) async fn run_with(&self, tasks: Vec<Task>, timeouts: Value) -> PipelineRun {
        let scripts: BTreeMap<String, String> = tasks
            .iter()
            .filter_map(|task| Some((format!("{}.script", task.name), task.script.clone()?)))
            .collect();
        let map: ConfigMap = serde_json::from_value(json!({
            "metadata": {"name": "r-immutable"}, "data": scripts, "immutable": true,
        }))
        .unwrap();
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), NAMESPACE);
        maps.create(&PostParams::default(), &map).await.unwrap();
        let tasks: Vec<Value> = tasks.iter().map(|task| task.json(&self.sealed)).collect();
        let run = serde_json::from_value(json!({
            "metadata": {"name": "r", "labels": {"controller.relay.sh/run-id": "r"}},
            "spec": {"pipelineSpec": {"tasks": tasks}, "timeouts": timeouts},
        }))
        .unwrap();
        self.runs().create(&PostParams::default(), &run).await.unwrap()
    }

    /// Resolves gates as the operator would: `decide` names the decision for a step.
    pub(crate) fn resolve_gates(&self, decide: fn(&str) -> Option<&'static str>) {
        let api = self.custom();
        tokio::spawn(async move {
            let events = watcher(api.clone(), watcher::Config::default()).applied_objects();
            let mut events = std::pin::pin!(events);
            while let Some(Ok(run)) = events.next().await {
                if run.status.is_some() {
                    continue;
                }
                let spec = run.spec.custom_spec.as_ref().unwrap().spec.clone();
                let spec: Value = serde_json::to_value(spec).unwrap();
                let Some(decision) = decide(spec["step"].as_str().unwrap()) else { continue };
                let patch = json!({"status": {
                    "conditions": [{
                        "type": "Succeeded", "status": "True", "reason": "Satisfied",
                        "lastTransitionTime": "2031-02-03T04:05:06Z",
                    }],
                    "results": [{"name": "decision", "value": decision}],
                }});
                let params = PatchParams::default();
                api.patch_status(&run.name_any(), &params, &Patch::Merge(patch)).await.unwrap();
            }
        });
    }

    pub(crate) async fn status(&self) -> PipelineRunStatus {
        self.runs().get("r").await.unwrap().status.unwrap_or_default()
    }

    /// The status of the PipelineRun once it is over.
    pub(crate) async fn end(&self) -> PipelineRunStatus {
        eventually("the end of the PipelineRun", async || {
            let status = self.status().await;
            Condition::is_done(&status.conditions).then_some(status)
        })
        .await
    }

    /// The status of a step's TaskRun once it is over.
    pub(crate) async fn task_end(&self, step: &str) -> TaskRunStatus {
        eventually("the end of the TaskRun", async || {
            let run = self.tasks().get_opt(&format!("r-{step}")).await.unwrap()?;
            run.status.filter(|status| Condition::is_done(&status.conditions))
        })
        .await
    }

    pub(crate) async fn task_names(&self) -> Vec<String> {
        let list = self.tasks().list(&ListParams::default()).await.unwrap();
        list.items.iter().map(kube::ResourceExt::name_any).collect()
    }

    pub(crate) async fn cancel(&self) {
        let patch = json!({"spec": {"status": "Cancelled"}});
        self.runs().patch("r", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// Whether nothing is left of any step.
    pub(crate) fn is_clean(&self) -> bool {
        std::fs::read_dir(self.work_dir()).is_ok_and(|mut entries| entries.next().is_none())
    }
}

/// The reason of the condition `Succeeded`.
pub(crate) fn reason(conditions: &[Condition]) -> &str {
    Condition::of(conditions).and_then(|condition| condition.reason.as_deref()).unwrap_or_default()
}

pub(crate) fn message(conditions: &[Condition]) -> &str {
    Condition::of(conditions).and_then(|condition| condition.message.as_deref()).unwrap_or_default()
}

/// Waits until there is an answer, for at most a minute.
pub(crate) async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    while tokio::time::Instant::now() < until {
        if let Some(found) = check().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never came: {what}");
}

/// A task of a PipelineRun, as the operator writes it.
#[derive(Clone)]
pub(crate) struct Task {
    name: String,
    after: Vec<String>,
    gate: Option<String>,
    on_error: Option<&'static str>,
    timeout: Option<String>,
    script: Option<String>,
    args: Vec<String>,
    kind: Kind,
    env: BTreeMap<&'static str, &'static str>,
}

#[derive(Clone, PartialEq)]
enum Kind {
    Step,
    Gate { step: String },
}

impl Task {
    fn bare(name: &str, kind: Kind) -> Self {
        Self {
            name: name.to_owned(),
            after: Vec::new(),
            gate: None,
            on_error: None,
            timeout: None,
            script: None,
            args: Vec::new(),
            kind,
            env: BTreeMap::from([("CI", "true"), ("RELAY_GATED", "true")]),
        }
    }

    pub(crate) fn script(name: &str, script: &str) -> Self {
        let path = "/var/run/puppet/relay/config/input-script";
        Self {
            script: Some(format!("#!/bin/sh\n{script}")),
            args: ["-entrypoint", path, "--"].map(str::to_owned).into(),
            ..Self::bare(name, Kind::Step)
        }
    }

    pub(crate) fn command(name: &str, command: &[&str]) -> Self {
        let mut args = vec!["-entrypoint".to_owned(), command[0].to_owned(), "--".to_owned()];
        args.extend(command[1..].iter().map(ToString::to_string));
        Self { args, ..Self::bare(name, Kind::Step) }
    }

    /// A step that names no program.
    pub(crate) fn image(name: &str) -> Self {
        Self::bare(name, Kind::Step)
    }

    /// The gate of a step.
    pub(crate) fn gate(step: &str) -> Self {
        Self::bare(&format!("gate-{step}"), Kind::Gate { step: step.to_owned() })
    }

    /// Guards the step with its gate.
    pub(crate) fn gated(mut self) -> Self {
        self.gate = Some(format!("gate-{}", self.name));
        self
    }

    pub(crate) fn after(mut self, parents: &[&str]) -> Self {
        self.after.extend(parents.iter().map(ToString::to_string));
        self
    }

    pub(crate) fn ignored(mut self) -> Self {
        self.on_error = Some("continue");
        self
    }

    pub(crate) fn timeout(mut self, limit: &str) -> Self {
        self.timeout = Some(limit.to_owned());
        self
    }

    pub(crate) fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.env.insert(name, value);
        self
    }

    fn json(&self, sealed: &str) -> Value {
        let when = self.gate.as_ref().map(|gate| {
            json!([{
                "input": format!("$(tasks.{gate}.results.decision)"),
                "operator": "in", "values": ["run"],
            }])
        });
        let spec = match &self.kind {
            Kind::Gate { step } => json!({
                "apiVersion": "relay.sh/v1beta1", "kind": "Gate", "spec": {"step": step},
            }),
            Kind::Step => self.step(sealed),
        };
        let mut task = json!({
            "name": self.name, "taskSpec": spec, "runAfter": self.after, "when": when.unwrap_or(json!([])),
        });
        for (key, value) in [("onError", self.on_error), ("timeout", self.timeout.as_deref())] {
            if let Some(value) = value {
                task[key] = json!(value);
            }
        }
        task
    }

    fn step(&self, sealed: &str) -> Value {
        let tools = json!({"name": "relay-tools", "mountPath": "/var/lib/puppet/relay"});
        let mut mounts = vec![tools.clone()];
        let mut volumes = vec![json!({"name": "relay-tools", "emptyDir": {}})];
        if self.script.is_some() {
            mounts.push(json!({"name": "config", "mountPath": "/var/run/puppet/relay/config"}));
            volumes.push(json!({"name": "config", "configMap": {
                "name": "r-immutable",
                "items": [{
                    "key": format!("{}.script", self.name), "path": "input-script", "mode": 0o755,
                }],
            }}));
        }
        let env: Vec<Value> = self
            .env
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .chain([json!({"name": "METADATA_API_URL", "value": "http://in-the-cluster"})])
            .collect();
        json!({
            "metadata": {"annotations": {"relay.sh/token": sealed, "relay.sh/step": self.name}},
            "steps": [
                {
                    "name": "tools", "image": "tools", "volumeMounts": [tools],
                    "command": ["/ko-app/relay-runtime-tools"], "args": ["initialize"],
                },
                {
                    "name": "step", "image": "alpine:latest", "volumeMounts": mounts, "env": env,
                    "command": ["/var/lib/puppet/relay/entrypoint"], "args": self.args,
                },
            ],
            "volumes": volumes,
        })
    }
}
