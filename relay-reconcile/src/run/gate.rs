//! Gates: whether a step runs, decided when its turn comes (`design.md` decision 3).

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use relay_core::expr::{
    Collection, Decision, Evaluation, Reference, ResolveError, Resolver, StoreResolver,
};
use relay_core::{Expression, Map, Value};
use relay_model::annotation;
use relay_model::tekton::{APPROVAL, CustomRun, GateReason};

use super::observe::World;
use super::progress::Progress;
use super::snapshot::PlannedStep;
use crate::{Context, Error};

/// What is to become of a gate.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// It goes on waiting: for a step, or for an answer until the time given.
    Wait { until: Option<Timestamp>, message: String },
    /// It is decided.
    Decided { reason: GateReason, message: String },
}

/// The conditions of a gate, evaluated with all that is known now.
#[derive(Debug, Default)]
pub(super) struct Evaluated {
    dependencies: Vec<Result<Evaluation, relay_core::expr::Error>>,
    written: Vec<Result<Evaluation, relay_core::expr::Error>>,
}

/// Evaluates the conditions of a step. Secrets are the only thing that is fetched.
pub(super) async fn evaluate(
    context: &Context,
    world: &World,
    step: &PlannedStep,
) -> Result<Evaluated, Error> {
    let run = &world.run.metadata;
    let holder = run.annotations.as_ref().and_then(|all| all.get(annotation::TENANT_ID));
    let namespace = run.namespace.as_deref().unwrap_or_default();
    let secrets = context.secrets.of(namespace, holder.map(String::as_str));
    let secrets = StoreResolver { secrets: Some(secrets), ..Default::default() };
    let resolver = WorldResolver { world, step, secrets };
    let mut evaluated = Evaluated::default();
    for (_, condition) in &step.conditions.dependencies {
        evaluated.dependencies.push(resolve(condition, &resolver, world, step).await?);
    }
    for condition in &step.conditions.written {
        evaluated.written.push(resolve(condition, &resolver, world, step).await?);
    }
    Ok(evaluated)
}

async fn resolve(
    condition: &Expression,
    resolver: &WorldResolver<'_>,
    world: &World,
    step: &PlannedStep,
) -> Result<Result<Evaluation, relay_core::expr::Error>, Error> {
    match condition.resolve(resolver, world.now).await {
        Ok(evaluation) => Ok(Ok(evaluation)),
        Err(ResolveError::Evaluate(error)) => Ok(Err(error)),
        Err(ResolveError::Store(source)) => {
            Err(Error::Store { step: step.name.to_string(), source })
        }
        Err(_) => Err(Error::Incomplete("evaluation")),
    }
}

/// Decides a gate. Dependencies come first, then what the author wrote, then the question.
pub(super) fn decide(
    world: &World,
    step: &PlannedStep,
    gate: &CustomRun,
    evaluated: &Evaluated,
    approval_timeout: SignedDuration,
) -> Verdict {
    let decided = |reason, message: String| Verdict::Decided { reason, message };
    // One that is false decides, whatever is the matter with the others.
    let is_false = |evaluation: &Result<Evaluation, _>| {
        evaluation.as_ref().is_ok_and(|evaluation| evaluation.decide() == Decision::NotSatisfied)
    };
    for ((name, _), evaluation) in step.conditions.dependencies.iter().zip(&evaluated.dependencies)
    {
        if is_false(evaluation) {
            let message = format!("step {:?} did not succeed", name.as_str());
            return decided(GateReason::DependencyNotSucceeded, message);
        }
    }
    let place = |index: usize| match evaluated.written.len() {
        1 => "the condition".to_owned(),
        _ => format!("condition {}", index + 1),
    };
    if let Some(index) = evaluated.written.iter().position(is_false) {
        return decided(GateReason::ConditionFalse, format!("{} is not met", place(index)));
    }
    let mut waiting = None;
    for (index, evaluation) in evaluated.written.iter().enumerate() {
        let place = place(index);
        let evaluation = match evaluation {
            Ok(evaluation) => evaluation,
            Err(error) => {
                let message = format!("{place} cannot be evaluated: {error}");
                return decided(GateReason::EvaluationError, message);
            }
        };
        match evaluation.decide() {
            Decision::Satisfied | Decision::NotSatisfied => {}
            Decision::TypeError(kind) => {
                let message = format!("{place} is a {kind}, not a boolean");
                return decided(GateReason::EvaluationError, message);
            }
            Decision::Unresolved => match missing(world, evaluation) {
                Some((reason, message)) => {
                    return decided(reason, format!("{place} needs {message}"));
                }
                None => waiting = Some(format!("{place} waits for other steps")),
            },
        }
    }
    // Default conditions wait only where a dependency has not ended, and then the gate would not
    // have been reached; a stale view makes it possible all the same.
    let open = |evaluation: &Result<Evaluation, _>| {
        evaluation.as_ref().is_ok_and(|evaluation| evaluation.decide() != Decision::Satisfied)
    };
    if evaluated.dependencies.iter().any(open) {
        waiting = Some("waits for other steps".to_owned());
    }
    if let Some(message) = waiting {
        return Verdict::Wait { until: None, message };
    }
    if !step.conditions.approval {
        return decided(GateReason::Satisfied, String::new());
    }
    let answer = world.run.spec.state.steps.get(step.name.as_str());
    match answer.and_then(|state| state.get(APPROVAL)).and_then(Value::as_str) {
        Some("approved") => decided(GateReason::Satisfied, String::new()),
        Some("rejected") => decided(GateReason::Rejected, "the approval was rejected".to_owned()),
        _ => {
            let asked = gate.metadata.creation_timestamp.as_ref().map_or(world.now, |time| time.0);
            let until = asked.saturating_add(approval_timeout).unwrap_or(Timestamp::MAX);
            if world.now >= until {
                let message = "the approval was not answered in time".to_owned();
                return decided(GateReason::Expired, message);
            }
            Verdict::Wait { until: Some(until), message: "waits for an answer".to_owned() }
        }
    }
}

