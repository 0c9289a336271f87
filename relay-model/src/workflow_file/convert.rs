//! From the file form to custom resources (`workflow-file.md` §7). Deterministic: one file gives
//! the same resources every time.

use std::collections::BTreeMap;

use kube::api::ObjectMeta;
use relay_core::Value;
use serde::Serialize;

use super::finding::{Code, Finding, Level};
use super::graph::Origin;
use super::{Container, Step, StepAction, Trigger, TriggerSource, WorkflowFile};
use crate::schedule::Schedule;
use crate::tekton::APPROVAL;
use crate::triggers::{
    Binding, PushTrigger, PushTriggerSpec, ScheduleTrigger, ScheduleTriggerSpec,
};
use crate::v1beta1::{
    self, Parameter, SecretKeySelector, TenantReference, WebhookTrigger, WebhookTriggerSpec,
    Workflow, WorkflowReference, WorkflowSpec,
};
use crate::{annotation, name};

/// What a file turns into.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Resources {
    /// The workflow.
    pub workflow: Workflow,
    /// Its webhooks.
    pub webhook_triggers: Vec<WebhookTrigger>,
    /// Its schedules.
    pub schedule_triggers: Vec<ScheduleTrigger>,
    /// Where events for it may be sent.
    pub push_triggers: Vec<PushTrigger>,
    /// What the resources cannot say.
    pub warnings: Vec<Finding>,
}

impl WorkflowFile {
    /// The resources for the tenant of this name; the workflow's own name where there is none.
    /// Scripts in files of their own have to be read before ([`WorkflowFile::set_input`]).
    #[must_use]
    pub fn convert(&self, tenant: Option<&str>) -> Resources {
        let workflow_name = name::object_name(&self.name);
        let tenant_ref = TenantReference { name: tenant.unwrap_or(&workflow_name).to_owned() };
        let parameters = self.parameters.iter().map(|(name, parameter)| Parameter {
            name: name.clone(),
            default: parameter.default.clone().filter(|default| !default.is_null()),
        });
        let spec = WorkflowSpec {
            tenant_ref: tenant_ref.clone(),
            parameters: parameters.collect(),
            steps: self.steps.iter().map(step).collect(),
        };
        let mut workflow = Workflow::new(&workflow_name, spec);
        workflow.metadata.annotations =
            Some(self.annotations(&workflow_name)).filter(|found| !found.is_empty());
        let mut resources = Resources {
            workflow,
            webhook_triggers: Vec::new(),
            schedule_triggers: Vec::new(),
            push_triggers: Vec::new(),
            warnings: self.unsaid(),
        };
        for trigger in &self.triggers {
            resources.add(trigger, &workflow_name, &tenant_ref);
        }
        resources
    }

    /// What has no field in a resource.
    fn annotations(&self, workflow_name: &str) -> BTreeMap<String, String> {
        let mut annotations = BTreeMap::new();
        let mut add = |key: &str, text: Option<String>| {
            if let Some(text) = text {
                annotations.insert(key.to_owned(), text);
            }
        };
        let renamed = (self.name != workflow_name).then(|| self.name.clone());
        add(annotation::WORKFLOW_NAME, renamed);
        add(annotation::SUMMARY, self.summary.clone());
        add(annotation::DESCRIPTION, self.description.clone());
        add(annotation::HOMEPAGE, self.homepage.clone());
        add(annotation::SOURCE, self.source.clone());
        add(annotation::TAGS, (!self.tags.is_empty()).then(|| self.tags.join(",")));
        let described = self.parameters.iter().filter_map(|(name, parameter)| {
            Some((name.as_str(), Value::from(parameter.description.as_deref()?)))
        });
        add(annotation::PARAMETER_DESCRIPTIONS, non_empty(described));
        let described = self
            .steps
            .iter()
            .filter_map(|step| Some((step.name.as_str(), step.description.as_deref()?.into())));
        add(annotation::STEP_DESCRIPTIONS, non_empty(described));
        annotations
    }

    /// A default that is null cannot be told from none.
    fn unsaid(&self) -> Vec<Finding> {
        let null = |default: &Option<Value>| default.as_ref().is_some_and(Value::is_null);
        let parameters = self.parameters.iter().filter(|(_, known)| null(&known.default));
        let warnings = parameters.map(|(name, parameter)| {
            let message = format!(
                "parameter {name:?} has the default null, which a resource cannot tell from no \
                 default: there it is null as well, and nobody is asked for it"
            );
            Finding::new(Code::IgnoredKey, parameter.location, message).at_level(Level::Warning)
        });
        warnings.collect()
    }
}

/// Why resources cannot be written down.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrintError {
    /// As YAML.
    #[error("cannot write the resources as YAML")]
    Yaml(#[from] serde_saphyr::ser::Error),
    /// As JSON.
    #[error("cannot write the resources as JSON")]
    Json(#[from] serde_json::Error),
}

/// Objects for `kubectl apply -f`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ObjectList {
    api_version: &'static str,
    kind: &'static str,
    items: Vec<serde_json::Value>,
}

fn document(object: &impl Serialize, text: &mut String) -> Result<(), PrintError> {
    if !text.is_empty() {
        text.push_str("---\n");
    }
    // Text is not folded: lines stay as they were written.
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    serde_saphyr::to_fmt_writer_with_options(text, object, options)?;
    Ok(())
}

impl Resources {
    /// A YAML document for each resource, the workflow first.
    ///
    /// # Errors
    ///
    /// When a value has no form in YAML.
    pub fn to_yaml(&self) -> Result<String, PrintError> {
        let mut text = String::new();
        document(&self.workflow, &mut text)?;
        for trigger in &self.webhook_triggers {
            document(trigger, &mut text)?;
        }
        for trigger in &self.schedule_triggers {
            document(trigger, &mut text)?;
        }
        for trigger in &self.push_triggers {
            document(trigger, &mut text)?;
        }
        Ok(text)
    }

