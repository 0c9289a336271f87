//! Steps (`workflow-file.md` §3).

use std::collections::{BTreeMap, HashSet};

use relay_core::yaml::{Content, Location, Node, Tag};
use relay_core::{StepName, Value};

use super::expressions::{Place, Scopes, check_condition};
use super::finding::{Code, Finding, Level, Spot, did_you_mean, suggestion};
use super::graph::{Dependency, Origin};
use super::reader::{Findings, Section, Trees, describe, list};
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

/// The keys that a script replaces.
const PROGRAM_KEYS: &[&str] = &["command", "args"];

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
    let Some(items) = list(node, "\"steps\"", findings) else {
        scopes.hide();
        return Vec::new();
    };
    // All names first: a step may refer to one that stands below it.
    let sections: Vec<_> = items
        .iter()
        .enumerate()
        .filter_map(|(index, item)| {
            let name = item.get("name").and_then(Node::as_scalar).filter(|name| !name.is_empty());
            let what = match name {
                Some(name) => format!("step {name:?}"),
                None => format!("step {}", index + 1),
            };
            let mut section = Section::new(item, what, findings)?;
            let keys = if form == Form::File { KEYS } else { RESOURCE_KEYS };
            section.check_keys(keys, true, findings);
            Some(section)
        })
        .collect();
    if sections.len() < items.len() {
        scopes.hide();
    }
    let names = names(&sections, findings);
    scopes.set_steps(names.keys().cloned().collect());
    let steps = sections.iter();
    steps.filter_map(|section| step(section, form, &names, scopes, findings)).collect()
}

