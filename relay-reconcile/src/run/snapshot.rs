//! The workflow as a run knows it: copied once, parsed once.

use std::collections::{BTreeMap, HashMap};

use relay_core::expr::{Mention, Reference};
use relay_core::{Action, Expression, Map, NameError, RunId, StepName, Value};
use relay_model::tekton::APPROVAL;
use relay_model::v1beta1::{Run, Step, WorkflowSpec};
use serde::{Deserialize, Serialize};

use super::graph;

/// What is stored of a workflow in the immutable ConfigMap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredWorkflow {
    /// The workflow's name.
    pub(super) name: String,
    /// What it said when the run started.
    pub(super) spec: WorkflowSpec,
}

/// A workflow with everything worked out that does not change while the run goes on.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) workflow: StoredWorkflow,
    pub(super) steps: Vec<PlannedStep>,
    pub(super) parameters: Map,
    /// Places in `steps` by name.
    by_name: HashMap<StepName, usize>,
    /// Places in `steps` by the name of the gate.
    by_gate: HashMap<String, usize>,
}

/// A step with its place in the graph.
#[derive(Clone, Debug)]
pub(super) struct PlannedStep {
    pub(super) name: StepName,
    pub(super) action: Action,
    /// The name of its pipeline task; an approval has none.
    pub(super) task: Option<String>,
    /// The name of its gate, if it has to wait for anything.
    pub(super) gate: Option<String>,
    /// The indexes of the steps that have to end before its turn.
    pub(super) after: Vec<usize>,
    pub(super) conditions: Conditions,
}

/// The conditions of a step, apart by where they come from.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions {
    /// The steps that have to succeed, each with the condition that says so.
    pub(super) dependencies: Vec<(StepName, Expression)>,
    /// What the author wrote, the answer of an approval left out.
    pub(super) written: Vec<Expression>,
    /// Whether an answer is waited for.
    pub(super) approval: bool,
    /// All of them, for the metadata API.
    pub(super) all: Vec<Value>,
}

/// Why a workflow cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(super) enum InvalidWorkflow {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("there are two steps called {0:?}")]
    DuplicateStep(String),
    #[error("step {step:?} depends on {dependency:?}, which does not exist")]
    UnknownStep { step: String, dependency: String },
    #[error("steps wait for each other: {}", .0.join(" -> "))]
    Cycle(Vec<String>),
}

impl Snapshot {
    /// Works out a workflow for a run.
    pub(super) fn new(workflow: StoredWorkflow, run: &Run) -> Result<Self, InvalidWorkflow> {
        let run_id = RunId::new(run.metadata.name.as_deref().unwrap_or_default())?;
        let mut indexes = BTreeMap::new();
        for (index, step) in workflow.spec.steps.iter().enumerate() {
            StepName::new(&step.name)?;
            if indexes.insert(step.name.as_str(), index).is_some() {
                return Err(InvalidWorkflow::DuplicateStep(step.name.clone()));
            }
        }
        let mut steps = Vec::with_capacity(workflow.spec.steps.len());
        for step in &workflow.spec.steps {
            steps.push(planned(step, &run_id, &indexes)?);
        }
        graph::check_cycles(&steps)?;
        let parameters = parameters(&workflow.spec, run);
        let places = || steps.iter().enumerate();
        let by_name = places().map(|(index, step)| (step.name.clone(), index)).collect();
        let by_gate = places().filter_map(|(index, step)| Some((step.gate.clone()?, index)));
        let by_gate = by_gate.collect();
        Ok(Self { workflow, steps, parameters, by_name, by_gate })
    }

