//! The progress of all steps: events in, lines out.

use std::collections::HashMap;

use console::{Alignment, measure_text_width, pad_str, truncate_str};
use jiff::{SignedDuration, Timestamp};
use relay_local::{Event, EventKind};

use super::paint::{Paint, one_line};
use crate::duration::short;

/// Names longer than this are cut.
const WIDEST_NAME: usize = 32;
/// How many steps are named that a step waits for.
const NAMED: usize = 3;
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// What is known of all steps of a run.
#[derive(Debug)]
pub(crate) struct Tree {
    steps: Vec<Step>,
    positions: HashMap<String, usize>,
    began: Option<Timestamp>,
    cancelling: bool,
}

/// The room on a terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

#[derive(Debug)]
struct Step {
    name: String,
    waits_for: Vec<usize>,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting,
    Asking { since: Timestamp },
    Running { since: Timestamp },
    Succeeded { took: SignedDuration },
    Failed { took: Option<SignedDuration>, why: String },
    Skipped { why: String },
}

impl State {
    fn has_ended(&self) -> bool {
        matches!(self, Self::Succeeded { .. } | Self::Failed { .. } | Self::Skipped { .. })
    }

    fn since(&self) -> Option<Timestamp> {
        match self {
            Self::Asking { since } | Self::Running { since } => Some(*since),
            _ => None,
        }
    }

    /// What is shown first where there is no room for all.
    fn rank(&self) -> usize {
        match self {
            Self::Asking { .. } => 0,
            Self::Running { .. } => 1,
            Self::Failed { .. } => 2,
            Self::Waiting => 3,
            Self::Succeeded { .. } | Self::Skipped { .. } => 4,
        }
    }
}

