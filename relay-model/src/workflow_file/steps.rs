//! Steps (`workflow-file.md` §3).

use std::collections::BTreeMap;

use relay_core::yaml::{Location, Node};
use relay_core::{StepName, Value};

use super::expressions::{Place, Scopes};
use super::finding::{Code, suggestion};
use super::graph::{Dependency, Origin};
use super::reader::{Findings, Section, describe, is_null};
use super::{Container, InputFile, Step, StepAction};

const KEYS: &[&str] = &[
    "name",
    "type",
    "description",
    "dependsOn",
    "when",
    "image",
    "spec",
    "env",
    "input",
    "inputFile",
    "command",
    "args",
];

/// The keys that an approval ignores.
const CONTAINER_KEYS: &[&str] = &["image", "spec", "env", "input", "inputFile", "command", "args"];

/// The keys of a step in a resource.
const RESOURCE_KEYS: &[&str] =
    &["name", "dependsOn", "when", "image", "spec", "env", "input", "command", "args"];

/// The two forms that steps are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In a workflow file.
    File,
    /// In a custom resource, where an approval is a step with an empty image.
    Resource,
}

pub(super) fn read(
    node: &Node,
    form: Form,
    scopes: &mut Scopes<'_>,
    findings: &mut Findings,
) -> Vec<Step> {
    let Some(items) = node.as_sequence() else {
        let message = format!("\"steps\" has to be a list, not {}", describe(node));
        findings.add(Code::Type, node.location, message);
        return Vec::new();
    };
    // All names first: a step may refer to one that stands below it.
    let sections: Vec<_> = items
        .iter()
        .enumerate()
        .filter_map(|(index, item)| {
            let name = item.get("name").and_then(Node::as_scalar);
            let what = match name {
                Some(name) => format!("step {name:?}"),
                None => format!("step {}", index + 1),
            };
            Section::new(item, what, findings)
        })
        .collect();
    let names = names(&sections, findings);
    scopes.set_steps(names.keys().cloned().collect());
    let steps = sections.iter();
    steps.filter_map(|section| step(section, form, &names, scopes, findings)).collect()
}

