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
use super::progress::Progress;
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

/// Plans. `verdicts` are those of the gates that wait, by pipeline task.
pub(super) fn plan(
    world: &World,
    progress: &[Progress],
    verdicts: &BTreeMap<String, Verdict>,
) -> Vec<Todo> {
    let mut todo = Vec::new();
    // A gate opens only after what it let pass is on record, or the next step could not see it.
    let mut entries = state(world);
    entries.extend(statuses(world, progress));
    let mut decisions = Vec::new();
    for step in &world.snapshot.steps {
        let Some(gate) = step.gate.as_ref() else { continue };
        let Some(custom_run) = world.gates.get(gate) else { continue };
        if let Some(status) = close(world, custom_run, verdicts.get(gate)) {
            if let Some(Verdict::Decided { reason, message }) = verdicts.get(gate)
                && reason.decision() == relay_model::tekton::Decision::Skip
            {
                entries.extend(message_of(world, step, *reason, message));
            }
            decisions.push(Todo::Decide(gate.clone(), Box::new(status)));
        }
    }
    if !entries.is_empty() {
        todo.push(Todo::Record(entries));
    }
    todo.append(&mut decisions);
    let pipeline = &world.pipeline_run;
    let done = Condition::is_done(&pipeline.status.conditions);
    if world.run.spec.is_cancelled() && !done && pipeline.spec.status.is_none() {
        todo.push(Todo::Cancel);
    }
    todo
}

/// What the run's spec asks of steps and the map does not say yet.
fn state(world: &World) -> BTreeMap<String, String> {
    let mut wanted = objects::state(&world.run, &world.snapshot);
    wanted.retain(|key, value| world.stored_state.get(key) != Some(value));
    wanted
}

/// The statuses of steps that have ended otherwise than they reported.
fn statuses(world: &World, progress: &[Progress]) -> BTreeMap<String, String> {
    let steps = world.snapshot.steps.iter().zip(&world.records).zip(progress);
    steps
        .filter(|((_, record), progress)| {
            progress.ended.is_some() && record.status.as_ref() != Some(&progress.status)
        })
        .filter(|((_, record), progress)| {
            // Times are ours only where the step reported none.
            let reported = record.status.as_ref();
            let same = |property: &str| {
                reported.and_then(|status| status.property(property))
                    == progress.status.property(property)
            };
            !(same("succeeded") && same("failed") && same("skipped"))
        })
        .map(|((step, _), progress)| {
            let text = record::write_status(step.name.as_str(), &progress.status);
            (key::status(&step.action), text)
        })
        .collect()
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
