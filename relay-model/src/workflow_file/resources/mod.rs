//! Files in the form of custom resources, as they would be applied to a cluster: a Workflow, and
//! with it a Tenant, a Run and triggers.
//!
//! A file has this form as soon as one of its documents is of the group `relay.sh`, or of one below
//! it. Documents of other groups, such as a Secret, are named and left alone.

mod trigger;

use std::collections::BTreeMap;

use relay_core::Value;
use relay_core::yaml::{Location, Node};
use serde::de::DeserializeOwned;

use super::expressions::Scopes;
use super::finding::{Code, Level, suggestion};
use super::reader::{self, Findings, Section, is_null};
use super::steps::{self, Form};
use super::{Parameter, WorkflowFile, alias, graph};
use crate::v1beta1::{Run, Tenant, Workflow};
use crate::{annotation, triggers};

const API_VERSION: &str = "relay.sh/v1beta1";
const GROUP: &str = "relay.sh";
/// A group of its own, which this program does not read.
const INSTALL_GROUP: &str = "install.relay.sh";
const KINDS: &[&str] = &["Tenant", "Workflow", "Run", "WebhookTrigger"];
const TRIGGER_KINDS: &[&str] = &["ScheduleTrigger", "PushTrigger"];

const OBJECT_KEYS: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];
const WORKFLOW_KEYS: &[&str] = &["tenantRef", "parameters", "steps"];
const RUN_KEYS: &[&str] = &["workflowRef", "parameters", "state"];
const TENANT_KEYS: &[&str] =
    &["namespaceTemplate", "toolInjection", "triggerEventSink", "workflowExecutionSink"];

/// The resources of a file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ResourceSet {
    /// The tenant, if the file has one.
    pub tenant: Option<Tenant>,
    /// The workflow.
    pub workflow: Workflow,
    /// The run, if the file has one.
    pub run: Option<Run>,
}

/// A document with its kind.
struct Object<'n> {
    kind: &'static str,
    name: Option<String>,
    node: &'n Node,
    /// For messages: `Workflow "release"`.
    what: String,
}

/// Whether these documents are resources rather than a workflow file.
pub(super) fn are_resources(documents: &[Node]) -> bool {
    documents.iter().flat_map(items).any(|document| {
        let version = document.get("apiVersion").and_then(Node::as_scalar);
        version.is_some_and(|version| is_ours(group(version)))
    })
}

/// The objects of a document: those of a list, or itself.
fn items(document: &Node) -> &[Node] {
    let is_list = document.get("kind").and_then(Node::as_scalar).is_some_and(|k| &**k == "List");
    let items = document.get("items").filter(|_| is_list).and_then(Node::as_sequence);
    items.unwrap_or(std::slice::from_ref(document))
}

fn group(version: &str) -> &str {
    version.split_once('/').map_or("", |(group, _)| group)
}

fn is_ours(group: &str) -> bool {
    let below = group.strip_suffix(GROUP).is_some_and(|rest| rest.ends_with('.'));
    group == GROUP || below
}

