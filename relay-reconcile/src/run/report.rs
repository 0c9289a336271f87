//! The status of a run, from what was observed; pure (`operator.md` §7).

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use relay_core::{ConditionOutcome, Decorator, Message, MessageSource, Value};
use relay_model::knative_condition::Condition as TektonCondition;
use relay_model::v1beta1::{
    Condition, ConditionStatus, LogReference, MessageSourceStatus, MessageStatus, OutputStatus,
    Run, RunStatus, Severity, SpecValidation, StepDecorator, StepDecoratorLink, StepStatus,
    WhenEvaluation,
};
use relay_store::StepRecord;

use super::cut;
use super::gate::Verdict;
use super::observe::World;
use super::progress::Progress;
use super::snapshot::PlannedStep;

/// The most that is shown of an output, in bytes of JSON; and of all outputs and messages of a run.
const MAX_OUTPUT: usize = 32 << 10;
const MAX_SHOWN: usize = 512 << 10;
/// The room for both and what was given to the run: etcd takes 1.5 MiB, with all else in it.
const MAX_OBJECT: usize = 1 << 20;

/// The reason of a run whose PipelineRun went before its steps had ended.
pub(super) const PIPELINE_RUN_LOST: &str = "PipelineRunLost";
/// The reason of `Completed` while an answer is waited for.
const WAITING_FOR_APPROVAL: &str = "WaitingForApproval";

/// The status of a run that has started. `verdicts` are those on the gates that wait.
pub(super) fn report(world: &World, verdicts: &BTreeMap<String, Verdict>) -> RunStatus {
    let before = &world.before;
    let places = 0..world.snapshot.steps.len();
    let progress: Vec<&Progress> = places.filter_map(|index| world.progress(index)).collect();
    let asks = |step: &PlannedStep| {
        let verdict = step.gate.as_ref().and_then(|gate| verdicts.get(gate));
        matches!(verdict, Some(Verdict::Wait { until: Some(_), .. }))
    };
    let given = serde_json::to_vec(&world.run.spec).map_or(0, |json| json.len());
    let mut room = MAX_SHOWN.min(MAX_OBJECT.saturating_sub(given));
    let steps: Vec<StepStatus> = world
        .snapshot
        .steps
        .iter()
        .enumerate()
        .filter_map(|(index, planned)| step(world, index, planned, asks(planned), &mut room))
        .collect();
    let completed = progress.iter().all(|progress| progress.is_settled());
    let (succeeded, reason, message) = succeeded(world, &progress);
    let cancelled = world.run.spec.is_cancelled().then_some(true);
    let mut completed_condition = Condition::new("Completed", Some(completed), world.now);
    let asking: Vec<_> = world.snapshot.steps.iter().filter(|step| asks(step)).collect();
    if !asking.is_empty() {
        let names: Vec<_> = asking.iter().map(|step| step.name.as_str()).collect();
        let message = format!("waiting for an answer: {}", names.join(", "));
        completed_condition = completed_condition.because(WAITING_FOR_APPROVAL, &message);
    }
    let conditions = [
        Condition::new("Cancelled", cancelled, world.now),
        completed_condition,
        Condition::new("Succeeded", succeeded, world.now).because(reason, &message),
    ];
    finish(&world.run, before, conditions, steps, world.now)
}

/// The status of a run that waits for something before it can start.
pub(super) fn waiting(run: &Run, reason: &str, message: &str, now: Timestamp) -> RunStatus {
    let before = run.status.clone().unwrap_or_default();
    let conditions = [
        Condition::new("Cancelled", run.spec.is_cancelled().then_some(true), now),
        Condition::new("Completed", Some(false), now).because(reason, message),
        Condition::new("Succeeded", None, now).because(reason, message),
    ];
    let start_time = before.start_time.clone();
    RunStatus { start_time, ..finish(run, &before, conditions, Vec::new(), now) }
}

