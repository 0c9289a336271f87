//! What expressions in a file mention, and whether it is there (`workflow-file.md` §4).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use relay_core::expr::{Cause, Environment, Evaluation, Mention, Reference};
use relay_core::yaml::{Content, Node, Tag};
use relay_core::{Expression, Value};

use super::finding::{Code, Level, did_you_mean, nearest, suggestion};
use super::graph::{Dependency, Origin};
use super::reader::Findings;
use super::{Parameter, WorkflowFile};

const STATUSES: [&str; 3] = ["succeeded", "failed", "skipped"];

/// Where an expression stands: it decides what it may refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `spec`, `env` and `when` of a step.
    Step,
    /// `spec` and `env` of a webhook.
    TriggerSource,
    /// `when` and `binding` of a trigger.
    Event,
    /// The same where the event is empty.
    ScheduleEvent,
}

impl Place {
    /// What there is to refer to, for messages.
    fn offers(self) -> &'static str {
        match self {
            Self::Step => "a step has parameters, secrets, connections, outputs and steps",
            Self::TriggerSource => "a webhook has secrets and connections",
            Self::Event => "a trigger has its event: write `!Data NAME` or `${event.NAME}`",
            Self::ScheduleEvent => "the event of a schedule is empty",
        }
    }

    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Step => &["parameters", "secrets", "connections", "outputs", "steps"],
            Self::TriggerSource => &["secrets", "connections"],
            Self::Event => &["event"],
            Self::ScheduleEvent => &[],
        }
    }

    fn has(self, name: &str) -> bool {
        self.names().contains(&name)
    }
}

/// What there is to refer to, and what was referred to.
pub(super) struct Scopes<'p> {
    parameters: &'p BTreeMap<String, Parameter>,
    steps: BTreeSet<String>,
    used: BTreeSet<String>,
    /// Something was not understood, or takes all parameters at once.
    may_use_any: bool,
    /// Steps that the step in hand mentions.
    mentioned: Vec<Dependency>,
}

impl<'p> Scopes<'p> {
    pub(super) fn new(parameters: &'p BTreeMap<String, Parameter>) -> Self {
        Self {
            parameters,
            steps: BTreeSet::new(),
            used: BTreeSet::new(),
            may_use_any: false,
            mentioned: Vec::new(),
        }
    }

    pub(super) fn set_steps(&mut self, steps: BTreeSet<String>) {
        self.steps = steps;
    }

    /// Says that a part of the file was not understood: it might use any parameter.
    pub(super) fn hide(&mut self) {
        self.may_use_any = true;
    }

    /// The dependencies that come from what the step mentioned, beyond those known.
    pub(super) fn take_dependencies(
        &mut self,
        step: &str,
        known: &[Dependency],
    ) -> Vec<Dependency> {
        let explicit: HashSet<&str> = known.iter().map(|known| known.step.as_str()).collect();
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut found: Vec<Dependency> = Vec::new();
        for edge in std::mem::take(&mut self.mentioned) {
            let own_status = edge.step == step && edge.origin == Origin::Status;
            if own_status || explicit.contains(edge.step.as_str()) {
                continue;
            }
            match places.get(&edge.step).and_then(|place| found.get_mut(*place)) {
                // Using an output asks for more than looking at a status.
                Some(known) if known.origin == Origin::Status => *known = edge,
                Some(_) => {}
                None => {
                    places.insert(edge.step.clone(), found.len());
                    found.push(edge);
                }
            }
        }
        found
    }

    /// Checks everything below a node.
    pub(super) fn check(&mut self, node: &Node, place: Place, what: &str, findings: &mut Findings) {
        Walk { scopes: self, place, what, findings }.node(node);
    }

