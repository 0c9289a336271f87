//! What a TaskRun's status says.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use nix::sys::signal::Signal;
use relay_model::knative_condition::Condition;
use relay_model::tekton::{TaskRun, TaskRunStatus, TaskRunStepState, Terminated};
use relay_tools::entrypoint::Ended;

use super::job::STEP;
use super::stop::Why;
use crate::executor::{ON_ERROR_ANNOTATION, REASON_CANCELLED, duration};

const COULD_NOT_START: &str = "CouldNotStart";

/// How an attempt at a TaskRun ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The entrypoint played its sequence.
    Played(Ended),
    /// It did, and then the metadata API did not take its report.
    Unreported { ended: Ended, why: String },
    /// It could not begin.
    CouldNotStart(String),
    /// Somebody stopped it before it began.
    NotStarted,
    /// Nobody can say how it ended.
    Unknown(String),
}

/// Constant parts of a TaskRun's status.
#[derive(Clone, Debug)]
pub(super) struct Report {
    name: String,
    pod: String,
    is_ignored: bool,
    started: Option<Timestamp>,
    limit: Option<Duration>,
}

impl Report {
    pub(super) fn new(run: &TaskRun, limit: Option<Duration>) -> Self {
        let name = run.metadata.name.clone().unwrap_or_default();
        let annotations = run.metadata.annotations.as_ref();
        let on_error = annotations.and_then(|annotations| annotations.get(ON_ERROR_ANNOTATION));
        let status = run.status.as_ref();
        Self {
            pod: format!("{name}-pod"),
            name,
            is_ignored: on_error.is_some_and(|word| word == "continue"),
            started: status.and_then(|status| Some(status.start_time.as_ref()?.0)),
            limit,
        }
    }

    /// Whether the step has not had its place yet.
    pub(super) fn is_new(&self) -> bool {
        self.started.is_none()
    }

    /// The status from when the step has its place.
    pub(super) fn running(&mut self, now: Timestamp) -> TaskRunStatus {
        self.started = Some(now);
        let message = "Not all Steps in the Task have finished executing";
        TaskRunStatus {
            conditions: vec![Condition::succeeded(None, "Running", message, now)],
            pod_name: Some(self.pod.clone()),
            start_time: Some(Time(now)),
            ..TaskRunStatus::default()
        }
    }

    /// The status from the end of the step. `why` is why it was told to stop, if it was.
    pub(super) fn done(&self, end: &End, why: Option<&Why>, now: Timestamp) -> TaskRunStatus {
        let Verdict { reason, message, code } = self.verdict(end, why);
        let succeeded = reason == "Succeeded";
        let terminated = Terminated {
            exit_code: code.unwrap_or(-1),
            reason: Some(match reason {
                "Succeeded" => "Completed".to_owned(),
                "Failed" | "FailureIgnored" => "Error".to_owned(),
                other => other.to_owned(),
            }),
            // A container that just exits leaves no message; what else happened is said here.
            message: (!succeeded && !matches!(end, End::Played(Ended::Exited { .. })))
                .then(|| message.clone()),
        };
        TaskRunStatus {
            conditions: vec![Condition::succeeded(Some(succeeded), reason, &message, now)],
            pod_name: Some(self.pod.clone()),
            start_time: Some(Time(self.started.unwrap_or(now))),
            completion_time: Some(Time(now)),
            steps: code
                .map(|_| TaskRunStepState { name: STEP.to_owned(), terminated: Some(terminated) })
                .into_iter()
                .collect(),
        }
    }

    fn verdict(&self, end: &End, why: Option<&Why>) -> Verdict {
        let failed = if self.is_ignored { "FailureIgnored" } else { "Failed" };
        let (reason, message, code) = match end {
            End::Played(ended) => match ended {
                Ended::Exited { code: 0 } => {
                    ("Succeeded", "All Steps have completed executing".to_owned(), 0)
                }
                Ended::Skipped => {
                    ("Succeeded", "the condition of the step is not met".to_owned(), 0)
                }
                Ended::Exited { code } => {
                    (failed, format!("\"step-{STEP}\" exited with code {code}"), *code)
                }
                Ended::Signalled { signal } => {
                    let name = Signal::try_from(*signal).map(|signal| format!(" ({signal})"));
                    let message = format!("ended by signal {signal}{}", name.unwrap_or_default());
                    (failed, message, ended.exit_code())
                }
                Ended::CouldNotStart { reason, code } => (COULD_NOT_START, reason.clone(), *code),
                Ended::Cancelled { .. } => {
                    let (reason, message) = self.stopped(why);
                    (reason, message, ended.exit_code())
                }
                other => {
                    let message = other.reason().unwrap_or("the step failed").to_owned();
                    (failed, message, other.exit_code())
                }
            },
            // Success that nobody knows of is none.
            End::Unreported { ended, why } => (failed, why.clone(), ended.exit_code().max(1)),
            End::CouldNotStart(message) => (COULD_NOT_START, message.clone(), 126),
            End::Unknown(message) => {
                return Verdict { reason: failed, message: message.clone(), code: None };
            }
            End::NotStarted => {
                let (reason, message) = self.stopped(why);
                return Verdict { reason, message, code: None };
            }
        };
        Verdict { reason, message, code: Some(code) }
    }

