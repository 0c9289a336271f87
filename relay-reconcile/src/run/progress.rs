//! How far each step has got, from gates, TaskRuns and reports together: so that every step ends,
//! also one whose pod never came to life (`operator.md` §7).

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use relay_core::{ConditionOutcome, ProcessState, StepStatus, WhenCondition};
use relay_model::knative_condition::Condition;
use relay_model::tekton::{
    CustomRun, GateReason, RESULT_REASON, TIMED_OUT_WITH_PIPELINE, TaskRunStatus,
};
use relay_model::v1beta1::{self, ConditionStatus};

use super::observe::World;
use super::snapshot::PlannedStep;

/// The container of a task that is the step's.
const STEP_CONTAINER: &str = "step";
/// The reason of a step whose TaskRun was deleted.
const LOST: &str = "Lost";
const RUN_TIMED_OUT: &str = "the run exceeded its time";

/// How far a step has got.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Progress {
    /// What is known in the terms of the wire.
    pub(super) status: StepStatus,
    /// How it ended, once it has.
    pub(super) ended: Option<Ended>,
    /// Whether its TaskRun goes on: that may still say that the step ended otherwise, because it was
    /// cut off.
    pub(super) goes_on: bool,
}

impl Progress {
    /// Whether it has ended for good.
    pub(super) fn is_settled(&self) -> bool {
        self.ended.is_some() && !self.goes_on
    }

    fn ended(status: StepStatus, ended: Ended) -> Self {
        Self { status, ended: Some(ended), goes_on: false }
    }
}

/// How a step ended: in a word for programs and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) reason: String,
    pub(super) message: String,
}

impl Ended {
    fn new(reason: &str, message: impl Into<String>) -> Self {
        Self { reason: reason.to_owned(), message: message.into() }
    }
}

/// How a TaskRun ended, in the words of `Run.status`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskEnding {
    /// Whether its step succeeded.
    pub succeeded: bool,
    /// How its program ended, as far as the TaskRun knows.
    pub exit_code: Option<i64>,
    /// Why, in one word.
    pub reason: String,
    /// Why, for people.
    pub message: String,
}

impl TaskEnding {
    /// The ending that a TaskRun's status tells of; `None` while it goes on.
    #[must_use]
    pub fn of(status: &TaskRunStatus) -> Option<Self> {
        let progress = of_task(status, StepStatus::default(), Timestamp::UNIX_EPOCH);
        let ended = progress.ended?;
        Some(Self {
            succeeded: progress.status.property("succeeded") == Some(true),
            exit_code: progress.status.process.map(|process| process.exit_code),
            reason: ended.reason,
            message: ended.message,
        })
    }
}

/// What a gate has decided about the step behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GateDecision {
    /// The step.
    pub step: String,
    /// Why, in one word.
    pub reason: GateReason,
    /// Why, for people.
    pub message: String,
}

impl GateDecision {
    /// What this gate has decided; `None` while it has not, and where it was cancelled.
    #[must_use]
    pub fn of(gate: &CustomRun) -> Option<Self> {
        let spec = gate.spec.custom_spec.as_ref()?.spec.as_ref()?;
        let step = spec.get("step")?.as_str()?.to_owned();
        let (reason, message, _) = decided(gate)?;
        Some(Self { step, reason, message })
    }
}