/// The status of a run that goes on, with the reason why it does not get on.
pub(super) fn retrying(
    before: &RunStatus,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> RunStatus {
    let mut status = before.clone();
    let open = |condition: &&mut Condition| condition.kind == "Completed" && !condition.is_true();
    if let Some(condition) = status.conditions.iter_mut().find(open) {
        *condition = Condition::new("Completed", Some(false), now)
            .because(reason, message)
            .keeping_time_of(&before.conditions);
    }
    status
}

/// The status of a run that ends for a reason that lies in none of its steps.
pub(super) fn ended(
    run: &Run,
    before: &RunStatus,
    succeeded: bool,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> RunStatus {
    let conditions = [
        Condition::new("Cancelled", run.spec.is_cancelled().then_some(true), now),
        Condition::new("Completed", Some(true), now),
        Condition::new("Succeeded", Some(succeeded), now).because(reason, message),
    ];
    let steps = before.steps.iter().map(|step| closed(step, reason, message, now)).collect();
    finish(run, before, conditions, steps, now)
}

/// The last status of a step of a run that ends: one that is open ends with it.
fn closed(step: &StepStatus, reason: &str, message: &str, now: Timestamp) -> StepStatus {
    if step.condition("Completed").is_some_and(Condition::is_true) {
        return step.clone();
    }
    let skipped = step.condition("Skipped");
    let started = skipped.filter(|skipped| skipped.status == ConditionStatus::False).cloned();
    let skipped = started.unwrap_or_else(|| {
        let outcome = ConditionOutcome::NotSatisfied.as_str();
        Condition::new("Skipped", Some(true), now).because(outcome, "")
    });
    let conditions = [
        Condition::new("Completed", Some(true), now),
        skipped,
        Condition::new("Succeeded", Some(false), now).because(reason, message),
    ];
    StepStatus { conditions: conditions.into(), ..step.clone() }
}

fn finish(
    run: &Run,
    before: &RunStatus,
    conditions: [Condition; 3],
    steps: Vec<StepStatus>,
    now: Timestamp,
) -> RunStatus {
    let conditions: Vec<_> = conditions
        .into_iter()
        .map(|condition| condition.keeping_time_of(&before.conditions))
        .collect();
    let completed = Condition::find(&conditions, "Completed").filter(|c| c.is_true());
    let completion_time = completed.map(|condition| condition.last_transition_time.clone());
    RunStatus {
        observed_generation: run.metadata.generation,
        start_time: before.start_time.clone().or(Some(seconds(now))),
        completion_time: before.completion_time.clone().or(completion_time),
        conditions,
        steps,
    }
}

/// Whether the run succeeded, a reason, and a message that names steps.
fn succeeded(world: &World, progress: &[&Progress]) -> (Option<bool>, &'static str, String) {
    let names = |wanted: &dyn Fn(&Progress) -> bool| {
        let steps = world.snapshot.steps.iter().zip(progress);
        let names: Vec<_> = steps
            .filter(|(_, progress)| wanted(progress))
            .map(|(step, _)| step.name.as_str())
            .collect();
        names.join(", ")
    };
    let failed = names(&|progress| {
        progress.status.property("failed") == Some(true) && progress.ended.is_some()
    });
    let because = |reason: &'static str| {
        names(&move |progress: &Progress| {
            progress.ended.as_ref().is_some_and(|ended| ended.reason == reason)
        })
    };
    let (cancelled, timed_out) = (because("Cancelled"), because("TimedOut"));
    if !cancelled.is_empty() && world.run.spec.is_cancelled() {
        return (Some(false), "Cancelled", format!("cancelled: {cancelled}"));
    }
    if !failed.is_empty() {
        return (Some(false), "StepFailed", format!("failed: {failed}"));
    }
    // Nobody asked for it in the run, and still its steps were not carried out.
    if !cancelled.is_empty() {
        return (Some(false), "Cancelled", format!("its PipelineRun was cancelled: {cancelled}"));
    }
    if !timed_out.is_empty() || !because("NotStarted").is_empty() {
        let condition = TektonCondition::of(&world.watched.pipeline_run.status.conditions);
        let message = condition.and_then(|condition| condition.message.clone());
        let reason = if timed_out.is_empty() { "PipelineFailed" } else { "TimedOut" };
        return (Some(false), reason, message.unwrap_or_default());
    }
    if progress.iter().all(|progress| progress.is_settled()) {
        return (Some(true), "", String::new());
    }
    (None, "", String::new())
}

/// When steps last reported an end of which their TaskRuns have not told yet.
pub(super) fn settling(world: &World) -> Option<Timestamp> {
    let places = 0..world.snapshot.steps.len();
    let progress = places.filter_map(|index| world.progress(index));
    let settling = progress.filter(|progress| progress.ended.is_some() && progress.goes_on);
    let time = |progress: &Progress| {
        let process = progress.status.process.map(|process| process.timestamp);
        process.or(progress.status.when.map(|when| when.timestamp))
    };
    settling.filter_map(time).max()
}

fn step(
    world: &World,
    index: usize,
    planned: &PlannedStep,
    asks: bool,
    room: &mut usize,
) -> Option<StepStatus> {
    let (record, progress, now) = (world.record(index)?, world.progress(index)?, world.now);
    let stored = world.reported(index);
    let status = &progress.status;
    let outcome = status.when.map(|when| when.outcome);
    let started = outcome == Some(ConditionOutcome::Satisfied);
    let (reason, message) = progress
        .ended
        .as_ref()
        .map(|ended| (ended.reason.as_str(), ended.message.as_str()))
        .unwrap_or_default();
    let completed = if progress.ended.is_some() { Some(true) } else { started.then_some(false) };
    let ended = |property| status.property(property).filter(|_| progress.ended.is_some());
    let waits_for = if asks { WAITING_FOR_APPROVAL } else { "" };
    let conditions = [
        Condition::new("Completed", completed, now).because(waits_for, ""),
        Condition::new("Skipped", status.property("skipped"), now)
            .because(outcome.unwrap_or(ConditionOutcome::Unknown).as_str(), ""),
        Condition::new("Succeeded", ended("succeeded"), now).because(reason, message),
    ];
    let before = stored.map(|stored| stored.conditions.as_slice()).unwrap_or_default();
    let task = planned.task.as_ref().and_then(|task| world.watched.tasks.get(task.as_str()));
    let pod = task.and_then(|task| task.status.pod_name.as_deref());
    Some(StepStatus {
        name: planned.name.to_string(),
        conditions: conditions.into_iter().map(|new| new.keeping_time_of(before)).collect(),
        start_time: status.when.filter(|_| started).map(|when| seconds(when.timestamp)),
        completion_time: status
            .process
            .filter(|_| progress.ended.is_some())
            .map(|process| seconds(process.timestamp)),
        init_time: None,
        outputs: outputs(record, room),
        messages: messages(record, room),
        decorators: record
            .decorators
            .iter()
            .map(|(name, Decorator::Link { description, uri })| StepDecorator {
                name: name.clone(),
                link: Some(StepDecoratorLink {
                    description: description.clone(),
                    uri: uri.clone(),
                }),
            })
            .collect(),
        logs: logs(pod, stored.map(|stored| stored.logs.as_slice()).unwrap_or_default()),
    })
}

/// Where the log of a step is: in its pod, and under the key that is known already.
fn logs(pod: Option<&str>, stored: &[LogReference]) -> Vec<LogReference> {
    let Some(pod) = pod.filter(|pod| !pod.is_empty()) else { return stored.to_vec() };
    let known = stored.iter().find(|log| log.name.as_deref() == Some(pod)).cloned();
    vec![known.unwrap_or_else(|| LogReference { name: Some(pod.to_owned()), context: None })]
}

/// Outputs, sensitive ones and those too large without their value.
fn outputs(record: &StepRecord, room: &mut usize) -> Vec<OutputStatus> {
    let mut outputs = Vec::with_capacity(record.outputs.len());
    for (name, output) in &record.outputs {
        let sensitive = output.sensitive == Some(true);
        let size = if sensitive { 0 } else { output.value.to_json().len() };
        let shown = !sensitive && size <= MAX_OUTPUT && size <= *room;
        if shown {
            *room -= size;
        }
        let value = if shown { output.value.clone() } else { Value::Null };
        let omitted = (!shown && !sensitive).then(|| format!("{size} bytes are too many to show"));
        outputs.push(OutputStatus { name: name.clone(), sensitive, value, omitted });
    }
    outputs
}

/// Messages, and how many more there are than there is room for.
fn messages(record: &StepRecord, room: &mut usize) -> Vec<MessageStatus> {
    let mut messages = Vec::with_capacity(record.messages.len());
    let mut left_out: Option<(usize, MessageStatus)> = None;
    for message in &record.messages {
        let expression = match &message.source {
            MessageSource::WhenEvaluation { expression }
            | MessageSource::SpecValidation { expression } => expression.to_json().len(),
            MessageSource::Log => 0,
        };
        let size = message.details.len() + expression;
        if size <= *room {
            *room -= size;
            messages.push(message_status(message));
        } else {
            let more = left_out.map_or(1, |(more, _)| more + 1);
            left_out = Some((more, message_status(message)));
        }
    }
    messages.extend(left_out.map(|(more, last)| cut::note(more, last)));
    messages
}

fn message_status(message: &Message) -> MessageStatus {
    let source = match &message.source {
        MessageSource::WhenEvaluation { expression } => MessageSourceStatus {
            when_evaluation: Some(WhenEvaluation {
                path: String::new(),
                expression: expression.clone(),
            }),
            ..MessageSourceStatus::default()
        },
        MessageSource::SpecValidation { expression } => MessageSourceStatus {
            spec_validation: Some(SpecValidation {
                expression: expression.clone(),
                ..SpecValidation::default()
            }),
            ..MessageSourceStatus::default()
        },
        MessageSource::Log => {
            MessageSourceStatus { log: Some(Default::default()), ..Default::default() }
        }
    };
    MessageStatus {
        source,
        severity: Severity::Error,
        observation_time: seconds(message.time),
        short: None,
        details: message.details.clone(),
    }
}

/// A time as it comes back from an API server, so that statuses can be compared with stored ones.
fn seconds(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}

/// Whether a status is that of a run that has ended.
pub(super) fn is_final(status: &RunStatus) -> bool {
    status.condition("Completed").is_some_and(|c| c.status == ConditionStatus::True)
}