    fn stopped(&self, why: Option<&Why>) -> (&'static str, String) {
        let name = &self.name;
        match why.unwrap_or(&Why::Cancelled(None)) {
            Why::TimedOut => {
                let limit = self.limit.map(duration::display).unwrap_or_default();
                ("TaskRunTimeout", format!("TaskRun {name:?} failed to finish within {limit:?}"))
            }
            Why::Cancelled(None) => (REASON_CANCELLED, format!("TaskRun {name:?} was cancelled")),
            Why::Cancelled(Some(message)) => {
                (REASON_CANCELLED, format!("TaskRun {name:?} was cancelled. {message}"))
            }
            Why::Deleted => (REASON_CANCELLED, format!("TaskRun {name:?} was deleted")),
            Why::Shutdown => (
                REASON_CANCELLED,
                format!("TaskRun {name:?} was cancelled: the engine was shut down"),
            ),
        }
    }
}

struct Verdict {
    reason: &'static str,
    message: String,
    code: Option<i32>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report(on_error: &str) -> Report {
        let run: TaskRun = serde_json::from_value(json!({
            "metadata": {"name": "r-t", "annotations": {ON_ERROR_ANNOTATION: on_error}},
            "spec": {},
        }))
        .unwrap();
        Report::new(&run, Some(Duration::from_secs(60)))
    }

    #[test]
    fn ends() {
        let exited = |code| End::Played(Ended::Exited { code });
        let cancelled = || End::Played(Ended::Cancelled { program: Some(-1) });
        let unreported =
            End::Unreported { ended: Ended::Exited { code: 0 }, why: "not taken".to_owned() };
        let missing =
            Ended::CouldNotStart { reason: "x: no such program in PATH".to_owned(), code: 127 };
        for (end, why, reason, code, part) in [
            (exited(0), None, "Succeeded", Some(0), "completed"),
            (End::Played(Ended::Skipped), None, "Succeeded", Some(0), "not met"),
            (exited(3), None, "Failed", Some(3), "\"step-step\" exited with code 3"),
            (
                End::Played(Ended::Signalled { signal: 9 }),
                None,
                "Failed",
                Some(137),
                "signal 9 (SIGKILL)",
            ),
            (End::Played(missing), None, "CouldNotStart", Some(127), "no such program"),
            (End::CouldNotStart("why".to_owned()), None, "CouldNotStart", Some(126), "why"),
            (
                cancelled(),
                Some(Why::Cancelled(None)),
                "TaskRunCancelled",
                Some(143),
                "was cancelled",
            ),
            (
                cancelled(),
                Some(Why::Cancelled(Some("Somebody said so.".into()))),
                "TaskRunCancelled",
                Some(143),
                "TaskRun \"r-t\" was cancelled. Somebody said so.",
            ),
            (cancelled(), Some(Why::TimedOut), "TaskRunTimeout", Some(143), "within \"1m0s\""),
            (End::NotStarted, Some(Why::Shutdown), "TaskRunCancelled", None, "shut down"),
            // It ended by itself in the moment that it was told to stop.
            (exited(0), Some(Why::Cancelled(None)), "Succeeded", Some(0), "completed"),
            (unreported, None, "Failed", Some(1), "not taken"),
            (End::Unknown("lost".to_owned()), None, "Failed", None, "lost"),
        ] {
            let status = report("stop").done(&end, why.as_ref(), Timestamp::UNIX_EPOCH);
            let condition = Condition::of(&status.conditions).unwrap();
            assert_eq!(condition.reason.as_deref(), Some(reason), "{end:?}");
            assert!(condition.message.as_deref().unwrap().contains(part), "{condition:?}");
            assert!(Condition::is_done(&status.conditions));
            let terminated = status.steps.first().and_then(|step| step.terminated.as_ref());
            assert_eq!(terminated.map(|terminated| terminated.exit_code), code);
        }
        let ignored = report("continue").done(&exited(1), None, Timestamp::UNIX_EPOCH);
        let condition = Condition::of(&ignored.conditions).unwrap();
        assert_eq!(condition.reason.as_deref(), Some("FailureIgnored"));
    }
}
