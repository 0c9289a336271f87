//! A double of Tekton: it makes TaskRuns and CustomRuns when their turn comes, and ends TaskRuns as
//! a table says, without running anything.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt as _};
use relay_core::{
    Action, ConditionOutcome, Journal as _, ProcessState, StepStatus, Value, WhenCondition,
};
use relay_model::annotation;
use relay_model::knative_condition::Condition;
use relay_model::tekton::{
    CustomRun, CustomRunSpec, EmbeddedMetadata, EmbeddedRunSpec, PIPELINE_RUN_LABEL,
    PIPELINE_TASK_LABEL, PipelineRun, PipelineTask, Task, TaskRun, TaskRunSpec, TaskRunStatus,
};
use relay_reconcile::DependencyOf;
use relay_store::ConfigMapJournal;
use serde_json::json;

/// How a step ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ending {
    pub(crate) exit_code: i64,
    pub(crate) outputs: BTreeMap<String, Value>,
    /// The reason of its TaskRun, when it ends without a word of its own.
    pub(crate) lost: Option<&'static str>,
}

#[derive(Clone)]
pub(crate) struct Tekton {
    pub(crate) client: Client,
    pub(crate) endings: BTreeMap<String, Ending>,
    /// The PipelineRun that is carried out, where it is to be only one.
    pub(crate) only: Option<String>,
    /// The steps in the order in which they ran.
    pub(crate) ran: Vec<String>,
}