/// Reads the documents; the steps are seen as those of a workflow file.
pub(super) fn read(documents: &[Node], findings: &mut Findings) -> Option<WorkflowFile> {
    let documents: Vec<_> = documents
        .iter()
        .map(|document| alias::expanded(document).unwrap_or_else(|| document.clone()))
        .collect();
    let mut objects: Vec<Object<'_>> = Vec::new();
    for node in documents.iter().flat_map(items).filter(|node| !is_null(node)) {
        let Some(object) = object(node, findings) else { continue };
        let twice = |known: &Object<'_>| {
            let one_of_a_kind = KINDS.contains(&object.kind) && object.kind != "WebhookTrigger";
            known.kind == object.kind && (one_of_a_kind || known.name == object.name)
        };
        if let Some(first) = objects.iter().find(|known| twice(known)) {
            let message = format!(
                "there is a {} already, at line {}; put each into its own file",
                object.kind, first.node.location.line
            );
            findings.add(Code::DuplicateName, object.node, message);
        } else {
            objects.push(object);
        }
    }
    let find = |kind: &str| objects.iter().find(|object| object.kind == kind);
    let run: Option<Run> = find("Run").and_then(|object| {
        spec(object, RUN_KEYS, findings)?;
        decode(object, findings)
    });
    let tenant: Option<Tenant> = find("Tenant").and_then(|object| {
        spec(object, TENANT_KEYS, findings)?;
        decode(object, findings)
    });
    let mut file = WorkflowFile::default();
    if let Some(object) = find("Workflow") {
        file = workflow(object, tenant, run, find("Run"), findings)?;
    } else if let Some(run) = find("Run").filter(|_| !findings.has_errors()) {
        let message = format!("{} needs its Workflow: the file holds no Workflow", run.what);
        findings.add(Code::Required, run.node, message);
    }
    let started = find("Workflow").map(|_| (file.name.as_str(), &file.parameters));
    let triggers = objects.iter().filter(|object| object.kind.ends_with("Trigger"));
    file.triggers =
        triggers.filter_map(|object| trigger::read(object, started, findings)).collect();
    file.holds_resources = true;
    if !findings.has_errors() {
        file.documents = objects.iter().map(|object| findings.tree(object.node)).collect();
    }
    Some(file)
}

/// The object that a document holds, if it is one of ours.
fn object<'n>(node: &'n Node, findings: &mut Findings) -> Option<Object<'n>> {
    let mut section = Section::new(node, "the resource".to_owned(), findings)?;
    let version = section.required_text("apiVersion", findings)?;
    let written = section.required_text("kind", findings)?;
    let (known, expected) = match group(&version) {
        GROUP => (KINDS, API_VERSION),
        triggers::GROUP => (TRIGGER_KINDS, triggers::API_VERSION),
        _ if version == "v1" && written == "Workflow" => {
            let message = "a workflow file and resources do not go together; put them into files \
                           of their own";
            findings.add(Code::Documents, node, message);
            return None;
        }
        group if is_ours(group) && group != INSTALL_GROUP => {
            let hint = suggestion(group, [GROUP, triggers::GROUP]);
            let message = format!("there is no group {group:?}{hint}");
            findings.add(Code::ApiVersion, section.get("apiVersion")?, message);
            return None;
        }
        _ => {
            let name = node.get("metadata").and_then(|metadata| metadata.get("name")?.as_scalar());
            let name = name.map(|name| format!(" {name:?}")).unwrap_or_default();
            let message = format!("the {written}{name} of {version:?} is left alone");
            findings.add_at(Code::Kind, Level::Note, node, message);
            return None;
        }
    };
    if version != expected {
        let message = format!("\"apiVersion\" has to be {expected:?}, not {version:?}");
        findings.add(Code::ApiVersion, section.get("apiVersion")?, message);
        return None;
    }
    let Some(kind) = known.iter().find(|known| **known == written) else {
        let hint = suggestion(&written, known.iter().copied());
        let level = if hint.is_empty() { Level::Warning } else { Level::Error };
        let message = format!("there is no kind {written:?} in {version:?}{hint}");
        findings.add_at(Code::Kind, level, section.get("kind")?, message);
        return None;
    };
    section.what = format!("the {kind}");
    section.check_keys(OBJECT_KEYS, true, findings);
    let what = format!("\"metadata\" of the {kind}");
    let metadata = match section.require("metadata", findings) {
        Some(_) => section.member("metadata", what, findings),
        None => None,
    };
    let name = metadata.and_then(|metadata| metadata.required_text("name", findings));
    let what = match &name {
        Some(name) => format!("{kind} {name:?}"),
        None => format!("the {kind}"),
    };
    Some(Object { kind, name, node, what })
}

/// The specification of an object.
fn spec<'n>(
    object: &Object<'n>,
    keys: &[&'static str],
    findings: &mut Findings,
) -> Option<Section<'n>> {
    let resource = Section::new(object.node, object.what.clone(), findings)?;
    if resource.written("spec").is_none() {
        resource.require("spec", findings)?;
    }
    let what = format!("\"spec\" of {}", object.what);
    let mut spec = resource.member("spec", what, findings)?;
    spec.check_keys(keys, true, findings);
    Some(spec)
}

