//! What has to be done for a run that has started; pure.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use relay_core::Message;
use relay_core::MessageSource;
use relay_core::Value;
use relay_model::knative_condition::Condition;
use relay_model::tekton::{
    CUSTOM_CANCELLED, CustomRun, CustomRunStatus, PIPELINE_CANCELLED, RESULT_DECISION,
    RESULT_REASON, RunResult,
};
use relay_store::{key, record};

use super::gate::Verdict;
use super::objects;
use super::observe::World;
use super::snapshot::PlannedStep;

/// One thing to do. They are done in the order in which they are planned.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Todo {
    /// Set entries of the mutable ConfigMap: statuses of steps that cannot report themselves, and
    /// what the run's spec asks of steps.
    Record(BTreeMap<String, String>),
    /// Decide a gate: the pipeline task, and its status.
    Decide(String, Box<CustomRunStatus>),
    /// Cancel the PipelineRun.
    Cancel,
}

/// Plans. `verdicts` are those of the gates that wait, by pipeline task. Of a run that is not
/// looked at as a `whole` only what lets steps through is planned.
pub(super) fn plan(world: &World, verdicts: &BTreeMap<String, Verdict>, whole: bool) -> Vec<Todo> {
    let mut todo = Vec::new();
    let mut entries = BTreeMap::new();
    if whole {
        entries = state(world);
        entries.extend(statuses(world, 0..world.snapshot.steps.len()));
    }
    let mut decisions = Vec::new();
    for (_, step, custom_run) in world.open_gates() {
        let Some(gate) = step.gate.as_ref() else { continue };
        let Some(status) = close(world, custom_run, verdicts.get(gate)) else { continue };
        if let Some(Verdict::Decided { reason, message }) = verdicts.get(gate)
            && reason.decision() == relay_model::tekton::Decision::Skip
        {
            entries.extend(message_of(world, step, *reason, message));
        }
        if !whole {
            // A gate opens only after what it let pass is on record, or the next step could not
            // see it.
            entries.extend(statuses(world, step.after.iter().copied()));
        }
        decisions.push(Todo::Decide(gate.clone(), Box::new(status)));
    }
    if !entries.is_empty() {
        todo.push(Todo::Record(entries));
    }
    todo.append(&mut decisions);
    let pipeline = &world.watched.pipeline_run;
    let is_told = pipeline.spec.status.as_deref() == Some(CANCELLED);
    if world.run.spec.is_cancelled() && !world.watched.is_done() && !is_told {
        todo.push(Todo::Cancel);
    }
    todo
}

/// What the run's spec asks of steps and the map does not say yet.
fn state(world: &World) -> BTreeMap<String, String> {
    let mut wanted = objects::state(&world.run);
    wanted.retain(|key, value| world.data.get(key) != Some(value));
    wanted
}

/// The statuses of those of these steps that have ended otherwise than they reported.
fn statuses(
    world: &World,
    steps: impl Iterator<Item = usize>,
) -> impl Iterator<Item = (String, String)> {
    steps.filter_map(|index| {
        let progress = world.progress(index).filter(|progress| progress.ended.is_some())?;
        let reported = world.record(index)?.status.as_ref();
        // Times are ours only where the step reported none.
        let same = |property: &str| {
            reported.and_then(|status| status.property(property))
                == progress.status.property(property)
        };
        if same("succeeded") && same("failed") && same("skipped") {
            return None;
        }
        let step = world.snapshot.steps.get(index)?;
        let text = record::write_status(step.name.as_str(), &progress.status);
        Some((key::status(&step.action), text))
    })
}

/// The status that ends a gate, if it is to end.
fn close(world: &World, gate: &CustomRun, verdict: Option<&Verdict>) -> Option<CustomRunStatus> {
    let now = world.now;
    if gate.status.as_ref().is_some_and(|status| Condition::is_done(&status.conditions)) {
        return None;
    }
    let started = gate.metadata.creation_timestamp.clone();
    let status = |condition, results| CustomRunStatus {
        conditions: vec![condition],
        start_time: started.clone(),
        completion_time: Some(Time(now)),
        results,
    };
    if gate.spec.status.as_deref() == Some(CUSTOM_CANCELLED) {
        let condition = Condition::succeeded(Some(false), "CustomRunCancelled", "", now);
        return Some(status(condition, Vec::new()));
    }
    // Nothing is let pass any more once the run is to end.
    if world.run.spec.is_cancelled() {
        return None;
    }
    let Verdict::Decided { reason, message } = verdict? else { return None };
    let result =
        |name: &str, value: &str| RunResult { name: name.to_owned(), value: value.to_owned() };
    // A gate succeeds whatever it decides: where a gate fails, Tekton skips all that is behind it.
    let condition = Condition::succeeded(Some(true), reason.as_str(), message, now);
    let results = vec![
        result(RESULT_DECISION, reason.decision().as_str()),
        result(RESULT_REASON, reason.as_str()),
    ];
    Some(status(condition, results))
}

/// The message for a step whose conditions are at fault.
fn message_of(
    world: &World,
    step: &PlannedStep,
    reason: relay_model::tekton::GateReason,
    message: &str,
) -> Option<(String, String)> {
    use relay_model::tekton::GateReason::{EvaluationError, OutputMissing};
    if !matches!(reason, EvaluationError | OutputMissing) {
        return None;
    }
    let expression = Value::from(step.conditions.all.clone());
    let message = Message::new(MessageSource::WhenEvaluation { expression }, world.now, message);
    // One per step and reason, however often the plan is carried out.
    let id = reason.as_str();
    Some((key::message(&step.action, id).ok()?, record::write_message(id, &message)))
}

/// What `spec.status` of the PipelineRun is set to.
pub(super) const CANCELLED: &str = PIPELINE_CANCELLED;
