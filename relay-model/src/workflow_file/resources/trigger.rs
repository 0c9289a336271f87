//! Triggers as resources. What a trigger binds is in its specification, or for webhooks, which have
//! no place for it, in annotations (`workflow-file.md` §7).

use std::collections::BTreeMap;

use relay_core::yaml::{self, Content, Node};
use serde::de::DeserializeOwned;

use super::super::alias::moved;
use super::super::expressions::{Place, Scopes};
use super::super::finding::Code;
use super::super::reader::{Findings, Section};
use super::super::triggers::{self, Bound};
use super::super::{Parameter, Trigger, TriggerSource, steps};
use super::{Object, decode, spec};
use crate::annotation;
use crate::triggers::{PushTrigger, ScheduleTrigger};
use crate::v1beta1::WebhookTrigger;

const WEBHOOK_KEYS: &[&str] =
    &["tenantRef", "name", "image", "input", "command", "args", "spec", "env"];
const SCHEDULE_KEYS: &[&str] = &["schedule", "timeZone", "workflowRef", "binding", "when"];
const PUSH_KEYS: &[&str] = &["workflowRef", "binding", "when", "tokenSecretRef"];

/// Reads a trigger. `workflow` is the one in the file, by its name, with its parameters.
pub(super) fn read(
    object: &Object<'_>,
    workflow: Option<(&str, &BTreeMap<String, Parameter>)>,
    findings: &mut Findings,
) -> Option<Trigger> {
    let started = started(object);
    let declared = workflow.filter(|(name, _)| started.is_some_and(|started| started == *name));
    let declared = declared.map(|(_, parameters)| parameters);
    let nothing = BTreeMap::new();
    let mut scopes = Scopes::new(&nothing);
    let scopes = &mut scopes;
    let mut trigger = Trigger {
        name: object.name.clone().unwrap_or_default(),
        source: TriggerSource::Push,
        when: None,
        key: None,
        parameters: BTreeMap::new(),
        location: object.node.location,
    };
    match object.kind {
        "WebhookTrigger" => {
            let mut spec = spec(object, WEBHOOK_KEYS, findings)?;
            spec.what.clone_from(&object.what);
            spec.required_text("image", findings);
            let container = steps::container(&spec, scopes, Place::TriggerSource, findings);
            trigger.source = TriggerSource::Webhook(container);
            if let Some(written) = annotations(object, findings) {
                let event = Section::new(&written, object.what.clone(), findings)?;
                rules(&event, &mut trigger, declared, scopes, Place::Event, findings);
            }
            valid::<WebhookTrigger>(object, findings);
        }
        "ScheduleTrigger" => {
            let mut spec = spec(object, SCHEDULE_KEYS, findings)?;
            spec.what.clone_from(&object.what);
            let line = spec.required_text("schedule", findings).unwrap_or_default();
            let line = match spec.filled_text("timeZone", findings) {
                Some(zone) => format!("TZ={zone} {line}"),
                None => line,
            };
            if let Some(node) = spec.get("schedule") {
                triggers::check_schedule(node, &line, &object.what, findings);
            }
            trigger.source = TriggerSource::Schedule(line);
            rules(&spec, &mut trigger, declared, scopes, Place::ScheduleEvent, findings);
            valid::<ScheduleTrigger>(object, findings);
        }
        _ => {
            let mut spec = spec(object, PUSH_KEYS, findings)?;
            spec.what.clone_from(&object.what);
            rules(&spec, &mut trigger, declared, scopes, Place::Event, findings);
            valid::<PushTrigger>(object, findings);
        }
    }
    Some(trigger)
}

/// The name of the workflow that a trigger starts.
fn started<'n>(object: &Object<'n>) -> Option<&'n str> {
    let node = if object.kind == "WebhookTrigger" {
        object.node.get("metadata")?.get("annotations")?.get(annotation::WORKFLOW)?
    } else {
        object.node.get("spec")?.get("workflowRef")?.get("name")?
    };
    node.as_scalar().map(|name| &**name)
}

fn rules(
    section: &Section<'_>,
    trigger: &mut Trigger,
    declared: Option<&BTreeMap<String, Parameter>>,
    scopes: &mut Scopes<'_>,
    place: Place,
    findings: &mut Findings,
) {
    trigger.when = steps::when(section, scopes, place, findings);
    let bound = triggers::bind(section, trigger, declared, (scopes, place), findings);
    if let (Some(Bound(bound)), Some(declared)) = (bound, declared) {
        triggers::report_unbound(section, &bound, declared, findings);
    }
}

fn valid<T: DeserializeOwned>(object: &Object<'_>, findings: &mut Findings) {
    let _: Option<T> = decode(object, findings);
}

/// The condition and the binding of a webhook as one map, from the JSON in its annotations.
fn annotations(object: &Object<'_>, findings: &mut Findings) -> Option<Node> {
    let annotations = object.node.get("metadata")?.get("annotations")?;
    let mut whole: Option<Node> = None;
    let mut entries = Vec::new();
    for (name, key) in [(annotation::WHEN, "when"), (annotation::BINDING, "binding")] {
        let Some(node) = annotations.get(name) else { continue };
        let text = node.as_scalar()?;
        if let Err(error) = relay_core::Value::from_json(text) {
            let message = format!("annotation {name:?} of {} is no JSON: {error}", object.what);
            findings.add(Code::Type, node, message);
            continue;
        }
        // JSON is YAML, and a node knows where it stands: here all of it in the annotation.
        let stream = yaml::read(text);
        let Some(value) = stream.documents.first() else { continue };
        let value = moved(value, node.location);
        let mut key_node = value.clone();
        key_node.content = std::sync::Arc::new(Content::Scalar { text: key.into(), plain: false });
        entries.push((key_node, value.clone()));
        whole.get_or_insert(value);
    }
    let mut whole = whole?;
    whole.content = std::sync::Arc::new(Content::Mapping(entries));
    Some(whole)
}