fn workflow(
    object: &Object<'_>,
    tenant: Option<Tenant>,
    run: Option<Run>,
    run_object: Option<&Object<'_>>,
    findings: &mut Findings,
) -> Option<WorkflowFile> {
    let spec = spec(object, WORKFLOW_KEYS, findings)?;
    let name = object.name.clone().unwrap_or_default();
    if let (Some(run), Some(of)) = (&run, run_object)
        && run.spec.workflow_ref.name != name
    {
        let message = format!(
            "{} is of workflow {:?}, and the file holds {name:?}",
            of.what, run.spec.workflow_ref.name
        );
        findings.add(Code::Required, of.node, message);
    }
    let parameters = parameters(&spec, run.as_ref(), findings);
    let mut scopes = Scopes::new(&parameters);
    let steps = spec.get("steps");
    let steps = steps.map(|node| steps::read(node, Form::Resource, &mut scopes, findings));
    let mut file =
        WorkflowFile { name, steps: steps.unwrap_or_default(), parameters, ..Default::default() };
    graph::check_cycles(&file.steps, findings);
    let workflow: Workflow = decode(object, findings)?;
    describe_steps(&mut file, &workflow);
    file.resources = Some(Box::new(ResourceSet { tenant, workflow, run }));
    Some(file)
}

/// What steps are for stands in an annotation, which people see when they are asked for an answer.
fn describe_steps(file: &mut WorkflowFile, workflow: &Workflow) {
    let annotations = workflow.metadata.annotations.as_ref();
    let descriptions = annotations
        .and_then(|known| Value::from_json(known.get(annotation::STEP_DESCRIPTIONS)?).ok());
    for step in &mut file.steps {
        let description = descriptions.as_ref().and_then(|known| known.get(&step.name)?.as_str());
        step.description = description.map(str::to_owned);
    }
}

/// A run may give parameters that its workflow does not declare, and one that nobody gives is null.
fn parameters(
    spec: &Section<'_>,
    run: Option<&Run>,
    findings: &mut Findings,
) -> BTreeMap<String, Parameter> {
    let mut parameters = BTreeMap::new();
    let what = format!("\"parameters\" of {}", spec.what);
    let items = spec.get("parameters").and_then(|node| reader::list(node, &what, findings));
    for (index, item) in items.unwrap_or_default().iter().enumerate() {
        let what = format!("parameter {}", index + 1);
        let Some(mut section) = Section::new(item, what, findings) else { continue };
        section.check_keys(&["name", "default"], true, findings);
        let Some(name) = section.required_text("name", findings) else { continue };
        let default = section.get("default").map(|node| findings.tree(node));
        let location = section.spot().location;
        let default = Some(default.unwrap_or(Value::Null));
        let parameter = Parameter { default, location, description: None };
        if parameters.insert(name.clone(), parameter).is_some() {
            let message = format!("there is a parameter {name:?} already; names are unique");
            findings.add(Code::DuplicateName, section.spot(), message);
        }
    }
    for (name, value) in run.into_iter().flat_map(|run| &run.spec.parameters) {
        let default = Some(value.clone());
        let location = parameters.get(name).map_or(Location::default(), |known| known.location);
        parameters.insert(name.clone(), Parameter { default, location, description: None });
    }
    parameters
}

/// The object as its type. What is wrong is a finding, where nothing better is known.
fn decode<T: DeserializeOwned>(object: &Object<'_>, findings: &mut Findings) -> Option<T> {
    let value = findings.tree(object.node);
    match serde_json::from_str(&value.to_json()) {
        Ok(object) => Some(object),
        Err(_) if findings.has_errors() => None,
        Err(error) => {
            // The position in the error is one in JSON that nobody has written.
            let text = error.to_string();
            let text = text.split(" at line ").next().unwrap_or_default();
            let message = format!("the {} is not valid: {text}", object.kind);
            findings.add(Code::Type, object.node, message);
            None
        }
    }
}