/// What will never be there: an output that its step did not set, a name that nothing has. `None`
/// while everything that lacks may still come.
fn missing(world: &World, evaluation: &Evaluation) -> Option<(GateReason, String)> {
    let ended = |name: &str| match world.snapshot.step(name) {
        Some(index) => world.progress(index).is_none_or(Progress::is_settled),
        None => true,
    };
    evaluation.unresolvable.iter().find_map(|reference| match reference {
        Reference::Output { from, .. } if ended(from) => {
            Some((GateReason::OutputMissing, format!("{reference}, which was not set")))
        }
        Reference::Status { action, .. } if ended(action) => {
            Some((GateReason::EvaluationError, format!("{reference}, which does not exist")))
        }
        Reference::Output { .. } | Reference::Status { .. } | Reference::Answer { .. } => None,
        other => Some((GateReason::EvaluationError, format!("{other}, which does not exist"))),
    })
}

/// Resolves from what was observed.
struct WorldResolver<'w> {
    world: &'w World,
    step: &'w PlannedStep,
    secrets: StoreResolver,
}

#[async_trait]
impl Resolver for WorldResolver<'_> {
    async fn resolve(&self, reference: &Reference) -> Result<Option<Value>, ResolveError> {
        let world = self.world;
        Ok(match reference {
            Reference::Parameter { name } => world.snapshot.parameters.get(name).cloned(),
            Reference::Output { from, name } => {
                let record = world.snapshot.step(from).and_then(|index| world.record(index));
                record
                    .and_then(|record| record.outputs.get(&**name))
                    .map(|output| output.value.clone())
            }
            Reference::Status { action, property } => {
                let progress = world.snapshot.step(action).and_then(|index| world.progress(index));
                // Until a step has ended, its own word is not the last one.
                progress
                    .filter(|progress| progress.is_settled())
                    .and_then(|progress| progress.status.property(property))
                    .map(Value::Bool)
            }
            Reference::Answer { name, .. } => {
                let state = world.run.spec.state.steps.get(self.step.name.as_str());
                state.and_then(|state| state.get(&**name)).cloned()
            }
            other => return self.secrets.resolve(other).await,
        })
    }

    async fn members(&self, collection: &Collection) -> Result<Value, ResolveError> {
        match collection {
            Collection::Parameters => Ok(Value::from(self.world.snapshot.parameters.clone())),
            Collection::Outputs => {
                let steps = self.world.snapshot.steps.iter().enumerate();
                let outputs: Map = steps
                    .filter_map(|(index, step)| Some((step, self.world.record(index)?)))
                    .filter(|(_, record)| !record.outputs.is_empty())
                    .map(|(step, record)| {
                        let outputs = record.outputs.iter();
                        let outputs = outputs.map(|(k, output)| (k.as_str(), output.value.clone()));
                        (step.name.as_str().into(), Value::map(outputs))
                    })
                    .collect();
                Ok(Value::from(outputs))
            }
            other => self.secrets.members(other).await,
        }
    }
}
