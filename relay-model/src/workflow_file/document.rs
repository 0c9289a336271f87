//! The document as a whole (`workflow-file.md` §1).

use relay_core::yaml;

use super::expressions::Scopes;
use super::finding::{Code, suggestion};
use super::reader::{Findings, Section, is_null};
use super::steps::Form;
use super::{Parsed, WorkflowFile, graph, parameters, resources, steps, triggers};

const KEYS: &[&str] = &[
    "apiVersion",
    "kind",
    "name",
    "summary",
    "description",
    "homepage",
    "source",
    "tags",
    "locals",
    "parameters",
    "steps",
    "triggers",
];

pub(super) fn parse(text: &str, default_name: &str) -> Parsed {
    let mut findings = Findings::default();
    let stream = yaml::read(text);
    stream.problems.iter().for_each(|problem| findings.problem(problem));
    if resources::are_resources(&stream.documents) {
        let file = resources::read(&stream.documents, &mut findings);
        let file = file.filter(|_| !findings.has_errors());
        return Parsed { file, findings: findings.sorted() };
    }
    if let Some(second) = stream.documents.get(1) {
        let message = "a workflow file holds one document; put each workflow into its own file";
        findings.add(Code::Documents, second.location, message);
    }
    let file = match stream.documents.first() {
        Some(root) => read(root, default_name, &mut findings),
        None => Some(WorkflowFile { name: default_name.to_owned(), ..WorkflowFile::default() }),
    };
    let file = file.filter(|_| !findings.has_errors());
    Parsed { file, findings: findings.sorted() }
}

fn read(root: &yaml::Node, default_name: &str, findings: &mut Findings) -> Option<WorkflowFile> {
    let section = Section::new(root, "the workflow".to_owned(), findings)?;
    // Other top-level keys are a home for anchors.
    section.check_keys(KEYS, false, findings);
    constant(&section, "apiVersion", "v1", Code::ApiVersion, findings);
    constant(&section, "kind", "Workflow", Code::Kind, findings);
    let mut file = WorkflowFile {
        name: match section.get("name") {
            Some(_) => section.required_text("name", findings).unwrap_or_default(),
            None => default_name.to_owned(),
        },
        summary: section.text("summary", findings),
        description: section.text("description", findings),
        homepage: section.text("homepage", findings),
        source: section.text("source", findings),
        tags: section.texts("tags", findings).into_iter().map(|(tag, _)| tag).collect(),
        ..WorkflowFile::default()
    };
    if let Some(node) = section.get("parameters") {
        file.parameters = parameters::read(node, findings);
    }
    let mut scopes = Scopes::new(&file.parameters);
    if let Some(node) = section.get("steps").filter(|node| !is_null(node)) {
        file.steps = steps::read(node, Form::File, &mut scopes, findings);
    }
    if let Some(node) = section.get("triggers").filter(|node| !is_null(node)) {
        file.triggers = triggers::read(node, &file.parameters, &mut scopes, findings);
    }
    scopes.report_unused(&file, findings);
    if !findings.has_errors() {
        graph::check_cycles(&file.steps, findings);
    }
    Some(file)
}

/// A key that may have one value only.
fn constant(section: &Section<'_>, key: &str, value: &str, code: Code, findings: &mut Findings) {
    let Some(node) = section.get(key) else { return };
    let Some(found) = section.text(key, findings) else {
        return;
    };
    if found != value {
        let hint = suggestion(&found, [value]);
        let message = format!("{key:?} has to be {value:?}, not {found:?}{hint}");
        findings.add(code, node.location, message);
    }
}