impl Tekton {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, endings: BTreeMap::new(), only: None, ran: Vec::new() }
    }

    pub(crate) fn ending(mut self, step: &str, ending: Ending) -> Self {
        self.endings.insert(step.to_owned(), ending);
        self
    }

    /// Does everything that can be done now. Returns whether there was anything.
    pub(crate) async fn advance(&mut self) -> bool {
        let pipelines: Api<PipelineRun> = Api::all(self.client.clone());
        let mut busy = false;
        let mut params = ListParams::default();
        if let Some(name) = &self.only {
            params = params.fields(&format!("metadata.name={name}"));
        }
        for pipeline in pipelines.list(&params).await.unwrap() {
            let status = pipeline.status.clone().unwrap_or_default();
            if !Condition::is_done(&status.conditions) {
                busy |= self.pipeline(&pipeline).await;
            }
        }
        busy
    }

    async fn pipeline(&mut self, pipeline: &PipelineRun) -> bool {
        let namespace = pipeline.namespace().unwrap();
        let selector = format!("{PIPELINE_RUN_LABEL}={}", pipeline.name_any());
        let params = ListParams::default().labels(&selector);
        let tasks: Api<TaskRun> = Api::namespaced(self.client.clone(), &namespace);
        let gates: Api<CustomRun> = Api::namespaced(self.client.clone(), &namespace);
        let mut done: BTreeMap<String, Option<String>> = BTreeMap::new();
        let mut made = Vec::new();
        for task in tasks.list(&params).await.unwrap() {
            let name = task.labels()[PIPELINE_TASK_LABEL].clone();
            if Condition::is_done(&task.status.unwrap_or_default().conditions) {
                done.insert(name.clone(), None);
            }
            made.push(name);
        }
        for gate in gates.list(&params).await.unwrap() {
            let name = gate.labels()[PIPELINE_TASK_LABEL].clone();
            let status = gate.status.clone().unwrap_or_default();
            if Condition::is_done(&status.conditions) {
                done.insert(name.clone(), status.result("decision").map(str::to_owned));
            }
            made.push(name);
        }
        let all = pipeline.spec.pipeline_spec.clone().unwrap().tasks;
        if pipeline.spec.status.as_deref() == Some("Cancelled") {
            return self.end(pipeline, Some(false), "Cancelled").await;
        }
        // A task that its `when` skips is done without ever being made.
        loop {
            let skipped: Vec<_> = all
                .iter()
                .filter(|task| !done.contains_key(&task.name) && ready(task, &done))
                .filter(|task| !task.when.is_empty() && !opened(task, &done))
                .map(|task| task.name.clone())
                .collect();
            if skipped.is_empty() {
                break;
            }
            done.extend(skipped.into_iter().map(|name| (name, None)));
        }
        if all.iter().all(|task| done.contains_key(&task.name)) {
            return self.end(pipeline, Some(true), "Completed").await;
        }
        let mut busy = false;
        for task in all {
            if done.contains_key(&task.name) || !ready(&task, &done) {
                continue;
            }
            if made.contains(&task.name) {
                continue;
            }
            busy = true;
            self.make(pipeline, &task).await;
        }
        busy
    }

    async fn make(&mut self, pipeline: &PipelineRun, task: &PipelineTask) {
        let namespace = pipeline.namespace().unwrap();
        let (spec, given) = match &task.task_ref {
            None => {
                let spec = task.task_spec.clone().unwrap();
                let given = spec.metadata.clone().unwrap();
                (spec, given)
            }
            Some(reference) => {
                let api: Api<Task> = Api::namespaced(self.client.clone(), &namespace);
                let task = api.get(&reference.name).await.unwrap();
                let labels = task.metadata.labels.unwrap_or_default();
                let annotations = task.metadata.annotations.unwrap_or_default();
                (task.spec, EmbeddedMetadata { labels, annotations })
            }
        };
        let mut labels = given.labels;
        labels.insert(PIPELINE_RUN_LABEL.to_owned(), pipeline.name_any());
        labels.insert(PIPELINE_TASK_LABEL.to_owned(), task.name.clone());
        let metadata = ObjectMeta {
            name: Some(format!("{}-{}", pipeline.name_any(), &task.name)),
            labels: Some(labels),
            annotations: Some(given.annotations.clone()),
            owner_references: Some(vec![pipeline.controller_owner_ref(&()).unwrap()]),
            ..ObjectMeta::default()
        };
        if let Some(kind) = spec.kind.clone() {
            let api: Api<CustomRun> = Api::namespaced(self.client.clone(), &namespace);
            let custom_spec = EmbeddedRunSpec {
                api_version: spec.api_version.unwrap(),
                kind,
                spec: spec.spec,
                ..EmbeddedRunSpec::default()
            };
            let spec = CustomRunSpec { custom_spec: Some(custom_spec), ..Default::default() };
            let gate = CustomRun { metadata, spec, status: None };
            api.create(&PostParams::default(), &gate).await.unwrap();
            return;
        }
        let api: Api<TaskRun> = Api::namespaced(self.client.clone(), &namespace);
        let spec = TaskRunSpec { task_spec: Some(spec), ..TaskRunSpec::default() };
        let task = TaskRun { metadata, spec, status: None };
        let task = api.create(&PostParams::default(), &task).await.unwrap();
        self.run(pipeline, &task, &given.annotations[annotation::STEP]).await;
    }

    async fn run(&mut self, pipeline: &PipelineRun, task: &TaskRun, step: &str) {
        self.ran.push(step.to_owned());
        let namespace = pipeline.namespace().unwrap();
        let ending = self.endings.get(step).cloned().unwrap_or_default();
        let now = jiff::Timestamp::now();
        let run = DependencyOf::of(&pipeline.metadata).unwrap().name;
        let action = Action::step(run.parse().unwrap(), step.parse().unwrap());
        let map = relay_model::name::derived(&run, "-mutable");
        let journal = ConfigMapJournal::new(self.client.clone(), &namespace, &map, action);
        for (name, value) in &ending.outputs {
            journal.set_output(name, value.clone()).await.unwrap();
        }
        if ending.lost.is_none() {
            let process = ProcessState { exit_code: ending.exit_code, timestamp: now };
            let outcome = ConditionOutcome::Satisfied;
            let when = WhenCondition { outcome, timestamp: now };
            let status = StepStatus { process: Some(process), when: Some(when) };
            journal.set_status(status).await.unwrap();
        }
        let succeeded = ending.exit_code == 0 && ending.lost.is_none();
        let reason = ending.lost.unwrap_or(if succeeded { "Succeeded" } else { "FailureIgnored" });
        let status = TaskRunStatus {
            conditions: vec![Condition::succeeded(Some(succeeded), reason, "", now)],
            ..TaskRunStatus::default()
        };
        let api: Api<TaskRun> = Api::namespaced(self.client.clone(), &namespace);
        patch_status(&api, &task.name_any(), &json!({ "status": status })).await;
    }

    async fn end(&self, pipeline: &PipelineRun, succeeded: Option<bool>, reason: &str) -> bool {
        let api: Api<PipelineRun> =
            Api::namespaced(self.client.clone(), &pipeline.namespace().unwrap());
        let condition = Condition::succeeded(succeeded, reason, "", jiff::Timestamp::now());
        patch_status(&api, &pipeline.name_any(), &json!({"status": {"conditions": [condition]}}))
            .await;
        true
    }
}

fn ready(task: &PipelineTask, done: &BTreeMap<String, Option<String>>) -> bool {
    task.run_after.iter().all(|after| done.contains_key(after))
}

fn opened(task: &PipelineTask, done: &BTreeMap<String, Option<String>>) -> bool {
    task.when.iter().all(|when| {
        let name = when.input.trim_start_matches("$(tasks.").split('.').next().unwrap();
        done.get(name).cloned().flatten().is_some_and(|value| when.values.contains(&value))
    })
}

async fn patch_status<K>(api: &Api<K>, name: &str, patch: &serde_json::Value)
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
}

/// The entries of a ConfigMap.
pub(crate) async fn data(client: &Client, name: &str) -> BTreeMap<String, String> {
    let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
    api.get(name).await.unwrap().data.unwrap_or_default()
}
