//! The document as a whole (`workflow-file.md` §1).

use std::collections::HashMap;

use relay_core::yaml::{self, Node};

use super::expressions::Scopes;
use super::finding::{Code, Level, suggestion};
use super::reader::{Findings, Section, describe, is_null};
use super::steps::Form;
use super::{Parsed, WorkflowFile, alias, graph, parameters, resources, steps, triggers};

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

/// The keys below which aliases are looked at. Below all others anchors are at home, and mean
/// nothing until they are used.
const READ: &[&str] = &["tags", "parameters", "steps", "triggers"];

pub(super) fn parse(text: &str, default_name: &str) -> Parsed {
    let mut findings = Findings::default();
    let stream = yaml::read(text);
    stream.problems.iter().for_each(|problem| findings.problem(problem));
    let file = if resources::are_resources(&stream.documents) {
        resources::read(&stream.documents, &mut findings)
    } else {
        // A document of nothing, as behind a last `---`, is none.
        let mut documents = stream.documents.iter().filter(|document| !is_null(document));
        let first = documents.next();
        if let Some(second) = documents.next() {
            let message = "a workflow file holds one document; put each workflow into its own file";
            findings.add(Code::Documents, second, message);
        }
        match first {
            Some(root) => read(root, default_name, &mut findings),
            None => Some(WorkflowFile { name: default_name.to_owned(), ..WorkflowFile::default() }),
        }
    };
    let file = file.filter(|_| !findings.has_errors());
    Parsed { file, findings: findings.sorted() }
}

fn read(root: &Node, default_name: &str, findings: &mut Findings) -> Option<WorkflowFile> {
    let mut section = Section::new(root, "the workflow".to_owned(), findings)?;
    // Other top-level keys are a home for anchors.
    section.check_keys(KEYS, false, findings);
    let expanded: HashMap<&str, Node> =
        READ.iter().filter_map(|key| Some((*key, alias::expanded(section.get(key)?)?))).collect();
    let node = |key: &str| expanded.get(key).or_else(|| section.get(key));
    constant(&section, "apiVersion", "v1", Code::ApiVersion, findings);
    constant(&section, "kind", "Workflow", Code::Kind, findings);
    if let Some(locals) = section.get("locals") {
        Section::new(locals, "\"locals\"".to_owned(), findings);
    }
    let mut file = WorkflowFile {
        name: section.filled_text("name", findings).unwrap_or_else(|| default_name.to_owned()),
        summary: section.text("summary", findings),
        description: section.text("description", findings),
        homepage: uri(&section, "homepage", findings),
        source: uri(&section, "source", findings),
        tags: section.texts("tags", findings).into_iter().map(|(tag, _)| tag).collect(),
        ..WorkflowFile::default()
    };
    if let Some(node) = node("parameters") {
        file.parameters = parameters::read(node, findings);
    }
    let mut scopes = Scopes::new(&file.parameters);
    if let Some(node) = node("steps") {
        file.steps = steps::read(node, Form::File, &mut scopes, findings);
    }
    if let Some(node) = node("triggers") {
        file.triggers = triggers::read(node, &file.parameters, &mut scopes, findings);
    }
    scopes.report_unused(&file, findings);
    graph::check_cycles(&file.steps, findings);
    Some(file)
}

/// A key that may have one value only.
fn constant(section: &Section<'_>, key: &str, value: &str, code: Code, findings: &mut Findings) {
    let Some(node) = section.get(key) else { return };
    let found = match (describe(node), node.as_scalar()) {
        ("a string", Some(found)) if **found == *value => return,
        ("a string", Some(found)) => format!("{found:?}{}", suggestion(found, [value])),
        (other, _) => other.to_owned(),
    };
    findings.add(code, node, format!("{key:?} has to be {value:?}, not {found}"));
}

/// A link for people: one that leads nowhere does no harm.
fn uri(section: &Section<'_>, key: &str, findings: &mut Findings) -> Option<String> {
    let text = section.text(key, findings)?;
    if !is_uri(&text) {
        let message = format!(
            "{key:?} of {} is no URI: {text:?}; write it with its scheme, as in https://…",
            section.what
        );
        findings.add_at(Code::Type, Level::Warning, section.get(key)?, message);
    }
    Some(text)
}

/// Whether this has a scheme, and something behind it without blanks (RFC 3986).
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
        && !rest.is_empty()
        && !rest.contains(|c: char| c.is_whitespace() || c.is_control())
}
