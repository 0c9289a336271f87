//! What a PipelineRun's status says.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use relay_model::knative_condition::Condition;
use relay_model::tekton::{PipelineRunStatus, SkippedTask};

use super::schedule::{Counts, Schedule, TaskState};
use crate::executor::duration;

/// Why a PipelineRun ends before its tasks do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Cancelled,
    TimedOut(Duration),
    /// It cannot be run, or not be run on.
    Refused {
        reason: String,
        message: String,
    },
}

/// The status of the PipelineRun of this name, which began at `started` and is as `before` said.
pub(super) fn status(
    name: &str,
    schedule: &Schedule,
    ending: Option<&Ending>,
    before: &PipelineRunStatus,
    started: Timestamp,
    now: Timestamp,
) -> PipelineRunStatus {
    let mut children = Vec::new();
    let mut skipped = Vec::new();
    for (task, state) in schedule.states() {
        match state {
            TaskState::Running(child) | TaskState::Done(child, _) => children.push(child.clone()),
            TaskState::Skipped(why) => {
                let (name, reason) = (task.to_owned(), why.reason().to_owned());
                skipped.push(SkippedTask { name, reason });
            }
            TaskState::Waiting | TaskState::Chosen => {}
        }
    }
    let mut condition = match ending {
        Some(ending) => ended(name, ending, now),
        None => progress(schedule, now),
    };
    if let Some(last) = Condition::of(&before.conditions)
        && last.status == condition.status
    {
        condition.last_transition_time.clone_from(&last.last_transition_time);
    }
    let conditions = vec![condition];
    PipelineRunStatus {
        completion_time: Condition::is_done(&conditions).then_some(Time(now)),
        conditions,
        start_time: Some(Time(started)),
        child_references: children,
        skipped_tasks: skipped,
    }
}

/// The status of a PipelineRun that was refused before it had a schedule.
pub(super) fn refusal(reason: &str, message: &str, now: Timestamp) -> PipelineRunStatus {
    PipelineRunStatus {
        conditions: vec![Condition::succeeded(Some(false), reason, message, now)],
        start_time: Some(Time(now)),
        completion_time: Some(Time(now)),
        ..PipelineRunStatus::default()
    }
}

fn ended(name: &str, ending: &Ending, now: Timestamp) -> Condition {
    match ending {
        Ending::Cancelled => {
            let message = format!("PipelineRun {name:?} was cancelled");
            Condition::succeeded(Some(false), "Cancelled", &message, now)
        }
        Ending::TimedOut(limit) => {
            let limit = duration::display(*limit);
            let message = format!("PipelineRun {name:?} failed to finish within {limit:?}");
            Condition::succeeded(Some(false), "PipelineRunTimeout", &message, now)
        }
        Ending::Refused { reason, message } => {
            Condition::succeeded(Some(false), reason, message, now)
        }
    }
}