    /// Warns of parameters that nothing refers to.
    pub(super) fn report_unused(&self, file: &WorkflowFile, findings: &mut Findings) {
        // What could not be read might refer to anything.
        let lost = [Code::YamlSyntax, Code::YamlAlias, Code::DuplicateKey];
        if self.may_use_any || file.steps.is_empty() || findings.have_any(&lost) {
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

/// Reports a condition of which it is known that it will be no boolean: an error where it is written
/// out, a warning where it takes an expression to see it, since that is what a run decides.
pub(super) fn check_condition(node: &Node, what: &str, findings: &mut Findings) {
    let mut problems = Vec::new();
    let tree = node.to_tree(&mut problems);
    let expression = Expression::parse(&tree);
    let mentions = expression.mentions();
    let is_wrong = |mention: &Mention| {
        matches!(mention, Mention::Broken(_) | Mention::UnknownFunction(_) | Mention::Arity(..))
    };
    if !problems.is_empty() || mentions.iter().any(is_wrong) {
        return;
    }
    let found = match &tree {
        // Text around an expression makes text of the whole.
        Value::Text(text) if text.contains("${") => {
            let alone = text.starts_with("${") && text.ends_with('}');
            if alone { constant(&expression, &mentions) } else { Some("a string") }
        }
        _ => constant(&expression, &mentions),
    };
    if let Some(found) = found {
        // What is written out is the same once it is evaluated.
        let written_out = expression == Expression::data(tree);
        let level = if written_out { Level::Error } else { Level::Warning };
        let message = format!(
            "a condition of {what} is {found}, but only true and false decide; write an \
             expression such as `${{parameters.x == 'y'}}`"
        );
        findings.add_at(Code::ConditionType, level, node, message);
    }
}

/// What an expression that needs no values comes to, if that is no boolean.
fn constant(expression: &Expression, mentions: &[Mention]) -> Option<&'static str> {
    let attempt = expression.evaluate(&Environment::new(jiff::Timestamp::UNIX_EPOCH));
    if !attempt.wanted.is_empty() || mentions.contains(&Mention::Event) {
        return None;
    }
    match attempt.result.ok().filter(Evaluation::is_complete)?.value {
        Value::Bool(_) => None,
        Value::Null => Some("nothing"),
        Value::Number(_) => Some("a number"),
        Value::Time(_) => Some("a date"),
        Value::List(_) => Some("a list"),
        Value::Map(_) => Some("a map"),
        _ => Some("a string"),
    }
}

struct Walk<'w, 'p> {
    scopes: &'w mut Scopes<'p>,
    place: Place,
    what: &'w str,
    findings: &'w mut Findings,
}

impl Walk<'_, '_> {
    fn node(&mut self, node: &Node) {
        match (&node.tag, node.content.as_ref()) {
            (Some(Tag::Local(name)), content) => match name.strip_prefix("Fn.") {
                // That the name is missing is found where the tree is made.
                Some("") => self.scopes.hide(),
                Some(function) => {
                    self.mentions(node, &call(function, content));
                    self.members(node);
                }
                // The fields of a reference are names, not templates.
                None => self.reference(node),
            },
            (_, Content::Scalar { text, .. }) if text.contains("${") => {
                self.mentions(node, &Value::Text(text.clone()));
            }
            (_, Content::Mapping(entries)) => match entries.as_slice() {
                _ if node.get("$type").is_some() => self.reference(node),
                _ if node.get("$encoding").is_some() => {
                    if let Some(data) = node.get("data") {
                        self.node(data);
                    }
                }
                [(key, value)] => {
                    let function = key.as_scalar().and_then(|key| key.strip_prefix("$fn."));
                    if let Some(function) = function {
                        self.mentions(node, &call(function, &value.content));
                    }
                    self.node(value);
                }
                _ => self.members(node),
            },
            _ => self.members(node),
        }
    }

    fn members(&mut self, node: &Node) {
        match node.content.as_ref() {
            Content::Scalar { .. } => {}
            Content::Sequence(items) => items.iter().for_each(|item| self.node(item)),
            Content::Mapping(entries) => entries.iter().for_each(|(_, value)| self.node(value)),
        }
    }

    fn reference(&mut self, node: &Node) {
        let mut problems = Vec::new();
        let tree = node.to_tree(&mut problems);
        if problems.is_empty() {
            self.mentions(node, &tree);
        } else {
            self.scopes.hide();
        }
    }

    /// What a node mentions by itself, without its members.
    fn mentions(&mut self, node: &Node, shell: &Value) {
        for mention in Expression::parse(shell).mentions() {
            if let Some((code, message)) = self.problem(&mention, node) {
                self.findings.add(code, node, format!("{}{message}", self.what));
            }
        }
    }

    fn problem(&mut self, mention: &Mention, node: &Node) -> Option<(Code, String)> {
        let place = self.place;
        let scope = |thing: &str| {
            let offers = place.offers();
            Some((Code::Scope, format!(": {thing} is not available here; {offers}")))
        };
        Some(match mention {
            Mention::Reference(Reference::Parameter { name }) if place.has("parameters") => {
                return self.parameter(name);
            }
            Mention::Reference(Reference::Parameter { name }) => {
                self.scopes.used.insert(name.to_string());
                return scope("a parameter");
            }
            Mention::Reference(Reference::Secret { .. }) if !place.has("secrets") => {
                return scope("a secret");
            }
            Mention::Reference(Reference::Connection { .. }) if !place.has("connections") => {
                return scope("a connection");
            }
            Mention::Reference(Reference::Output { from, .. }) | Mention::StepOutputs(from) => {
                if !place.has("outputs") {
                    return scope("an output");
                }
                return self.step(from, Origin::Output, node);
            }
            Mention::Reference(Reference::Status { action, property }) if place.has("steps") => {
                let unknown = self.step(action, Origin::Status, node);
                if unknown.is_none() && !STATUSES.contains(&&**property) {
                    let hint = suggestion(property, STATUSES);
                    let message = format!(
                        ": a step has no status {property:?}, only {}{hint}",
                        STATUSES.join(", ")
                    );
                    return Some((Code::Scope, message));
                }
                return unknown;
            }
            Mention::Step(action) if place.has("steps") => {
                return self.step(action, Origin::Status, node);
            }
            Mention::Reference(Reference::Status { .. }) | Mention::Step(_) => {
                return scope("the status of a step");
            }
            Mention::Reference(Reference::Answer { .. }) if place != Place::Step => {
                return scope("an answer");
            }
            Mention::Whole(name) if place.has(name) => {
                if **name == *"parameters" {
                    self.scopes.may_use_any = true;
                }
                return None;
            }
            Mention::Whole(name) => return scope(&format!("`{name}`")),
            Mention::Dynamic if place == Place::Step => {
                self.scopes.may_use_any = true;
                let text = ": the step is only known at run time, so nothing waits for it; list \
                            the steps in dependsOn";
                (Code::DynamicOutput, text.to_owned())
            }
            Mention::Dynamic => return scope("an output"),
            Mention::Event if place == Place::Event => return None,
            Mention::Event => return scope("`!Data`"),
            Mention::UnknownName(name) if place.has(name) => return None,
            Mention::UnknownName(name) if **name == *"event" => return scope("an event"),
            Mention::UnknownName(name) => {
                let hint = match nearest(name, place.names().iter().copied()) {
                    None => format!("; {}", place.offers()),
                    known => did_you_mean(known),
                };
                (Code::Scope, format!(": there is nothing called {name:?} here{hint}"))
            }
            Mention::UnknownFunction(name) => {
                let hint = suggestion(name, relay_core::expr::function_names());
                (Code::UnknownFunction, format!(": there is no function {name:?}{hint}"))
            }
            Mention::Arity(name, problem) => {
                (Code::FunctionArguments, format!(": {name:?} {problem}"))
            }
            Mention::Keywords(name, problem) => {
                (Code::FunctionKeywords, format!(": {name:?} {problem}"))
            }
            Mention::Broken(error) => {
                self.scopes.hide();
                match error.cause() {
                    cause @ Cause::FieldNotFound { .. } => {
                        (Code::TagArguments, format!(": {cause}"))
                    }
                    _ => (Code::ExpressionSyntax, format!(": {error}")),
                }
            }
            _ => return None,
        })
    }

    fn parameter(&mut self, name: &str) -> Option<(Code, String)> {
        let parameters = self.scopes.parameters;
        if parameters.contains_key(name) {
            self.scopes.used.insert(name.to_owned());
            return None;
        }
        let minus = name.split_once('-').filter(|(before, _)| parameters.contains_key(*before));
        let meant = minus
            .map(|(before, _)| before)
            .or_else(|| self.findings.nearest(name, parameters.keys().map(String::as_str)));
        let hint = match minus {
            Some((before, after)) => {
                format!(
                    "; a dash belongs to a name, so subtracting is written `{before} - {after}`"
                )
            }
            None => did_you_mean(meant),
        };
        // What was meant is used: saying otherwise would send people the wrong way.
        self.scopes.used.extend(meant.map(str::to_owned));
        let message = format!(" uses parameter {name:?}, which is not declared{hint}");
        Some((Code::UnknownParameter, message))
    }

    fn step(&mut self, step: &str, origin: Origin, node: &Node) -> Option<(Code, String)> {
        let steps = &self.scopes.steps;
        if steps.contains(step) {
            let edge = Dependency { step: step.to_owned(), origin, location: node.location };
            self.scopes.mentioned.push(edge);
            return None;
        }
        let hint = did_you_mean(self.findings.nearest(step, steps.iter().map(String::as_str)));
        Some((Code::UnknownStep, format!(" uses step {step:?}, which does not exist{hint}")))
    }
}

/// A call with all that its arguments hold left out: just their number or their keywords count.
fn call(function: &str, arguments: &Content) -> Value {
    let arguments = match arguments {
        Content::Scalar { .. } => Value::list([Value::Null]),
        Content::Sequence(items) => Value::list(items.iter().map(|_| Value::Null)),
        Content::Mapping(entries) => {
            let keys = entries.iter().filter_map(|(key, _)| key.as_scalar());
            Value::map(keys.map(|key| (key.clone(), Value::Null)))
        }
    };
    Value::map([(format!("$fn.{function}"), arguments)])
}
