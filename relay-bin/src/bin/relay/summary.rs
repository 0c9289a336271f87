//! What became of a run.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};

use console::measure_text_width;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use relay_local::{Event, Outcome, Phase};
use relay_model::v1beta1::{Condition, OutputStatus, RunStatus, StepStatus};
use serde_json::{Value, json};

use crate::duration::short;
use crate::screen::{Paint, one_line};
use crate::{Out, print};

/// The reason for which a step goes on that waits for an answer.
pub(crate) const ASKING: &str = "WaitingForApproval";
/// What stands in the place of an output that is to be kept out of sight.
const MASK: &str = "***";
/// The longest value that is shown to people in full, in characters.
const LONGEST_VALUE: usize = 200;
/// How many steps advice is given for.
const ADVISED: usize = 5;

/// When the steps of a run began and ended, from its events: a status has whole seconds only.
#[derive(Debug, Default)]
pub(crate) struct Times {
    steps: HashMap<String, (Timestamp, Timestamp)>,
    run: Option<(Timestamp, Timestamp)>,
}

impl Times {
    pub(crate) fn see(&mut self, event: &Event) {
        let time = event.time;
        self.run = Some((self.run.map_or(time, |(start, _)| start), time));
        if let Some(step) = event.kind.step() {
            match self.steps.get_mut(step) {
                Some((_, end)) => *end = time,
                None => drop(self.steps.insert(step.to_owned(), (time, time))),
            }
        }
    }

    /// The times that a status has, where no events were seen; what goes on has lasted until now.
    pub(crate) fn of(status: &RunStatus, now: Timestamp) -> Self {
        let span = |start: &Option<Time>, end: &Option<Time>| {
            let start = start.as_ref()?.0;
            Some((start, end.as_ref().map_or(now.max(start), |end| end.0)))
        };
        let steps = status.steps.iter().filter_map(|step| {
            Some((step.name.clone(), span(&step.start_time, &step.completion_time)?))
        });
        Self { steps: steps.collect(), run: span(&status.start_time, &status.completion_time) }
    }

    pub(crate) fn run(&self) -> Option<SignedDuration> {
        self.run.map(|(start, end)| end.duration_since(start))
    }

    fn step(&self, name: &str) -> Option<SignedDuration> {
        self.steps.get(name).map(|(start, end)| end.duration_since(*start))
    }
}

/// Where a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Asking,
    Running,
    Succeeded,
    Failed,
    Skipped,
}

impl State {
    /// Of a run that has ended no step goes on.
    fn of(step: &StepStatus, run_has_ended: bool) -> Self {
        let is = |kind| step.condition(kind).is_some_and(Condition::is_true);
        let has_ended = run_has_ended || is("Completed");
        if is("Skipped") {
            Self::Skipped
        } else if is("Succeeded") {
            Self::Succeeded
        } else if has_ended {
            Self::Failed
        } else if step.waits_for_approval() {
            Self::Asking
        } else if step.start_time.is_some() {
            Self::Running
        } else {
            Self::Waiting
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Waiting | Self::Asking => "waiting",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    fn painted(self, paint: Paint) -> String {
        let word = format_args!("{:<9}", self.as_str());
        match self {
            Self::Succeeded => paint.good(word),
            Self::Failed => paint.bad(word),
            Self::Waiting | Self::Skipped => paint.dim(word),
            Self::Asking => paint.attention(word),
            Self::Running => paint.active(word),
        }
    }
}

/// What to do about a step: of its name, whether it failed, a word that says why, and a sentence.
pub(crate) type Advise<'a> = dyn Fn(&str, bool, &str, &str) -> Option<String> + 'a;

/// What became of a run, or has become so far.
#[derive(Clone, Debug)]
pub(crate) struct Summary<'s> {
    pub(crate) phase: Phase,
    pub(crate) status: &'s RunStatus,
    pub(crate) times: &'s Times,
}

impl Summary<'_> {
    /// For people: a line for each step with its outputs below, one for the run, and what to do
    /// about what went wrong.
    pub(crate) fn text(
        &self,
        run: &str,
        advise: &Advise<'_>,
        paint: Paint,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let Self { phase, status, times } = self;
        let width = status.steps.iter().map(|step| measure_text_width(&step.name)).max();
        let width = width.unwrap_or_default();
        writeln!(out)?;
        for step in &status.steps {
            let filler = width.saturating_sub(measure_text_width(&step.name));
            let (state, detail) = self.result(step);
            let (state, detail) = (state.painted(paint), one_line(&detail));
            let line = format!("{}{:filler$}  {state}  {detail}", step.name, "");
            writeln!(out, "{}", line.trim_end())?;
            for output in &step.outputs {
                let text = format!("{} = {}", one_line(&output.name), shown(output));
                writeln!(out, "{:width$}  {}", "", paint.dim(text))?;
            }
        }
        let took = times.run().map(|took| format!(" in {}", short(took))).unwrap_or_default();
        let succeeded = status.condition("Succeeded");
        let why = match phase {
            Phase::Waiting { message, .. } => Some(message.as_str()),
            Phase::Pending => Some("no operator has taken it up yet"),
            _ => succeeded.and_then(|condition| condition.message.as_deref()),
        };
        let why = why.filter(|message| !message.is_empty());
        let why = why.map(|message| format!(" ({})", one_line(message))).unwrap_or_default();
        let word = match phase {
            Phase::Ended(Outcome::Succeeded) => paint.good(phase),
            Phase::Ended(Outcome::Failed) => paint.bad(phase),
            Phase::Running => paint.active(phase),
            _ => paint.attention(phase),
        };
        writeln!(out, "run {run} {word}{took}{why}")?;
        let advised = status.steps.iter().filter_map(|step| {
            let (reason, message) = cause(step);
            match self.state(step) {
                State::Asking => advise(&step.name, false, ASKING, ""),
                state => advise(&step.name, state == State::Failed, reason, message),
            }
        });
        for advice in advised.take(ADVISED) {
            writeln!(out, "{} {}", paint.attention("next:"), one_line(&advice))?;
        }
        Ok(())
    }