fn names(sections: &[Section<'_>], findings: &mut Findings) -> BTreeMap<String, Location> {
    let mut names = BTreeMap::<String, Location>::new();
    for section in sections {
        let Some(name) = section.required_text("name", findings) else {
            // A number is no name, but whoever refers to it means this step.
            if let Some(node) = section.get("name")
                && let Some(text) = node.as_scalar()
            {
                names.entry(text.to_string()).or_insert(node.location);
            }
            continue;
        };
        let spot = section.get("name").map_or(section.spot(), Spot::from);
        if let Some(first) = names.get(&name) {
            let message = format!(
                "there is a step {name:?} already, at line {}; names are unique",
                first.line
            );
            let finding = Finding::at(Code::DuplicateName, spot, message);
            findings.push(finding.with(*first, "first here"));
            continue;
        }
        if let Err(error) = StepName::new(&name) {
            findings.add(Code::Name, spot, error.to_string());
        }
        // Also a name that is wrong is there: those who refer to it are not wrong as well.
        names.insert(name, spot.location);
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
    let action = match kind(section, form, findings) {
        Kind::Approval => {
            for key in CONTAINER_KEYS.iter().filter(|key| form == Form::File || **key != "image") {
                if let Some(spot) = section.key_spot(key) {
                    let message = format!("{key:?} has no effect: {} is an approval", section.what);
                    findings.add(Code::IgnoredKey, spot, message);
                }
            }
            StepAction::Approval
        }
        Kind::Container => {
            section.required_text("image", findings);
            StepAction::Container(container(section, scopes, Place::Step, findings))
        }
        Kind::Unknown => StepAction::Container(container(section, scopes, Place::Step, findings)),
    };
    let when = when(section, scopes, Place::Step, findings);
    let description = section.text("description", findings);
    let mut dependencies = explicit(section, names, findings);
    let name = section.get("name").and_then(Node::as_scalar);
    let name = name.map(ToString::to_string).unwrap_or_default();
    dependencies.extend(scopes.take_dependencies(&name, &dependencies));
    Some(Step {
        name: Some(name).filter(|name| names.contains_key(name))?,
        location: section.spot().location,
        description,
        action,
        when,
        dependencies,
    })
}

enum Kind {
    Container,
    Approval,
    /// Neither, which is a finding.
    Unknown,
}

fn kind(section: &Section<'_>, form: Form, findings: &mut Findings) -> Kind {
    if form == Form::Resource {
        let image = section.get("image").and_then(Node::as_scalar);
        return match image {
            Some(image) if image.is_empty() => Kind::Approval,
            _ => Kind::Container,
        };
    }
    let Some(node) = section.get("type") else { return Kind::Container };
    match section.text("type", findings).as_deref() {
        None => Kind::Unknown,
        Some("container") => Kind::Container,
        Some("approval") => Kind::Approval,
        Some(other) => {
            let hint = suggestion(other, ["container", "approval"]);
            let message = format!(
                "the type of {} has to be \"container\" or \"approval\", not {other:?}{hint}",
                section.what
            );
            findings.add(Code::Enum, node, message);
            Kind::Unknown
        }
    }
}

fn explicit(
    section: &Section<'_>,
    names: &BTreeMap<String, Location>,
    findings: &mut Findings,
) -> Vec<Dependency> {
    let mut seen = HashSet::new();
    let mut dependencies: Vec<Dependency> = Vec::new();
    for (step, spot) in section.text_or_texts("dependsOn", findings) {
        if !names.contains_key(&step) {
            let hint = did_you_mean(findings.nearest(&step, names.keys().map(String::as_str)));
            let message =
                format!("{} depends on {step:?}, which does not exist{hint}", section.what);
            findings.add(Code::UnknownStep, spot, message);
        } else if seen.insert(step.clone()) {
            let location = spot.location;
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
    let lines = |texts: Vec<(String, Spot)>| texts.into_iter().map(|(line, _)| line).collect();
    let mut trees = |key: &str, findings: &mut Findings| {
        let Some(Trees { node, values }) = section.trees(key, findings) else {
            if section.get(key).is_some() {
                scopes.hide();
            }
            return BTreeMap::new();
        };
        scopes.check(node, place, &format!("{key:?} of {}", section.what), findings);
        if key == "env" {
            check_variables(node, &section.what, findings);
        }
        values
    };
    let spec = trees("spec", findings);
    let env = trees("env", findings);
    check_precedence(section, findings);
    let input_file = section.filled_text("inputFile", findings).zip(section.get("inputFile"));
    Container {
        image: section.text("image", findings).unwrap_or_default(),
        input: lines(section.text_or_texts("input", findings)),
        input_file: input_file.map(|(path, node)| InputFile { path, location: node.location }),
        command: section.filled_text("command", findings),
        args: lines(section.texts("args", findings)),
        spec,
        env,
    }
}

/// A script takes the place of other programs, and a script in a file that of lines.
fn check_precedence(section: &Section<'_>, findings: &mut Findings) {
    let has = |key: &str| section.get(key).is_some();
    let (winner, losers): (&str, Vec<&str>) = match (has("inputFile"), has("input")) {
        (true, _) => ("inputFile", [&["input"], PROGRAM_KEYS].concat()),
        (false, true) => ("input", PROGRAM_KEYS.to_vec()),
        (false, false) => return,
    };
    for key in losers {
        if let Some(spot) = section.key_spot(key).filter(|_| has(key)) {
            let message =
                format!("{key:?} of {} has no effect: {winner:?} takes its place", section.what);
            findings.add(Code::IgnoredKey, spot, message);
        }
    }
}

/// A variable is text: lists and maps are written as JSON.
fn check_variables(env: &Node, what: &str, findings: &mut Findings) {
    for (key, value) in env.as_mapping().unwrap_or_default() {
        let active =
            |(key, _): &(Node, Node)| key.as_scalar().is_some_and(|key| key.starts_with('$'));
        let plain = match value.content.as_ref() {
            Content::Scalar { .. } => false,
            Content::Sequence(_) => true,
            Content::Mapping(entries) => !entries.iter().any(active),
        };
        if plain && !matches!(value.tag, Some(Tag::Local(_))) {
            let name = key.as_scalar().map(ToString::to_string).unwrap_or_default();
            let message = format!(
                "variable {name:?} of {what} is {}: the step will see it as JSON",
                describe(value)
            );
            findings.add_at(Code::Type, Level::Warning, value, message);
        }
    }
}

/// A `when`, with its constants checked.
pub(super) fn when(
    section: &Section<'_>,
    scopes: &mut Scopes<'_>,
    place: Place,
    findings: &mut Findings,
) -> Option<Value> {
    let node = section.get("when")?;
    scopes.check(node, place, &format!("\"when\" of {}", section.what), findings);
    let value = findings.tree(node);
    let list = node.as_sequence().filter(|_| node.tag.is_none());
    for item in list.unwrap_or(std::slice::from_ref(node)) {
        check_condition(item, &section.what, findings);
    }
    Some(value)
}