    /// All resources as one JSON object of kind `List`, the workflow first.
    ///
    /// # Errors
    ///
    /// When a value has no form in JSON.
    pub fn to_json(&self) -> Result<String, PrintError> {
        let list = ObjectList { api_version: "v1", kind: "List", items: self.objects()? };
        let mut text = serde_json::to_string_pretty(&list)?;
        text.push('\n');
        Ok(text)
    }

    /// All resources, the workflow first.
    ///
    /// # Errors
    ///
    /// When a value has no form in JSON.
    pub fn objects(&self) -> Result<Vec<serde_json::Value>, serde_json::Error> {
        let webhooks = self.webhook_triggers.iter().map(serde_json::to_value);
        let schedules = self.schedule_triggers.iter().map(serde_json::to_value);
        let pushes = self.push_triggers.iter().map(serde_json::to_value);
        let triggers = webhooks.chain(schedules).chain(pushes);
        std::iter::once(serde_json::to_value(&self.workflow)).chain(triggers).collect()
    }

    fn add(&mut self, trigger: &Trigger, workflow: &str, tenant_ref: &TenantReference) {
        let name = name::object_name(&format!("{workflow}-{}", trigger.name));
        let workflow_ref = WorkflowReference { name: workflow.to_owned() };
        let when = trigger.when.clone();
        let binding = Binding { key: trigger.key.clone(), parameters: trigger.parameters.clone() };
        match &trigger.source {
            TriggerSource::Webhook(given) => {
                self.webhook_triggers.push(webhook(trigger, name, given, workflow, tenant_ref));
            }
            TriggerSource::Schedule(line) => {
                // A line that is no schedule is a finding; here it stays as it is.
                let schedule = Schedule::parse(line).ok();
                let time_zone = schedule.as_ref().map(|schedule| schedule.zone().to_owned());
                let schedule = schedule.map_or(line.clone(), |known| known.line().to_owned());
                let spec = ScheduleTriggerSpec { workflow_ref, schedule, time_zone, binding, when };
                self.schedule_triggers.push(ScheduleTrigger::new(&name, spec));
            }
            TriggerSource::Push => {
                let token = SecretKeySelector {
                    name: name::derived(&name, "-token"),
                    key: "token".to_owned(),
                };
                let token_secret_ref = Some(token);
                let spec = PushTriggerSpec { workflow_ref, token_secret_ref, binding, when };
                self.push_triggers.push(PushTrigger::new(&name, spec));
            }
        }
    }
}

fn non_empty<'m>(members: impl Iterator<Item = (&'m str, Value)>) -> Option<String> {
    let members: Vec<_> = members.collect();
    (!members.is_empty()).then(|| Value::map(members).to_json())
}

fn step(step: &Step) -> v1beta1::Step {
    let depends_on = step
        .dependencies
        .iter()
        // A status that is only looked at orders the steps, and asks for no success.
        .filter(|edge| edge.origin != Origin::Status)
        .map(|edge| edge.step.clone())
        .collect();
    let (image_or_approval, when) = match &step.action {
        StepAction::Container(given) => (container(given), step.when.clone()),
        StepAction::Approval => (v1beta1::Container::default(), Some(approval(step))),
    };
    v1beta1::Step { name: step.name.clone(), container: image_or_approval, when, depends_on }
}

/// The conditions of an approval: the answer first, then those that were written.
fn approval(step: &Step) -> Value {
    let answer = Value::map([
        ("$type", Value::from("Answer")),
        ("askRef", Value::from(step.name.as_str())),
        ("name", Value::from(APPROVAL)),
    ]);
    let accepted = Value::list([answer, Value::from("approved")]);
    let written = match &step.when {
        None => Vec::new(),
        Some(Value::List(items)) => items.to_vec(),
        Some(single) => vec![single.clone()],
    };
    Value::list([Value::map([("$fn.equals", accepted)])].into_iter().chain(written))
}

fn container(container: &Container) -> v1beta1::Container {
    let scripted = !container.input.is_empty();
    v1beta1::Container {
        image: container.image.clone(),
        input: container.input.clone(),
        command: container.command.clone().filter(|_| !scripted),
        args: if scripted { Vec::new() } else { container.args.clone() },
        spec: container.spec.clone(),
        env: container.env.clone(),
    }
}

fn webhook(
    trigger: &Trigger,
    name: String,
    given: &Container,
    workflow: &str,
    tenant_ref: &TenantReference,
) -> WebhookTrigger {
    let mut annotations = BTreeMap::from([(annotation::WORKFLOW.to_owned(), workflow.to_owned())]);
    if let Some(when) = &trigger.when {
        annotations.insert(annotation::WHEN.to_owned(), when.to_json());
    }
    let mut binding = BTreeMap::new();
    if let Some(key) = &trigger.key {
        binding.insert("key", key.clone());
    }
    if !trigger.parameters.is_empty() {
        let parameters = trigger.parameters.iter();
        let parameters = parameters.map(|(name, value)| (name.as_str(), value.clone()));
        binding.insert("parameters", Value::map(parameters));
    }
    if !binding.is_empty() {
        annotations.insert(annotation::BINDING.to_owned(), Value::map(binding).to_json());
    }
    WebhookTrigger {
        metadata: ObjectMeta {
            name: Some(name),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        spec: WebhookTriggerSpec {
            tenant_ref: tenant_ref.clone(),
            name: Some(trigger.name.clone()),
            container: container(given),
        },
        status: None,
    }
}
