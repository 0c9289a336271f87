//! From the file form to custom resources (`workflow-file.md` §7). Deterministic: one file gives
//! the same resources every time.

use std::collections::BTreeMap;

use kube::api::ObjectMeta;
use relay_core::Value;

use super::graph::Origin;
use super::{Container, Step, StepAction, Trigger, TriggerSource, WorkflowFile};
use crate::name;
use crate::tekton::APPROVAL;
use crate::v1beta1::{
    self, Parameter, TenantReference, WebhookTrigger, WebhookTriggerSpec, Workflow, WorkflowSpec,
};

/// What a file turns into.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Resources {
    /// The workflow.
    pub workflow: Workflow,
    /// Its webhooks.
    pub webhook_triggers: Vec<WebhookTrigger>,
}

impl WorkflowFile {
    /// The resources for the tenant of this name; the workflow's own name where there is none.
    /// Scripts in files of their own have to be read before ([`WorkflowFile::set_input`]).
    #[must_use]
    pub fn convert(&self, tenant: Option<&str>) -> Resources {
        let workflow_name = name::dns_label(&self.name);
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
        workflow.metadata.annotations = Some(self.annotations(&workflow_name));
        let webhook_triggers = self
            .triggers
            .iter()
            .filter_map(|trigger| webhook(trigger, &workflow_name, &tenant_ref))
            .collect();
        Resources { workflow, webhook_triggers }
    }

    /// What has no field in a resource.
    fn annotations(&self, workflow_name: &str) -> BTreeMap<String, String> {
        let mut annotations = BTreeMap::new();
        let mut add = |key: &str, text: Option<String>| {
            if let Some(text) = text {
                annotations.insert(format!("relay.sh/{key}"), text);
            }
        };
        add("workflow-name", (self.name != workflow_name).then(|| self.name.clone()));
        add("summary", self.summary.clone());
        add("description", self.description.clone());
        add("homepage", self.homepage.clone());
        add("source", self.source.clone());
        add("tags", (!self.tags.is_empty()).then(|| self.tags.join(",")));
        let described = self.parameters.iter().filter_map(|(name, parameter)| {
            Some((name.as_str(), Value::from(parameter.description.as_deref()?)))
        });
        add("parameter-descriptions", non_empty(described));
        let described = self
            .steps
            .iter()
            .filter_map(|step| Some((step.name.as_str(), step.description.as_deref()?.into())));
        add("step-descriptions", non_empty(described));
        annotations
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
    workflow: &str,
    tenant_ref: &TenantReference,
) -> Option<WebhookTrigger> {
    let TriggerSource::Webhook(given) = &trigger.source else {
        return None;
    };
    let mut annotations = BTreeMap::from([("relay.sh/workflow".to_owned(), workflow.to_owned())]);
    if let Some(when) = &trigger.when {
        annotations.insert("relay.sh/when".to_owned(), when.to_json());
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
        annotations.insert("relay.sh/binding".to_owned(), Value::map(binding).to_json());
    }
    Some(WebhookTrigger {
        metadata: ObjectMeta {
            name: Some(name::dns_label(&format!("{workflow}-{}", trigger.name))),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        spec: WebhookTriggerSpec {
            tenant_ref: tenant_ref.clone(),
            name: Some(trigger.name.clone()),
            container: container(given),
        },
        status: None,
    })
}
