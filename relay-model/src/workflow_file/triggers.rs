//! Triggers (`workflow-file.md` §5).

use std::collections::{BTreeMap, HashMap, HashSet};

use relay_core::TriggerName;
use relay_core::yaml::{Location, Node};

use super::expressions::{Place, Scopes};
use super::finding::{Code, Finding, Level, Spot, did_you_mean, suggestion};
use super::reader::{Findings, Section, list};
use super::{InputFile, Parameter, Trigger, TriggerSource, steps};
use crate::schedule::Schedule;

const KEYS: &[&str] = &["name", "source", "binding", "when"];
const BINDING_KEYS: &[&str] = &["key", "parameters"];
const SCHEDULE_KEYS: &[&str] = &["type", "schedule"];
const PUSH_KEYS: &[&str] = &["type", "schema"];
const WEBHOOK_KEYS: &[&str] =
    &["type", "image", "spec", "env", "input", "inputFile", "command", "args"];
/// The keys of all sources, for one whose type is not known.
const SOURCE_KEYS: &[&str] = &[
    "type",
    "schedule",
    "schema",
    "image",
    "spec",
    "env",
    "input",
    "inputFile",
    "command",
    "args",
];

pub(super) fn read(
    node: &Node,
    parameters: &BTreeMap<String, Parameter>,
    scopes: &mut Scopes<'_>,
    findings: &mut Findings,
) -> Vec<Trigger> {
    let Some(items) = list(node, "\"triggers\"", findings) else { return Vec::new() };
    let mut seen = HashMap::new();
    let mut triggers = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let name = item.get("name").and_then(Node::as_scalar).filter(|name| !name.is_empty());
        let what = match name {
            Some(name) => format!("trigger {name:?}"),
            None => format!("trigger {}", index + 1),
        };
        let Some(mut section) = Section::new(item, what, findings) else { continue };
        section.check_keys(KEYS, true, findings);
        let name = name_of(&section, &mut seen, findings);
        let source = source(&section, scopes, findings);
        let place = match source {
            Some(TriggerSource::Schedule(_)) => Place::ScheduleEvent,
            _ => Place::Event,
        };
        let mut trigger = Trigger {
            name,
            source: source.unwrap_or(TriggerSource::Push),
            when: steps::when(&section, scopes, place, findings),
            key: None,
            parameters: BTreeMap::new(),
            location: section.spot().location,
        };
        let bound = bind(&section, &mut trigger, Some(parameters), (scopes, place), findings);
        if let Some(Bound(bound)) = bound {
            report_unbound(&section, &bound, parameters, findings);
        }
        triggers.push(trigger);
    }
    triggers
}

fn name_of(
    section: &Section<'_>,
    seen: &mut HashMap<String, Location>,
    findings: &mut Findings,
) -> String {
    let Some(name) = section.required_text("name", findings) else { return String::new() };
    let spot = section.get("name").map_or(section.spot(), Spot::from);
    match seen.get(&name) {
        Some(first) => {
            let line = first.line;
            let message =
                format!("there is a trigger {name:?} already, at line {line}; names are unique");
            let finding = Finding::at(Code::DuplicateName, spot, message);
            findings.push(finding.with(*first, "first here"));
        }
        None => {
            if let Err(error) = TriggerName::new(&name) {
                findings.add(Code::Name, spot, error.to_string());
            }
            seen.insert(name.clone(), spot.location);
        }
    }
    name
}

/// The names of the parameters that are bound, or were meant to be.
pub(super) struct Bound(pub(super) HashSet<String>);

