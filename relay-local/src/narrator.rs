//! From statuses and output to events.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use relay_model::v1beta1::{Condition, ConditionStatus, RunStatus, StepStatus};
use relay_tools::entrypoint::Stream;

use crate::event::{Event, EventKind};
use crate::executor::StepOutput;
use crate::lines::Lines;
use crate::outcome::Outcome;

/// Tells the story of one run: each thing once, and what a step wrote before it is said to end.
#[derive(Debug)]
pub(crate) struct Narrator {
    run: Arc<str>,
    steps: HashMap<String, Told>,
}

/// What was told about a step.
#[derive(Debug, Default)]
struct Told {
    started: bool,
    waiting: bool,
    ended: bool,
    stdout: Lines,
    stderr: Lines,
}

impl Narrator {
    pub(crate) fn new(run: &str) -> Self {
        Self { run: run.into(), steps: HashMap::new() }
    }

    fn event(&self, time: Timestamp, kind: EventKind) -> Event {
        Event { time, run: Arc::clone(&self.run), kind }
    }

    /// What is to be told when a step has written something.
    pub(crate) fn output(&mut self, output: &StepOutput, now: Timestamp) -> Vec<Event> {
        let step = &output.step;
        let told = self.steps.entry(step.to_string()).or_default();
        let mut kinds = Vec::new();
        // Output may overtake the status that says that the step has begun.
        if !std::mem::replace(&mut told.started, true) {
            kinds.push(EventKind::Started { step: Arc::clone(step) });
        }
        let lines = match output.stream {
            Stream::Stdout => &mut told.stdout,
            Stream::Stderr => &mut told.stderr,
        };
        kinds.extend(lines.push(&output.bytes).into_iter().map(|text| EventKind::Output {
            step: Arc::clone(step),
            stream: output.stream,
            text,
        }));
        kinds.into_iter().map(|kind| self.event(now, kind)).collect()
    }

    /// Whether a status says of a step that it failed, and that was not told yet.
    pub(crate) fn has_new_failure(&self, status: &RunStatus) -> bool {
        status.steps.iter().any(|step| {
            let condition = step.condition("Succeeded");
            let failed = condition.is_some_and(|c| c.status == ConditionStatus::False);
            failed && !self.steps.get(&step.name).is_some_and(|told| told.ended)
        })
    }

    /// What is to be told when the run has a new status. All output that was written before has to
    /// be told before. `exit_codes` are those of steps whose programs have ended.
    pub(crate) fn status(
        &mut self,
        status: &RunStatus,
        exit_codes: &HashMap<String, i64>,
        now: Timestamp,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        for step in &status.steps {
            let told = self.steps.entry(step.name.clone()).or_default();
            let kinds = told.status(step, exit_codes.get(&step.name).copied());
            events.extend(kinds.into_iter().map(|kind| self.event(now, kind)));
        }
        if let Some(outcome) = Outcome::of(status) {
            let succeeded = status.condition("Succeeded");
            let message = succeeded.and_then(|c| c.message.clone()).unwrap_or_default();
            events.push(self.event(now, EventKind::Finished { outcome, message }));
        }
        events
    }
}

impl Told {
    fn status(&mut self, status: &StepStatus, exit_code: Option<i64>) -> Vec<EventKind> {
        if self.ended {
            return Vec::new();
        }
        let mut kinds = Vec::new();
        let step: Arc<str> = status.name.as_str().into();
        let condition = |kind: &str| status.condition(kind);
        let completed = condition("Completed");
        let waiting = completed.and_then(|c| c.reason.as_deref()) == Some("WaitingForApproval");
        if waiting && !std::mem::replace(&mut self.waiting, true) {
            kinds.push(EventKind::Waiting { step: Arc::clone(&step) });
        }
        let runs = condition("Skipped").is_some_and(|c| c.status == ConditionStatus::False);
        let approved = condition("Succeeded").and_then(|c| c.reason.as_deref()) == Some("Approved");
        if runs && !approved && !std::mem::replace(&mut self.started, true) {
            kinds.push(EventKind::Started { step: Arc::clone(&step) });
        }
        if !completed.is_some_and(Condition::is_true) {
            return kinds;
        }
        self.ended = true;
        for (stream, lines) in
            [(Stream::Stdout, &mut self.stdout), (Stream::Stderr, &mut self.stderr)]
        {
            let rest = lines.take();
            kinds.extend(rest.map(|text| EventKind::Output {
                step: Arc::clone(&step),
                stream,
                text,
            }));
        }
        let succeeded = condition("Succeeded");
        let text = |text: Option<&String>| text.cloned().unwrap_or_default();
        let reason = text(succeeded.and_then(|c| c.reason.as_ref()));
        let message = text(succeeded.and_then(|c| c.message.as_ref()));
        kinds.push(if condition("Skipped").is_some_and(Condition::is_true) {
            EventKind::Skipped { step, reason, message }
        } else if succeeded.is_some_and(Condition::is_true) {
            EventKind::Succeeded { step }
        } else {
            EventKind::Failed { step, exit_code, reason, message }
        });
        kinds
    }
}