    /// The step of this name.
    pub(super) fn step(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The step behind the gate of this name.
    pub(super) fn step_behind(&self, gate: &str) -> Option<usize> {
        self.by_gate.get(gate).copied()
    }
}

/// Values given win over defaults; undeclared ones are passed on; the rest is null.
fn parameters(workflow: &WorkflowSpec, run: &Run) -> Map {
    let mut parameters: Map = workflow
        .parameters
        .iter()
        .map(|known| (known.name.as_str().into(), known.default.clone().unwrap_or_default()))
        .collect();
    for (name, value) in &run.spec.parameters {
        parameters.insert(name.as_str().into(), value.clone());
    }
    parameters
}

fn planned(
    step: &Step,
    run: &RunId,
    indexes: &BTreeMap<&str, usize>,
) -> Result<PlannedStep, InvalidWorkflow> {
    let name = StepName::new(&step.name)?;
    let action = Action::step(run.clone(), name.clone());
    let conditions = conditions(step)?;
    let mut after = Vec::new();
    for dependency in &step.depends_on {
        let index = *indexes.get(dependency.as_str()).ok_or_else(|| {
            InvalidWorkflow::UnknownStep { step: step.name.clone(), dependency: dependency.clone() }
        })?;
        if !after.contains(&index) {
            after.push(index);
        }
    }
    let mentioned = mentioned_steps(step);
    for index in mentioned.iter().filter_map(|name| indexes.get(name.as_str()).copied()) {
        // A step may look at its own status; it would wait for itself.
        if !after.contains(&index) && indexes.get(step.name.as_str()) != Some(&index) {
            after.push(index);
        }
    }
    let hash = action.hash().to_string();
    let waits = !after.is_empty() || !conditions.all.is_empty() || step.is_approval();
    Ok(PlannedStep {
        name,
        action,
        gate: waits.then(|| format!("gate-{hash}")),
        task: (!step.is_approval()).then_some(hash),
        after,
        conditions,
    })
}

/// The steps whose outputs or statuses a step mentions by constant names.
fn mentioned_steps(step: &Step) -> Vec<String> {
    let trees = step.container.spec.values().chain(step.container.env.values()).chain(&step.when);
    let mut steps: Vec<String> = Vec::new();
    for mention in trees.flat_map(|tree| Expression::parse(tree).mentions()) {
        let name = match mention {
            Mention::Reference(
                Reference::Output { from: name, .. } | Reference::Status { action: name, .. },
            )
            | Mention::StepOutputs(name)
            | Mention::Step(name) => name.to_string(),
            _ => continue,
        };
        if !steps.contains(&name) {
            steps.push(name);
        }
    }
    steps
}

/// What a step waits for (`operator.md` §10.3): its own conditions, and the success of each
/// dependency whose status they do not look at themselves.
fn conditions(step: &Step) -> Result<Conditions, InvalidWorkflow> {
    let written = step.conditions();
    let looked_at = statuses_looked_at(written);
    let mut dependencies: Vec<(StepName, Expression)> = Vec::new();
    let mut all = written.to_vec();
    for dependency in &step.depends_on {
        let known = dependencies.iter().any(|(name, _)| name.as_str() == dependency);
        if known || looked_at.contains(dependency) {
            continue;
        }
        let condition = Value::from(format!("${{steps.{}.succeeded}}", quoted(dependency)));
        dependencies.push((StepName::new(dependency)?, Expression::parse(&condition)));
        all.push(condition);
    }
    let approval = step.is_approval();
    let own = written.iter().filter(|condition| !(approval && is_answer(condition)));
    Ok(Conditions { dependencies, written: own.map(Expression::parse).collect(), approval, all })
}

/// A name as a string literal of the language.
fn quoted(name: &str) -> String {
    format!("'{}'", name.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The condition that an approval is answered with `approved`.
fn is_answer(condition: &Value) -> bool {
    let arguments = condition.get("$fn.equals").and_then(Value::as_list).unwrap_or_default();
    arguments.iter().any(|argument| {
        argument.get("$type").and_then(Value::as_str) == Some("Answer")
            && argument.get("name").and_then(Value::as_str) == Some(APPROVAL)
    })
}

/// The steps whose status evaluating these conditions looks at, with nothing known. When one of
/// them cannot be evaluated, none counts.
fn statuses_looked_at(conditions: &[Value]) -> Vec<String> {
    let nothing = relay_core::expr::Environment::new(jiff::Timestamp::UNIX_EPOCH);
    let mut steps = Vec::new();
    for condition in conditions {
        let Ok(evaluation) = Expression::parse(condition).evaluate(&nothing).result else {
            return Vec::new();
        };
        steps.extend(evaluation.unresolvable.iter().filter_map(|reference| match reference {
            Reference::Status { action, .. } => Some(action.to_string()),
            _ => None,
        }));
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_conditions_give_way_to_statuses_that_are_looked_at() {
        let json = |text: &str| Value::from_json(text).unwrap();
        let a = r#""${steps.'a'.succeeded}""#;
        let b = r#""${steps.'b'.succeeded}""#;
        for (depends_on, when, expected) in [
            (vec!["a"], None, format!("[{a}]")),
            (vec!["a"], Some(r#""${steps.a.failed}""#), r#"["${steps.a.failed}"]"#.to_owned()),
            (
                vec!["a", "b"],
                Some(r#"["${steps.a.succeeded || steps.a.failed}"]"#),
                format!(r#"["${{steps.a.succeeded || steps.a.failed}}",{b}]"#),
            ),
            (vec!["a"], Some(r#"["${outputs.a.ok}"]"#), format!(r#"["${{outputs.a.ok}}",{a}]"#)),
            (vec![], Some("[]"), "[]".to_owned()),
            (vec!["a"], Some(r#""${steps.a.foo}""#), r#"["${steps.a.foo}"]"#.to_owned()),
            (
                vec!["a"],
                Some(r#""${false && steps.a.failed}""#),
                format!(r#"["${{false \u0026\u0026 steps.a.failed}}",{a}]"#),
            ),
            (
                vec!["a"],
                Some(r#""${parameters.p && steps.a.failed}""#),
                r#"["${parameters.p \u0026\u0026 steps.a.failed}"]"#.to_owned(),
            ),
            (
                vec!["a"],
                Some(r#"["${steps.a.failed}", "${steps.b +"]"#),
                format!(r#"["${{steps.a.failed}}","${{steps.b +",{a}]"#),
            ),
            (vec!["it's"], None, r#"["${steps.'it\\'s'.succeeded}"]"#.to_owned()),
        ] {
            let step = Step {
                name: "s".to_owned(),
                depends_on: depends_on.iter().map(|name| (*name).to_owned()).collect(),
                when: when.map(json),
                ..Step::default()
            };
            let all = Value::from(conditions(&step).unwrap().all);
            assert_eq!(all.to_json(), expected, "{depends_on:?} {when:?}");
        }
    }
}