impl Tree {
    /// Steps in the order in which they are shown, each with the names of those it waits for.
    pub(crate) fn new<'s>(
        steps: impl IntoIterator<Item = (&'s str, &'s [String])> + Clone,
    ) -> Self {
        let names = steps.clone().into_iter().map(|(name, _)| name.to_owned());
        let positions: HashMap<_, _> = names.enumerate().map(|(at, name)| (name, at)).collect();
        let steps = steps.into_iter().map(|(name, waits_for)| Step {
            name: name.to_owned(),
            waits_for: waits_for.iter().filter_map(|name| positions.get(name).copied()).collect(),
            state: State::Waiting,
        });
        Self { steps: steps.collect(), positions, began: None, cancelling: false }
    }

    /// Takes note of an event.
    pub(crate) fn see(&mut self, event: &Event) {
        let time = event.time;
        self.began.get_or_insert(time);
        let position = event.kind.step().and_then(|step| self.positions.get(step));
        let Some(step) = position.and_then(|at| self.steps.get_mut(*at)) else { return };
        let took = step.state.since().map(|since| time.duration_since(since));
        step.state = match &event.kind {
            EventKind::Started { .. } => State::Running { since: time },
            EventKind::Waiting { .. } => State::Asking { since: time },
            EventKind::Succeeded { .. } => State::Succeeded { took: took.unwrap_or_default() },
            EventKind::Failed { reason, message, .. } => {
                State::Failed { took, why: why(message, reason) }
            }
            EventKind::Skipped { reason, message, .. } => {
                State::Skipped { why: why(message, reason) }
            }
            _ => return,
        };
    }

    /// Takes note that the run is being cancelled.
    pub(crate) fn cancel(&mut self) {
        self.cancelling = true;
    }

    /// At most as many lines as there is room for, none of them wider than that.
    pub(crate) fn lines(&self, now: Timestamp, size: Size, paint: Paint) -> Vec<String> {
        let shown = self.shown(room(size.rows).saturating_sub(1));
        let width = shown.iter().map(|step| measure_text_width(&step.name)).max();
        let width = width.unwrap_or_default().min(WIDEST_NAME);
        let rows = shown.iter().map(|step| self.row(step, width, now, paint));
        let rows = rows.chain([self.totals(shown.len(), now, paint)]);
        rows.map(|row| truncate_str(&row, size.columns, "…").into_owned()).collect()
    }

    /// The steps that are shown: all where there is room, otherwise those where something happens.
    fn shown(&self, room: usize) -> Vec<&Step> {
        if self.steps.len() <= room {
            return self.steps.iter().collect();
        }
        let mut ranked: Vec<_> = self.steps.iter().enumerate().collect();
        ranked.sort_by_key(|(at, step)| (step.state.rank(), *at));
        ranked.truncate(room);
        ranked.sort_by_key(|(at, _)| *at);
        ranked.into_iter().map(|(_, step)| step).collect()
    }

    fn row(&self, step: &Step, width: usize, now: Timestamp, paint: Paint) -> String {
        let elapsed = |since: Timestamp| now.duration_since(since).max(SignedDuration::ZERO);
        let (mark, detail) = match &step.state {
            State::Waiting => (paint.dim("·"), paint.dim(self.waits_for(step))),
            State::Asking { since } => (
                paint.attention("?"),
                format!("{} {}", paint.attention("waits for an answer"), short(elapsed(*since))),
            ),
            State::Running { since } => {
                let elapsed = elapsed(*since);
                let frame = usize::try_from(elapsed.as_millis() / 100).unwrap_or_default();
                let frame = SPINNER.get(frame % SPINNER.len()).copied().unwrap_or_default();
                (paint.active(frame), format!("running {}", short(elapsed)))
            }
            State::Succeeded { took } => (paint.good("✓"), paint.dim(short(*took))),
            State::Failed { took, why } => {
                let took = took.map(|took| format!(" {}", paint.dim(short(took))));
                (paint.bad("✗"), format!("{}{}", paint.bad(why), took.unwrap_or_default()))
            }
            State::Skipped { why } => (paint.dim("-"), paint.dim(format!("skipped: {why}"))),
        };
        let name = pad_str(&step.name, width, Alignment::Left, Some("…"));
        format!("{mark} {name}  {detail}")
    }

    fn waits_for(&self, step: &Step) -> String {
        let open = step.waits_for.iter().filter_map(|at| self.steps.get(*at));
        let open: Vec<_> = open.filter(|step| !step.state.has_ended()).collect();
        if open.is_empty() {
            return "waits for its turn".to_owned();
        }
        let names: Vec<_> = open.iter().take(NAMED).map(|step| step.name.as_str()).collect();
        let more = match open.len() - names.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("waits for {}{more}", names.join(", "))
    }

    /// `3 of 6 steps done, 1 failed, 2 running, 1 waiting, 12 not shown, 4.2s`.
    fn totals(&self, shown: usize, now: Timestamp, paint: Paint) -> String {
        let count =
            |is: fn(&State) -> bool| self.steps.iter().filter(|step| is(&step.state)).count();
        let counted = |count: usize, what: &str| (count > 0).then(|| format!("{count} {what}"));
        let done = count(State::has_ended);
        let parts = [
            Some(format!("{done} of {} steps done", self.steps.len())),
            counted(count(|state| matches!(state, State::Failed { .. })), "failed"),
            counted(count(|state| matches!(state, State::Running { .. })), "running"),
            counted(count(|state| matches!(state, State::Asking { .. })), "asking"),
            counted(count(|state| matches!(state, State::Waiting)), "waiting"),
            counted(self.steps.len() - shown, "not shown"),
            self.began.map(|began| short(now.duration_since(began).max(SignedDuration::ZERO))),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        let line = paint.dim(parts.join(", "));
        if self.cancelling {
            let word = paint.attention("cancelling; once more to leave at once");
            return format!("{word} {line}");
        }
        line
    }
}

/// The lines that may be taken of a terminal with this many: the log needs some as well.
fn room(rows: usize) -> usize {
    match rows {
        0..6 => rows.saturating_sub(1).max(1),
        _ => rows - rows / 3,
    }
}

fn why(message: &str, reason: &str) -> String {
    one_line(if message.is_empty() { reason } else { message }).into_owned()
}

#[cfg(test)]
mod tests;
