//! From statuses and output to events.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use relay_model::tekton::{CustomRun, Decision, GateReason};
use relay_model::v1beta1::{Condition, RunStatus, StepStatus};
use relay_reconcile::run::{GateDecision, TaskEnding};
use relay_tools::entrypoint::Stream;

use crate::event::{Event, EventKind};
use crate::executor::{News, StepNews};
use crate::lines::Lines;
use crate::mask::Masks;
use crate::outcome::Outcome;

/// Tells the story of one run: each thing once, and what a step wrote before it is said to end.
#[derive(Debug)]
pub struct Narrator {
    run: Arc<str>,
    masks: Arc<Masks>,
    /// The steps that are questions.
    approvals: HashSet<String>,
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
    /// Tells of a run; `approvals` are the steps that are questions.
    #[must_use]
    pub fn new(run: &str, masks: Arc<Masks>, approvals: HashSet<String>) -> Self {
        Self { run: run.into(), masks, approvals, steps: HashMap::new() }
    }

    /// An event without secrets in it.
    fn event(&self, time: Timestamp, mut kind: EventKind) -> Event {
        match &mut kind {
            EventKind::Output { text, .. } => *text = self.masks.text(text),
            EventKind::Failed { message, .. }
            | EventKind::Skipped { message, .. }
            | EventKind::Finished { message, .. } => *message = self.masks.text(message),
            EventKind::Started { .. } | EventKind::Waiting { .. } | EventKind::Succeeded { .. } => {
            }
        }
        Event { time, run: Arc::clone(&self.run), kind }
    }

    /// What is to be told of news of a step.
    pub fn step(&mut self, news: &StepNews, now: Timestamp) -> Vec<Event> {
        let step = &news.step;
        let told = self.steps.entry(step.to_string()).or_default();
        let kinds = match &news.news {
            News::Started => told.start(step),
            News::Output { stream, bytes } => told.output(step, *stream, bytes, &self.masks),
            News::Ended(status) => match TaskEnding::of(status) {
                Some(ending) => told.end(step, ending),
                None => Vec::new(),
            },
        };
        kinds.into_iter().map(|kind| self.event(now, kind)).collect()
    }

    /// What is to be told of a gate: a status comes later than the steps behind it.
    pub(crate) fn gate(&mut self, gate: &CustomRun, now: Timestamp) -> Vec<Event> {
        let Some(GateDecision { step, reason, message, .. }) = GateDecision::of(gate) else {
            return Vec::new();
        };
        let is_approval = self.approvals.contains(&step);
        let told = self.steps.entry(step.clone()).or_default();
        let kinds = told.gate(&step.as_str().into(), is_approval, reason, message);
        kinds.into_iter().map(|kind| self.event(now, kind)).collect()
    }

    /// Which steps have begun, by a status, where nobody brings news of that.
    pub fn begun(&mut self, status: &RunStatus, now: Timestamp) -> Vec<Event> {
        let begun = status
            .steps
            .iter()
            .filter(|step| step.start_time.is_some() && !self.approvals.contains(&step.name));
        let mut kinds = Vec::new();
        for step in begun {
            let told = self.steps.entry(step.name.clone()).or_default();
            kinds.extend(told.start(&step.name.as_str().into()));
        }
        kinds.into_iter().map(|kind| self.event(now, kind)).collect()
    }

    /// What is to be told when the run has a new status. News of steps that were there before have
    /// to be told before.
    pub fn status(&mut self, status: &RunStatus, now: Timestamp) -> Vec<Event> {
        let mut events = Vec::new();
        for step in &status.steps {
            let told = self.steps.entry(step.name.clone()).or_default();
            let kinds = told.status(step);
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
    fn start(&mut self, step: &Arc<str>) -> Vec<EventKind> {
        if std::mem::replace(&mut self.started, true) {
            return Vec::new();
        }
        vec![EventKind::Started { step: Arc::clone(step) }]
    }

    fn output(
        &mut self,
        step: &Arc<str>,
        stream: Stream,
        bytes: &[u8],
        masks: &Masks,
    ) -> Vec<EventKind> {
        let lines = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let output = |text| EventKind::Output { step: Arc::clone(step), stream, text };
        lines.push(bytes, masks).into_iter().map(output).collect()
    }

    /// What its program wrote without an end of line, and that it ended.
    fn end(&mut self, step: &Arc<str>, ending: TaskEnding) -> Vec<EventKind> {
        if std::mem::replace(&mut self.ended, true) {
            return Vec::new();
        }
        let mut kinds = Vec::new();
        for (stream, lines) in
            [(Stream::Stdout, &mut self.stdout), (Stream::Stderr, &mut self.stderr)]
        {
            let output = |text| EventKind::Output { step: Arc::clone(step), stream, text };
            kinds.extend(lines.take().map(output));
        }
        let step = Arc::clone(step);
        let TaskEnding { succeeded, exit_code, reason, message, .. } = ending;
        kinds.push(if succeeded {
            EventKind::Succeeded { step }
        } else {
            EventKind::Failed { step, exit_code, reason, message }
        });
        kinds
    }

    /// That an approval was given, or that the step is left out.
    fn gate(
        &mut self,
        step: &Arc<str>,
        is_approval: bool,
        reason: GateReason,
        message: String,
    ) -> Vec<EventKind> {
        let is_run = reason.decision() == Decision::Run;
        if (is_run && !is_approval) || std::mem::replace(&mut self.ended, true) {
            return Vec::new();
        }
        let mut kinds = Vec::new();
        // A question may be over before its asking was seen.
        if reason == GateReason::Expired && !std::mem::replace(&mut self.waiting, true) {
            kinds.push(EventKind::Waiting { step: Arc::clone(step) });
        }
        let step = Arc::clone(step);
        kinds.push(match is_run {
            true => EventKind::Succeeded { step },
            false => {
                let reason = reason.as_str().to_owned();
                EventKind::Skipped { step, reason, message }
            }
        });
        kinds
    }

    /// What only the status tells: questions, skips, and what became of steps without a task.
    fn status(&mut self, status: &StepStatus) -> Vec<EventKind> {
        if self.ended {
            return Vec::new();
        }
        let mut kinds = Vec::new();
        let step: Arc<str> = status.name.as_str().into();
        let completed = status.condition("Completed");
        let succeeded = status.condition("Succeeded");
        let text = |text: Option<&String>| text.cloned().unwrap_or_default();
        let reason = text(succeeded.and_then(|c| c.reason.as_ref()));
        let message = text(succeeded.and_then(|c| c.message.as_ref()));
        let asks = completed.and_then(|c| c.reason.as_deref()) == Some("WaitingForApproval");
        // A question may be over before its asking was seen.
        let asked = reason == "Expired";
        if (asks || asked) && !std::mem::replace(&mut self.waiting, true) {
            kinds.push(EventKind::Waiting { step: Arc::clone(&step) });
        }
        if !completed.is_some_and(Condition::is_true) {
            return kinds;
        }
        self.ended = true;
        kinds.push(if status.condition("Skipped").is_some_and(Condition::is_true) {
            EventKind::Skipped { step, reason, message }
        } else if succeeded.is_some_and(Condition::is_true) {
            EventKind::Succeeded { step }
        } else {
            EventKind::Failed { step, exit_code: None, reason, message }
        });
        kinds
    }
}
