//! What expressions in a file mention, and whether it is there (`workflow-file.md` §4).

use std::collections::{BTreeMap, BTreeSet};

use relay_core::expr::{Mention, Reference};
use relay_core::yaml::{Content, Location, Node, Tag};
use relay_core::{Expression, Value};

use super::finding::{Code, suggestion};
use super::graph::{Dependency, Origin};
use super::reader::Findings;
use super::{Parameter, WorkflowFile};

/// Where an expression stands: it decides what it may refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `spec`, `env` and `when` of a step.
    Step,
    /// `spec` and `env` of a webhook.
    TriggerSource,
    /// `when` and `binding` of a trigger.
    Event,
}

/// What there is to refer to, and what was referred to.
pub(super) struct Scopes<'p> {
    parameters: &'p BTreeMap<String, Parameter>,
    steps: BTreeSet<String>,
    used: BTreeSet<String>,
    all_parameters_used: bool,
    /// Steps that the step in hand mentions.
    mentioned: Vec<Dependency>,
}

impl<'p> Scopes<'p> {
    pub(super) fn new(parameters: &'p BTreeMap<String, Parameter>) -> Self {
        Self {
            parameters,
            steps: BTreeSet::new(),
            used: BTreeSet::new(),
            all_parameters_used: false,
            mentioned: Vec::new(),
        }
    }

    pub(super) fn set_steps(&mut self, steps: BTreeSet<String>) {
        self.steps = steps;
    }

    /// The dependencies that come from what the step mentioned, beyond those known.
    pub(super) fn take_dependencies(
        &mut self,
        step: &str,
        known: &[Dependency],
    ) -> Vec<Dependency> {
        let mut found: Vec<Dependency> = Vec::new();
        for edge in std::mem::take(&mut self.mentioned) {
            let explicit = known.iter().any(|known| known.step == edge.step);
            let own_status = edge.step == step && edge.origin == Origin::Status;
            match found.iter_mut().find(|known| known.step == edge.step) {
                _ if explicit || own_status => {}
                // Using an output asks for more than looking at a status.
                Some(known) if known.origin == Origin::Status => *known = edge,
                Some(_) => {}
                None => found.push(edge),
            }
        }
        found
    }

    /// Checks everything below a node.
    pub(super) fn check(&mut self, node: &Node, place: Place, what: &str, findings: &mut Findings) {
        Walk { scopes: self, place, what, findings, alias: None }.node(node);
    }

    /// Warns of parameters that nothing refers to.
    pub(super) fn report_unused(&self, file: &WorkflowFile, findings: &mut Findings) {
        if self.all_parameters_used || file.steps.is_empty() {
            return;
        }
        for (name, parameter) in &file.parameters {
            if !self.used.contains(name) {
                let message = format!("nothing refers to parameter {name:?}");
                findings.add(Code::UnusedParameter, parameter.location, message);
            }
        }
    }
}

struct Walk<'w, 'p> {
    scopes: &'w mut Scopes<'p>,
    place: Place,
    what: &'w str,
    findings: &'w mut Findings,
    /// The alias through which the node in hand was reached.
    alias: Option<Location>,
}

impl Walk<'_, '_> {
    fn node(&mut self, node: &Node) {
        let outer = self.alias;
        if node.anchor.is_some() && outer.is_none() {
            self.alias = Some(node.location);
        }
        self.mentions(node);
        match node.content.as_ref() {
            Content::Scalar { .. } => {}
            Content::Sequence(items) => items.iter().for_each(|item| self.node(item)),
            Content::Mapping(entries) => entries.iter().for_each(|(_, value)| self.node(value)),
        }
        self.alias = outer;
    }

    /// What a node mentions by itself, without its members.
    fn mentions(&mut self, node: &Node) {
        let shell = match (&node.tag, node.content.as_ref()) {
            (Some(Tag::Local(name)), content) if name.starts_with("Fn.") => {
                Value::map([(format!("${}", name.replacen("Fn", "fn", 1)), arguments(content))])
            }
            (Some(Tag::Local(_)), _) => node.to_tree(&mut Vec::new()),
            (_, Content::Scalar { text, .. }) if text.contains("${") => Value::Text(text.clone()),
            (_, Content::Mapping(entries)) => match entries.as_slice() {
                [(key, value)] if key.as_scalar().is_some_and(|key| key.starts_with("$fn.")) => {
                    let key = key.as_scalar().map(ToString::to_string).unwrap_or_default();
                    Value::map([(key, arguments(&value.content))])
                }
                _ if node.get("$type").is_some() => node.to_tree(&mut Vec::new()),
                _ => return,
            },
            _ => return,
        };
        let origin = node.anchor.unwrap_or(node.location);
        let location = self.alias.unwrap_or(node.location);
        let defined = if self.alias.is_some() {
            format!(" (defined at line {})", origin.line)
        } else {
            String::new()
        };
        for mention in Expression::parse(&shell).mentions() {
            if let Some((code, message)) = self.problem(&mention, location) {
                self.findings.add(code, location, format!("{message}{defined}"));
            }
        }
    }

