//! Files in the form of custom resources: a Workflow, and with it a Tenant and a Run, as they would
//! be applied to a cluster.

use std::collections::BTreeMap;

use relay_core::Value;
use relay_core::yaml::Node;
use serde::de::DeserializeOwned;

use super::expressions::Scopes;
use super::finding::{Code, Finding, Level, suggestion};
use super::reader::{Findings, Section};
use super::steps::{self, Form};
use super::{Parameter, WorkflowFile, graph};
use crate::v1beta1::{Run, Tenant, Workflow};

const API_VERSION: &str = "relay.sh/v1beta1";
const KINDS: &[&str] = &["Tenant", "Workflow", "Run"];

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

/// Whether these documents are resources rather than a workflow file.
pub(super) fn are_resources(documents: &[Node]) -> bool {
    let version = documents.first().and_then(|root| root.get("apiVersion")?.as_scalar().cloned());
    version.is_some_and(|version| version.starts_with("relay.sh/"))
}

/// Reads the documents; the steps are seen as those of a workflow file.
pub(super) fn read(documents: &[Node], findings: &mut Findings) -> Option<WorkflowFile> {
    let mut by_kind: BTreeMap<&str, &Node> = BTreeMap::new();
    for document in documents {
        let Some(section) = Section::new(document, "the resource".to_owned(), findings) else {
            continue;
        };
        let version = section.required_text("apiVersion", findings)?;
        let kind = section.required_text("kind", findings)?;
        let location = document.location;
        if version != API_VERSION {
            let message = format!("\"apiVersion\" has to be {API_VERSION:?}, not {version:?}");
            findings.add(Code::ApiVersion, location, message);
        } else if let Some(known) = KINDS.iter().find(|known| **known == kind) {
            if by_kind.insert(known, document).is_some() {
                findings.add(Code::DuplicateName, location, format!("there is a {kind} already"));
            }
        } else {
            let hint = suggestion(&kind, KINDS.iter().copied());
            let message = format!("a {kind} is not run here{hint}");
            findings.push(Finding::new(Code::Kind, location, message).at_level(Level::Warning));
        }
    }
    let workflow: Workflow = decode(by_kind.get("Workflow").copied(), "Workflow", findings)?;
    let optional = |kind: &str| by_kind.get(kind).copied();
    let tenant: Option<Tenant> =
        optional("Tenant").and_then(|node| decode(Some(node), "Tenant", findings));
    let run: Option<Run> = optional("Run").and_then(|node| decode(Some(node), "Run", findings));
    let name = workflow.metadata.name.clone().unwrap_or_default();
    if let (Some(run), Some(node)) = (&run, optional("Run"))
        && run.spec.workflow_ref.name != name
    {
        let message = format!(
            "the Run is of workflow {:?}, and the file holds {name:?}",
            run.spec.workflow_ref.name
        );
        findings.add(Code::Required, node.location, message);
    }
    let parameters = parameters(&workflow, run.as_ref());
    let mut scopes = Scopes::new(&parameters);
    let steps = by_kind.get("Workflow").and_then(|node| node.get("spec")?.get("steps"));
    let steps = steps.map(|node| steps::read(node, Form::Resource, &mut scopes, findings));
    let file = WorkflowFile {
        name,
        steps: steps.unwrap_or_default(),
        resources: Some(Box::new(ResourceSet { tenant, workflow, run })),
        parameters,
        ..WorkflowFile::default()
    };
    if !findings.has_errors() {
        graph::check_cycles(&file.steps, findings);
    }
    Some(file)
}

/// A run may give parameters that its workflow does not declare, and one that nobody gives is null.
fn parameters(workflow: &Workflow, run: Option<&Run>) -> BTreeMap<String, Parameter> {
    let declared = workflow.spec.parameters.iter().map(|known| {
        let default = Some(known.default.clone().unwrap_or(Value::Null));
        (known.name.clone(), Parameter { default, ..Parameter::default() })
    });
    let given = run.into_iter().flat_map(|run| &run.spec.parameters).map(|(name, value)| {
        let default = Some(value.clone());
        (name.clone(), Parameter { default, ..Parameter::default() })
    });
    declared.chain(given).collect()
}

fn decode<T: DeserializeOwned>(
    node: Option<&Node>,
    kind: &str,
    findings: &mut Findings,
) -> Option<T> {
    let Some(node) = node else {
        findings.add(Code::Required, Default::default(), format!("the file holds no {kind}"));
        return None;
    };
    let value = findings.tree(node);
    match serde_json::from_str(&value.to_json()) {
        Ok(object) => Some(object),
        Err(error) => {
            // The position in the error is one in JSON that nobody has written.
            let text = error.to_string();
            let text = text.split(" at line ").next().unwrap_or_default();
            findings.add(Code::Type, node.location, format!("the {kind} is not valid: {text}"));
            None
        }
    }
}