    fn state(&self, step: &StepStatus) -> State {
        State::of(step, self.phase.outcome().is_some())
    }

    fn result(&self, step: &StepStatus) -> (State, String) {
        let state = self.state(step);
        let took = self.times.step(&step.name).map(short).unwrap_or_default();
        let (reason, message) = cause(step);
        let detail = match state {
            State::Waiting => String::new(),
            State::Asking => "waits for an answer".to_owned(),
            State::Succeeded | State::Running => took,
            State::Failed => format!("{took}  {message}").trim_start().to_owned(),
            State::Skipped if message.is_empty() => reason.to_owned(),
            State::Skipped => message.to_owned(),
        };
        (state, detail)
    }

    /// Prints it at the end of a run: for people on standard error, for programs as the last event.
    pub(crate) fn print(
        &self,
        run: &str,
        advise: &Advise<'_>,
        paint: Paint,
        out: Out,
        last: Value,
    ) -> io::Result<()> {
        if out == Out::Json {
            return writeln!(io::stdout().lock(), "{}", self.json(last));
        }
        let mut stderr = BufWriter::new(io::stderr().lock());
        // There is nobody left to tell that standard error is gone.
        let _ = self.text(run, advise, paint, &mut stderr).and_then(|()| stderr.flush());
        Ok(())
    }

    /// For programs: the last event, with what became of all steps.
    pub(crate) fn json(&self, mut last: Value) -> Value {
        let Self { status, times, .. } = self;
        let steps = status.steps.iter().map(|step| {
            let (reason, message) = cause(step);
            json!({
                "name": step.name,
                "state": self.state(step).as_str(),
                "reason": reason,
                "message": message,
                "durationMs": times.step(&step.name).map(milliseconds).unwrap_or_default(),
                "outputs": step.outputs.iter().map(output_json).collect::<Vec<_>>(),
            })
        });
        if let Value::Object(members) = &mut last {
            let took = times.run().map(milliseconds).unwrap_or_default();
            members.insert("durationMs".to_owned(), took.into());
            members.insert("steps".to_owned(), steps.collect());
        }
        last
    }
}

/// The last event of a workflow without steps, for programs.
pub(crate) fn nothing_to_do(time: Timestamp) -> Value {
    json!({
        "time": time,
        "event": "finished",
        "outcome": Outcome::Succeeded.to_string(),
        "message": "nothing to do: the workflow has no steps",
        "durationMs": 0,
        "steps": [],
    })
}

/// The last event of a run that was left before it had ended, for programs: what became of its steps
/// nobody waited for.
pub(crate) fn left(event: &Event) -> Value {
    let mut last = print::event_json(event);
    if let Value::Object(members) = &mut last {
        members.insert("steps".to_owned(), json!([]));
    }
    last
}

fn milliseconds(duration: SignedDuration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or_default()
}

fn output_json(output: &OutputStatus) -> Value {
    if output.sensitive {
        return json!({"name": output.name, "sensitive": true, "value": MASK});
    }
    json!(output)
}

/// Why a step ended as it did: a word and a sentence.
fn cause(step: &StepStatus) -> (&str, &str) {
    let succeeded = step.condition("Succeeded");
    let part = |part: fn(&Condition) -> Option<&String>| {
        succeeded.and_then(part).map(String::as_str).unwrap_or_default()
    };
    (part(|condition| condition.reason.as_ref()), part(|condition| condition.message.as_ref()))
}

/// The value of an output on one line, cut where it is long.
fn shown(output: &OutputStatus) -> String {
    if output.sensitive {
        return MASK.to_owned();
    }
    if let Some(note) = &output.omitted {
        return format!("({note})");
    }
    let json = output.value.to_json();
    let length = json.chars().count();
    if length <= LONGEST_VALUE {
        return json;
    }
    let head: String = json.chars().take(LONGEST_VALUE).collect();
    format!("{head}… (cut, {length} characters; `--out json` shows all)")
}

#[cfg(test)]
mod tests;