    fn problem(&mut self, mention: &Mention, location: Location) -> Option<(Code, String)> {
        let what = self.what;
        let scope =
            |thing: &str| Some((Code::Scope, format!("{what}: {thing} is not available here")));
        let in_event = self.place == Place::Event;
        Some(match mention {
            Mention::Reference(Reference::Parameter { name }) => {
                if self.place != Place::Step {
                    return scope("a parameter");
                }
                self.scopes.used.insert(name.to_string());
                return self.unknown_parameter(name);
            }
            Mention::Whole(name) if **name == *"parameters" && self.place == Place::Step => {
                self.scopes.all_parameters_used = true;
                return None;
            }
            Mention::Reference(Reference::Secret { .. } | Reference::Connection { .. })
            | Mention::Whole(_) => {
                if !in_event {
                    return None;
                }
                return scope("a secret or connection");
            }
            Mention::Reference(Reference::Output { from, .. }) | Mention::StepOutputs(from) => {
                if self.place != Place::Step {
                    return scope("an output");
                }
                return self.step(from, Origin::Output, location);
            }
            Mention::Reference(Reference::Status { action, .. }) | Mention::Step(action) => {
                if self.place != Place::Step {
                    return scope("the status of a step");
                }
                return self.step(action, Origin::Status, location);
            }
            Mention::Reference(Reference::Answer { .. }) if self.place == Place::Step => {
                return None;
            }
            Mention::Reference(_) => return scope("this reference"),
            Mention::Dynamic if self.place == Place::Step => {
                self.scopes.all_parameters_used = true;
                let text = "the step is only known at run time, so nothing waits for it; list the \
                            steps in dependsOn";
                (Code::DynamicOutput, format!("{what}: {text}"))
            }
            Mention::Dynamic => return scope("an output"),
            Mention::Event if in_event => return None,
            Mention::Event => return scope("`!Data`"),
            Mention::UnknownName(name) if in_event && &**name == "event" => return None,
            Mention::UnknownName(name) => {
                let known = ["parameters", "secrets", "connections", "outputs", "steps", "event"];
                let known = known.into_iter().filter(|name| in_event == (*name == "event"));
                let hint = suggestion(name, known);
                (Code::Scope, format!("{what}: there is nothing called {name:?} here{hint}"))
            }
            Mention::UnknownFunction(name) => {
                let hint = suggestion(name, relay_core::expr::function_names());
                (Code::UnknownFunction, format!("{what}: there is no function {name:?}{hint}"))
            }
            Mention::Arity(name, problem) => {
                (Code::FunctionArguments, format!("{what}: {name:?} {problem}"))
            }
            Mention::Keywords(name, problem) => {
                (Code::FunctionKeywords, format!("{what}: {name:?} {problem}"))
            }
            Mention::Broken(error) => (Code::ExpressionSyntax, format!("{what}: {error}")),
            _ => return None,
        })
    }

    fn unknown_parameter(&self, name: &str) -> Option<(Code, String)> {
        let parameters = self.scopes.parameters;
        if parameters.contains_key(name) {
            return None;
        }
        let minus = name.split_once('-').filter(|(before, _)| parameters.contains_key(*before));
        let hint = match minus {
            Some((before, after)) => {
                format!(
                    "; a dash belongs to a name, so subtracting is written `{before} - {after}`"
                )
            }
            None => suggestion(name, parameters.keys().map(String::as_str)),
        };
        let what = self.what;
        let message = format!("{what} uses parameter {name:?}, which is not declared{hint}");
        Some((Code::UnknownParameter, message))
    }

    fn step(&mut self, step: &str, origin: Origin, location: Location) -> Option<(Code, String)> {
        if self.scopes.steps.contains(step) {
            let edge = Dependency { step: step.to_owned(), origin, location };
            self.scopes.mentioned.push(edge);
            return None;
        }
        let hint = suggestion(step, self.scopes.steps.iter().map(String::as_str));
        let what = self.what;
        let message = format!("{what} uses step {step:?}, which does not exist{hint}");
        Some((Code::UnknownStep, message))
    }
}

/// Arguments of a call with all they hold left out: just their number or their keywords count.
fn arguments(content: &Content) -> Value {
    match content {
        Content::Scalar { .. } => Value::list([Value::Null]),
        Content::Sequence(items) => Value::list(items.iter().map(|_| Value::Null)),
        Content::Mapping(entries) => {
            let keys = entries.iter().filter_map(|(key, _)| key.as_scalar());
            Value::map(keys.map(|key| (key.clone(), Value::Null)))
        }
    }
}