fn progress(schedule: &Schedule, now: Timestamp) -> Condition {
    let Counts { succeeded, failed, ignored, cancelled, skipped, open } = schedule.counts();
    let completed = succeeded + failed + cancelled;
    let failures = match ignored {
        0 => format!("Failed: {failed}"),
        _ => format!("Failed: {failed} (Ignored: {ignored})"),
    };
    let so_far = format!("Tasks Completed: {completed} ({failures}, Cancelled {cancelled})");
    if open > 0 {
        let reason = if schedule.is_stopping() { "Stopping" } else { "Running" };
        let message = format!("{so_far}, Incomplete: {open}, Skipped: {skipped}");
        return Condition::succeeded(None, reason, &message, now);
    }
    let (known, reason) = if failed > ignored {
        (false, "Failed")
    } else if cancelled > 0 {
        (false, "Cancelled")
    } else if skipped > 0 || ignored > 0 {
        (true, "Completed")
    } else {
        (true, "Succeeded")
    };
    Condition::succeeded(Some(known), reason, &format!("{so_far}, Skipped: {skipped}"), now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::pipeline::graph::Graph;
    use crate::executor::pipeline::schedule::{Outcome, Verdict};
    use relay_model::tekton::{ChildReference, PipelineSpec, PipelineTask, TaskSpec};
    use relay_model::v1beta1::ConditionStatus;

    /// Independent tasks with these fates; `~` ignores a failure.
    fn played(fates: &[&str]) -> Schedule {
        let tasks = fates.iter().enumerate().map(|(index, fate)| PipelineTask {
            name: format!("t{index}"),
            task_spec: Some(TaskSpec::default()),
            on_error: fate.starts_with('~').then(|| "continue".to_owned()),
            ..PipelineTask::default()
        });
        let spec = PipelineSpec { tasks: tasks.collect(), ..PipelineSpec::default() };
        let mut schedule = Schedule::new(Graph::new(&spec).unwrap());
        for index in schedule.choose() {
            let child = ChildReference { name: format!("r-t{index}"), ..Default::default() };
            schedule.started(index, child.clone());
            let verdict = match fates[index].trim_start_matches('~') {
                "ok" => Verdict::Succeeded,
                "fail" => Verdict::Failed,
                "cancel" => Verdict::Cancelled,
                _ => continue,
            };
            schedule.ended(index, child, Outcome { verdict, results: vec![] });
        }
        schedule
    }

    #[test]
    fn conditions() {
        use ConditionStatus::{False, True, Unknown};
        for (fates, status_word, reason, message) in [
            (
                &["ok", "run"] as &[&str],
                Unknown,
                "Running",
                "Tasks Completed: 1 (Failed: 0, Cancelled 0), Incomplete: 1, Skipped: 0",
            ),
            (
                &["fail", "run"],
                Unknown,
                "Stopping",
                "Tasks Completed: 1 (Failed: 1, Cancelled 0), Incomplete: 1, Skipped: 0",
            ),
            (
                &["ok", "ok"],
                True,
                "Succeeded",
                "Tasks Completed: 2 (Failed: 0, Cancelled 0), Skipped: 0",
            ),
            (
                &["ok", "~fail"],
                True,
                "Completed",
                "Tasks Completed: 2 (Failed: 1 (Ignored: 1), Cancelled 0), Skipped: 0",
            ),
            (
                &["~fail", "fail"],
                False,
                "Failed",
                "Tasks Completed: 2 (Failed: 2 (Ignored: 1), Cancelled 0), Skipped: 0",
            ),
            (
                &["cancel", "ok"],
                False,
                "Cancelled",
                "Tasks Completed: 2 (Failed: 0, Cancelled 1), Skipped: 0",
            ),
            (&[], True, "Succeeded", "Tasks Completed: 0 (Failed: 0, Cancelled 0), Skipped: 0"),
        ] {
            let schedule = played(fates);
            let now = Timestamp::UNIX_EPOCH;
            let status = status("r", &schedule, None, &PipelineRunStatus::default(), now, now);
            let condition = Condition::of(&status.conditions).unwrap();
            assert_eq!(condition.status, status_word, "{fates:?}");
            assert_eq!(condition.reason.as_deref(), Some(reason));
            assert_eq!(condition.message.as_deref(), Some(message));
            assert_eq!(status.completion_time.is_some(), status_word != Unknown);
            assert_eq!(status.child_references.len(), fates.len());
        }
    }

    #[test]
    fn early_ends_and_transition_times() {
        let schedule = played(&["run"]);
        let (early, late) = (Timestamp::UNIX_EPOCH, "2031-02-03T04:05:06Z".parse().unwrap());
        let none = PipelineRunStatus::default();
        let running = status("r", &schedule, None, &none, early, early);
        let still = status("r", &schedule, None, &running, early, late);
        assert_eq!(still, running);
        for (ending, reason) in [
            (Ending::Cancelled, "Cancelled"),
            (Ending::TimedOut(Duration::from_secs(90)), "PipelineRunTimeout"),
        ] {
            let end = status("r", &schedule, Some(&ending), &running, early, late);
            let condition = Condition::of(&end.conditions).unwrap();
            assert_eq!(condition.reason.as_deref(), Some(reason));
            assert_eq!(condition.last_transition_time, Some(Time(late)));
            assert_eq!(end.completion_time, Some(Time(late)));
        }
    }
}