/// Reads the binding into the trigger. `parameters` are those of the workflow, where they are known.
/// `None` where it cannot be said what is bound.
pub(super) fn bind(
    section: &Section<'_>,
    trigger: &mut Trigger,
    parameters: Option<&BTreeMap<String, Parameter>>,
    (scopes, place): (&mut Scopes<'_>, Place),
    findings: &mut Findings,
) -> Option<Bound> {
    if section.get("binding").is_none() {
        return Some(Bound(HashSet::new()));
    }
    let what = format!("\"binding\" of {}", section.what);
    let mut binding = section.member("binding", what, findings)?;
    binding.check_keys(BINDING_KEYS, true, findings);
    if let Some(key) = binding.get("key") {
        scopes.check(key, place, &binding.what, findings);
        trigger.key = Some(findings.tree(key));
    }
    if binding.get("parameters").is_none() {
        return Some(Bound(HashSet::new()));
    }
    let values = binding.trees("parameters", findings)?;
    scopes.check(values.node, place, &binding.what, findings);
    trigger.parameters = values.values;
    let mut bound = HashSet::new();
    for (key, _) in values.node.as_mapping().unwrap_or_default() {
        let Some(name) = key.as_scalar() else { continue };
        bound.insert(name.to_string());
        if let Some(parameters) = parameters.filter(|known| !known.contains_key(&**name)) {
            let meant = findings.nearest(name, parameters.keys().map(String::as_str));
            bound.extend(meant.map(str::to_owned));
            let hint = did_you_mean(meant);
            let message =
                format!("{} binds parameter {name:?}, which is not declared{hint}", section.what);
            findings.add(Code::BindingUnknownParameter, key, message);
        }
    }
    Some(Bound(bound))
}

pub(super) fn report_unbound(
    section: &Section<'_>,
    bound: &HashSet<String>,
    parameters: &BTreeMap<String, Parameter>,
    findings: &mut Findings,
) {
    for (name, parameter) in parameters {
        if parameter.default.is_none() && !bound.contains(name) {
            let message = format!(
                "{} gives no value to parameter {name:?}, which has no default: every run that it \
                 starts would be refused",
                section.what
            );
            findings.add(Code::UnboundParameter, section.spot(), message);
        }
    }
}

fn source(
    section: &Section<'_>,
    scopes: &mut Scopes<'_>,
    findings: &mut Findings,
) -> Option<TriggerSource> {
    section.require("source", findings)?;
    let what = format!("\"source\" of {}", section.what);
    let mut source = section.member("source", what, findings)?;
    let kind = source.get("type").and_then(Node::as_scalar).map(ToString::to_string);
    match kind.as_deref() {
        Some("schedule") => {
            source.check_keys(SCHEDULE_KEYS, true, findings);
            // What is wrong with the line hides nothing else: the event is empty all the same.
            let line = source.required_text("schedule", findings).unwrap_or_default();
            if let Some(node) = source.get("schedule").filter(|_| !line.is_empty()) {
                check_schedule(node, &line, &section.what, findings);
            }
            Some(TriggerSource::Schedule(line))
        }
        Some("webhook") => {
            source.check_keys(WEBHOOK_KEYS, true, findings);
            source.required_text("image", findings);
            let container = steps::container(&source, scopes, Place::TriggerSource, findings);
            Some(TriggerSource::Webhook(container))
        }
        Some("push") => {
            source.check_keys(PUSH_KEYS, true, findings);
            if let Some(spot) = source.key_spot("schema") {
                let message = format!("\"schema\" of {} has no effect", source.what);
                findings.add(Code::IgnoredKey, spot, message);
            }
            Some(TriggerSource::Push)
        }
        _ => {
            source.check_keys(SOURCE_KEYS, true, findings);
            let kind = source.required_text("type", findings)?;
            let hint = suggestion(&kind, ["schedule", "webhook", "push"]);
            let message = format!(
                "the type of {} has to be \"schedule\", \"webhook\" or \"push\", not {kind:?}{hint}",
                source.what
            );
            findings.add(Code::Enum, source.get("type")?, message);
            None
        }
    }
}

/// Reports a line that is no schedule, or one whose time never comes.
pub(super) fn check_schedule(node: &Node, line: &str, what: &str, findings: &mut Findings) {
    match Schedule::parse(line) {
        Err(error) => {
            let message = format!("the schedule {line:?} of {what} cannot be used: {error}");
            findings.add(Code::Schedule, node, message);
        }
        Ok(schedule) if !schedule.fires() => {
            let message =
                format!("the schedule {line:?} of {what} never fires: there is no such date");
            findings.add_at(Code::NeverFires, Level::Warning, node, message);
        }
        Ok(_) => {}
    }
}

impl super::WorkflowFile {
    /// The scripts of webhooks that are in files of their own, by trigger.
    pub fn webhook_input_files(&self) -> impl Iterator<Item = (&str, &InputFile)> {
        self.triggers.iter().filter_map(|trigger| match &trigger.source {
            TriggerSource::Webhook(container) => {
                Some((trigger.name.as_str(), container.input_file.as_ref()?))
            }
            _ => None,
        })
    }

    /// Puts the text of a script in the place of a webhook's file.
    pub fn set_webhook_input(&mut self, trigger: &str, text: String) {
        let named = self.triggers.iter_mut().find(|known| known.name == trigger);
        if let Some(TriggerSource::Webhook(container)) = named.map(|trigger| &mut trigger.source) {
            container.input_file = None;
            container.input = vec![text];
        }
    }
}