/// The progress of a step, by its place in the snapshot, its plan and what it reported itself.
pub(super) fn of(
    world: &World,
    index: usize,
    step: &PlannedStep,
    reported: StepStatus,
) -> Progress {
    let watched = &world.watched;
    let task = step.task.as_ref().and_then(|task| watched.tasks.get(task.as_str()));
    if let Some(task) = task {
        return of_task(&task.status, reported, world.now);
    }
    // What was said to have ended has ended, whatever became of its objects since.
    if let Some(ended) = world.reported(index).and_then(said_to_have_ended) {
        return Progress::ended(reported, ended);
    }
    let gate = step.gate.as_ref().and_then(|gate| watched.gates.get(gate.as_str()));
    let decision = gate.and_then(|gate| decided(gate)).map(|(reason, message, time)| {
        of_decision(step, reason, message, time.unwrap_or(world.now))
    });
    if let Some(decision) = decision.as_ref().filter(|decision| decision.ended.is_some()) {
        return decision.clone();
    }
    let said = reported_end(&reported);
    let Some((reason, message)) = abandoned(world, step) else {
        // Nothing but the report tells of the step, and nothing will.
        let is_alone = step.task.as_ref().is_none_or(|task| world.absent.contains(task));
        return match (said.filter(|_| is_alone), decision) {
            (Some(ended), _) => Progress::ended(reported, ended),
            (None, Some(decision)) => decision,
            (None, None) => Progress { status: reported, ..Progress::default() },
        };
    };
    // What a step said of its end holds, whatever became of its objects.
    if let Some(ended) = said {
        return Progress::ended(reported, ended);
    }
    let status = if reason == LOST {
        let process = Some(ProcessState { exit_code: -1, timestamp: world.now });
        StepStatus { process, when: Some(satisfied(reported.when, world.now)) }
    } else {
        skipped(ConditionOutcome::NotSatisfied, world.now)
    };
    Progress::ended(status, Ended::new(reason, message))
}

/// The end that a step reported of itself, if it did.
pub(super) fn reported_end(reported: &StepStatus) -> Option<Ended> {
    match reported.process {
        Some(process) if process.exit_code == 0 => Some(Ended::new("Succeeded", "")),
        Some(process) => Some(Ended::new("Failed", exit_code(process))),
        None => (reported.property("skipped") == Some(true)).then(condition_false),
    }
}

fn exit_code(process: ProcessState) -> String {
    format!("exit code {}", process.exit_code)
}

fn condition_false() -> Ended {
    Ended::new("ConditionFalse", "a condition is not met")
}

/// What a step said of its conditions, where that is how they came out, and otherwise that they are
/// met: it was started.
fn satisfied(when: Option<WhenCondition>, timestamp: Timestamp) -> WhenCondition {
    let when = when.filter(|when| when.outcome != ConditionOutcome::Evaluating);
    when.unwrap_or(WhenCondition { outcome: ConditionOutcome::Satisfied, timestamp })
}

fn said_to_have_ended(stored: &v1beta1::StepStatus) -> Option<Ended> {
    if !stored.condition("Completed").is_some_and(v1beta1::Condition::is_true) {
        return None;
    }
    let succeeded = stored.condition("Succeeded")?;
    let reason = succeeded.reason.as_deref().unwrap_or_default();
    Some(Ended::new(reason, succeeded.message.clone().unwrap_or_default()))
}

/// What a gate decided, and when; `None` while it has not.
fn decided(gate: &CustomRun) -> Option<(GateReason, String, Option<Timestamp>)> {
    let status = gate.status.as_ref()?;
    let condition = Condition::of(&status.conditions)?;
    if condition.status != ConditionStatus::True {
        return None;
    }
    let reason = GateReason::parse(status.result(RESULT_REASON)?)?;
    let message = condition.message.clone().unwrap_or_default();
    Some((reason, message, status.completion_time.as_ref().map(|Time(time)| *time)))
}

fn of_decision(
    step: &PlannedStep,
    reason: GateReason,
    message: String,
    time: Timestamp,
) -> Progress {
    let faulty_conditions =
        matches!(reason, GateReason::EvaluationError | GateReason::OutputMissing);
    if reason != GateReason::Satisfied {
        let outcome = if faulty_conditions {
            ConditionOutcome::Failure
        } else {
            ConditionOutcome::NotSatisfied
        };
        let ended = Ended::new(reason.as_str(), message);
        return Progress::ended(skipped(outcome, time), ended);
    }
    let when = Some(WhenCondition { outcome: ConditionOutcome::Satisfied, timestamp: time });
    if step.task.is_some() {
        // Its task is about to be made.
        return Progress { status: StepStatus { when, process: None }, ..Progress::default() };
    }
    let process = Some(ProcessState { exit_code: 0, timestamp: time });
    let ended = Ended::new("Approved", "");
    Progress::ended(StepStatus { when, process }, ended)
}

fn skipped(outcome: ConditionOutcome, timestamp: Timestamp) -> StepStatus {
    StepStatus { process: None, when: Some(WhenCondition { outcome, timestamp }) }
}

