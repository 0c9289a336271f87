//! Triggers (`workflow-file.md` §5).

use std::collections::{BTreeMap, HashMap};

use relay_core::TriggerName;
use relay_core::yaml::Node;

use super::expressions::{Place, Scopes};
use super::finding::{Code, suggestion};
use super::reader::{Findings, Section, describe, is_null};
use super::{Parameter, Trigger, TriggerSource, steps};

const WEBHOOK_KEYS: &[&str] =
    &["type", "image", "spec", "env", "input", "inputFile", "command", "args"];

pub(super) fn read(
    node: &Node,
    parameters: &BTreeMap<String, Parameter>,
    scopes: &mut Scopes<'_>,
    findings: &mut Findings,
) -> Vec<Trigger> {
    let Some(items) = node.as_sequence() else {
        let message = format!("\"triggers\" has to be a list, not {}", describe(node));
        findings.add(Code::Type, node.location, message);
        return Vec::new();
    };
    let mut seen = HashMap::new();
    let mut triggers = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let what = match item.get("name").and_then(Node::as_scalar) {
            Some(name) => format!("trigger {name:?}"),
            None => format!("trigger {}", index + 1),
        };
        let Some(section) = Section::new(item, what, findings) else {
            continue;
        };
        section.check_keys(&["name", "source", "binding", "when"], true, findings);
        let name = section.required_text("name", findings);
        if let (Some(name), Some(node)) = (&name, section.get("name")) {
            if let Err(error) = TriggerName::new(name) {
                findings.add(Code::Name, node.location, error.to_string());
            }
            if let Some(first) = seen.insert(name.clone(), node.location) {
                let line = first.line;
                let message = format!("there is a trigger {name:?} already, at line {line}");
                findings.add(Code::DuplicateName, node.location, message);
            }
        }
        let source = source(&section, scopes, findings);
        let when = steps::when(&section, scopes, Place::Event, findings);
        let binding = section.get("binding").filter(|node| !is_null(node));
        let what = format!("\"binding\" of {}", section.what);
        let binding = binding.and_then(|node| Section::new(node, what, findings));
        let mut trigger = Trigger {
            name: name.unwrap_or_default(),
            source: source.unwrap_or(TriggerSource::Push),
            when,
            key: None,
            parameters: BTreeMap::new(),
        };
        if let Some(binding) = binding {
            binding.check_keys(&["key", "parameters"], true, findings);
            if let Some(key) = binding.get("key") {
                scopes.check(key, Place::Event, &binding.what, findings);
                trigger.key = Some(findings.tree(key));
            }
            if let Some(values) = binding.get("parameters") {
                scopes.check(values, Place::Event, &binding.what, findings);
                bound_names(values, parameters, &section, findings);
            }
            trigger.parameters = binding.trees("parameters", findings).into_iter().collect();
        }
        for (name, _) in parameters.iter().filter(|(name, parameter)| {
            parameter.default.is_none() && !trigger.parameters.contains_key(*name)
        }) {
            let message = format!(
                "{} gives no value to parameter {name:?}, which has no default: every run that it \
                 starts would be refused",
                section.what
            );
            findings.add(Code::UnboundParameter, section.location(), message);
        }
        triggers.push(trigger);
    }
    triggers
}

fn bound_names(
    values: &Node,
    parameters: &BTreeMap<String, Parameter>,
    section: &Section<'_>,
    findings: &mut Findings,
) {
    for (key, _) in values.as_mapping().unwrap_or_default() {
        let Some(name) = key.as_scalar().filter(|name| !parameters.contains_key(&***name)) else {
            continue;
        };
        let hint = suggestion(name, parameters.keys().map(String::as_str));
        let message =
            format!("{} binds parameter {name:?}, which is not declared{hint}", section.what);
        findings.add(Code::BindingUnknownParameter, key.location, message);
    }
}

fn source(
    section: &Section<'_>,
    scopes: &mut Scopes<'_>,
    findings: &mut Findings,
) -> Option<TriggerSource> {
    let Some(node) = section.get("source").filter(|node| !is_null(node)) else {
        let location = section.key_location("source").unwrap_or(section.location());
        findings.add(Code::Required, location, format!("{} needs \"source\"", section.what));
        return None;
    };
    let source = Section::new(node, format!("\"source\" of {}", section.what), findings)?;
    let kind = source.required_text("type", findings)?;
    match kind.as_str() {
        "schedule" => {
            source.check_keys(&["type", "schedule"], true, findings);
            source.required_text("schedule", findings).map(TriggerSource::Schedule)
        }
        "webhook" => {
            source.check_keys(WEBHOOK_KEYS, true, findings);
            let container = steps::container(&source, scopes, Place::TriggerSource, findings);
            Some(TriggerSource::Webhook(container))
        }
        "push" => {
            source.check_keys(&["type", "schema"], true, findings);
            Some(TriggerSource::Push)
        }
        other => {
            let hint = suggestion(other, ["schedule", "webhook", "push"]);
            let message = format!(
                "the type of {} has to be \"schedule\", \"webhook\" or \"push\", not \
                 {other:?}{hint}",
                source.what
            );
            let location = source.get("type").map_or(source.location(), |node| node.location);
            findings.add(Code::Enum, location, message);
            None
        }
    }
}