fn names(sections: &[Section<'_>], findings: &mut Findings) -> BTreeMap<String, Location> {
    let mut names = BTreeMap::<String, Location>::new();
    for section in sections {
        let Some(name) = section.required_text("name", findings) else {
            continue;
        };
        let location = section.get("name").map_or(section.location(), |node| node.location);
        if let Err(error) = StepName::new(&name) {
            findings.add(Code::Name, location, error.to_string());
        } else if let Some(first) = names.get(&name) {
            let message = format!(
                "there is a step {name:?} already, at line {}; names are unique",
                first.line
            );
            findings.add(Code::DuplicateName, location, message);
        } else {
            names.insert(name, location);
        }
    }
    names
}

fn step(
    section: &Section<'_>,
    form: Form,
    names: &BTreeMap<String, Location>,
    scopes: &mut Scopes<'_>,
    findings: &mut Findings,
) -> Option<Step> {
    let empty_image =
        || section.get("image").and_then(Node::as_scalar).is_some_and(|image| image.is_empty());
    section.check_keys(if form == Form::File { KEYS } else { RESOURCE_KEYS }, true, findings);
    let approval = match section.get("type") {
        _ if form == Form::Resource => empty_image(),
        None => false,
        Some(node) => match section.text("type", findings)?.as_str() {
            "container" => false,
            "approval" => true,
            other => {
                let hint = suggestion(other, ["container", "approval"]);
                let message = format!(
                    "the type of {} has to be \"container\" or \"approval\", not {other:?}{hint}",
                    section.what
                );
                findings.add(Code::Enum, node.location, message);
                return None;
            }
        },
    };
    let action = if approval {
        for key in CONTAINER_KEYS.iter().filter(|key| form == Form::File || **key != "image") {
            if let Some(location) = section.key_location(key) {
                let message = format!("{key:?} has no effect: {} is an approval", section.what);
                findings.add(Code::IgnoredKey, location, message);
            }
        }
        StepAction::Approval
    } else {
        StepAction::Container(container(section, scopes, Place::Step, findings))
    };
    let when = when(section, scopes, Place::Step, findings);
    let mut dependencies = explicit(section, names, findings);
    if let Some(name) = section.get("name").and_then(Node::as_scalar) {
        dependencies.extend(scopes.take_dependencies(name, &dependencies));
    }
    Some(Step {
        name: section.text("name", findings)?,
        location: section.location(),
        description: section.text("description", findings),
        action,
        when,
        dependencies,
    })
}

fn explicit(
    section: &Section<'_>,
    names: &BTreeMap<String, Location>,
    findings: &mut Findings,
) -> Vec<Dependency> {
    let mut dependencies: Vec<Dependency> = Vec::new();
    for (step, location) in section.texts("dependsOn", findings) {
        if !names.contains_key(&step) {
            let hint = suggestion(&step, names.keys().map(String::as_str));
            let message =
                format!("{} depends on {step:?}, which does not exist{hint}", section.what);
            findings.add(Code::UnknownStep, location, message);
        } else if !dependencies.iter().any(|known| known.step == step) {
            dependencies.push(Dependency { step, origin: Origin::DependsOn, location });
        }
    }
    dependencies
}

/// The keys that steps and webhooks share.
pub(super) fn container(
    section: &Section<'_>,
    scopes: &mut Scopes<'_>,
    place: Place,
    findings: &mut Findings,
) -> Container {
    let lines = |key: &str, findings: &mut Findings| {
        section.texts(key, findings).into_iter().map(|(line, _)| line).collect::<Vec<_>>()
    };
    for key in ["spec", "env"] {
        if let Some(node) = section.get(key).filter(|node| node.as_mapping().is_some()) {
            scopes.check(node, place, &format!("{key:?} of {}", section.what), findings);
        }
    }
    if let Some(node) = section.get("args").filter(|node| !is_null(node))
        && node.as_sequence().is_none()
    {
        let message = format!("\"args\" of {} has to be a list", section.what);
        findings.add(Code::Type, node.location, message);
    }
    for key in ["command", "inputFile"] {
        if let Some(node) =
            section.get(key).filter(|node| node.as_scalar().is_some_and(|t| t.is_empty()))
        {
            let message = format!("{key:?} of {} must not be empty", section.what);
            findings.add(Code::Required, node.location, message);
        }
    }
    Container {
        image: section.required_text("image", findings).unwrap_or_default(),
        input: lines("input", findings),
        input_file: section
            .text("inputFile", findings)
            .zip(section.get("inputFile"))
            .map(|(path, node)| InputFile { path, location: node.location }),
        command: section.text("command", findings),
        args: if section.get("args").is_some_and(|node| node.as_sequence().is_some()) {
            lines("args", findings)
        } else {
            Vec::new()
        },
        spec: section.trees("spec", findings).into_iter().collect(),
        env: section.trees("env", findings).into_iter().collect(),
    }
}

/// A `when`, with its constants checked.
pub(super) fn when(
    section: &Section<'_>,
    scopes: &mut Scopes<'_>,
    place: Place,
    findings: &mut Findings,
) -> Option<Value> {
    let node = section.get("when").filter(|node| !is_null(node))?;
    scopes.check(node, place, &format!("\"when\" of {}", section.what), findings);
    let value = findings.tree(node);
    let list = node.as_sequence().filter(|_| node.tag.is_none());
    let items = list.unwrap_or(std::slice::from_ref(node));
    for item in items {
        let tree = item.to_tree(&mut Vec::new());
        let text = tree.as_str().is_some_and(|text| !text.contains("${"));
        if text || matches!(tree, Value::Number(_) | Value::Time(_) | Value::Null) {
            let message = format!(
                "a condition of {} is {}, but only true and false decide; write an expression such \
                 as `${{parameters.x == 'y'}}`",
                section.what,
                describe(item)
            );
            findings.add(Code::ConditionType, item.location, message);
        }
    }
    Some(value)
}