fn of_task(status: &TaskRunStatus, reported: StepStatus, now: Timestamp) -> Progress {
    let condition = Condition::of(&status.conditions);
    let Some(condition) =
        condition.filter(|condition| condition.status != ConditionStatus::Unknown)
    else {
        return Progress { ended: reported_end(&reported), goes_on: true, status: reported };
    };
    let time = |time: &Option<Time>| time.as_ref().map_or(now, |Time(time)| *time);
    // Beside the step's own container there is the one that brings the tools.
    let own = status.steps.iter().find(|container| container.name == STEP_CONTAINER);
    let terminated = own.and_then(|container| container.terminated.as_ref());
    let succeeded = condition.status == ConditionStatus::True;
    // What the step reported wins; what it did not, because it never ran or was cut off, is read
    // from its task.
    let exit_code = match terminated.map(|terminated| i64::from(terminated.exit_code)) {
        Some(code) if succeeded == (code == 0) => code,
        _ => i64::from(succeeded) - 1,
    };
    let unreported = ProcessState { exit_code, timestamp: time(&status.completion_time) };
    let skipped = reported.property("skipped") == Some(true);
    let process = reported.process.or((!skipped).then_some(unreported));
    let when = Some(satisfied(reported.when, time(&status.start_time)));
    let ended = match (process, condition.reason.as_deref()) {
        (None, _) => condition_false(),
        (Some(process), _) if process.exit_code == 0 && succeeded => Ended::new("Succeeded", ""),
        (Some(process), reason) => {
            let detail = terminated.and_then(|terminated| terminated.message.as_deref());
            let (reason, message) = failure(process, reason, detail, condition.message.as_deref());
            Ended::new(reason, message)
        }
    };
    // A task may be ended from outside after its program has reported success.
    let process = process.map(|process| match process.exit_code {
        0 if !succeeded => unreported,
        _ => process,
    });
    Progress::ended(StepStatus { process, when }, ended)
}

/// Why a task failed, in our words where Tekton's speak of tasks and containers.
fn failure(
    process: ProcessState,
    reason: Option<&str>,
    detail: Option<&str>,
    message: Option<&str>,
) -> (&'static str, String) {
    let given = || detail.or(message).unwrap_or_default().to_owned();
    match reason {
        Some("TaskRunTimeout") => ("TimedOut", "the step exceeded its time".to_owned()),
        Some("TaskRunCancelled")
            if message.is_some_and(|message| message.contains(TIMED_OUT_WITH_PIPELINE)) =>
        {
            ("TimedOut", RUN_TIMED_OUT.to_owned())
        }
        Some("TaskRunCancelled") => ("Cancelled", "the run was cancelled".to_owned()),
        // Tekton's own words say no more than the exit code.
        Some("Failed" | "FailureIgnored") | None if process.exit_code > 0 && detail.is_none() => {
            ("Failed", exit_code(process))
        }
        Some("Failed" | "FailureIgnored") | None => ("Failed", given()),
        Some(_) => ("CouldNotStart", given()),
    }
}

/// Why a step will not get its turn any more, once its PipelineRun has ended without it.
fn abandoned(world: &World, step: &PlannedStep) -> Option<(&'static str, &'static str)> {
    let status = &world.watched.pipeline_run.status;
    let condition = Condition::of(&status.conditions)?;
    if condition.status == ConditionStatus::Unknown {
        return None;
    }
    if step.task.as_ref().is_some_and(|task| world.lost.contains(task)) {
        return Some((LOST, "the step's TaskRun was deleted"));
    }
    let cut_off = matches!(condition.reason.as_deref(), Some("Cancelled" | "PipelineRunTimeout"));
    // Where there is a task, or a gate that was let come to its end, news of it are on the way.
    let awaited = status.child_references.iter().any(|child| {
        let name = &child.pipeline_task_name;
        let ours =
            step.task.as_ref() == Some(name) || (!cut_off && step.gate.as_ref() == Some(name));
        ours && !world.lost.contains(name)
    });
    if awaited {
        return None;
    }
    Some(match condition.reason.as_deref() {
        Some("Cancelled") => ("Cancelled", "the run was cancelled before the step's turn"),
        Some("PipelineRunTimeout") => ("TimedOut", RUN_TIMED_OUT),
        _ => ("NotStarted", "the run ended before the step's turn"),
    })
}
