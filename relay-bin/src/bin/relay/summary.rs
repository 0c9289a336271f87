//! What became of a run.

use std::collections::HashMap;
use std::io::{self, Write};

use console::measure_text_width;
use jiff::{SignedDuration, Timestamp};
use relay_local::{Event, Outcome};
use relay_model::v1beta1::{Condition, OutputStatus, RunStatus, StepStatus};
use serde_json::{Value, json};

use crate::advice::advice;
use crate::duration::short;
use crate::outline::Outline;
use crate::print;
use crate::screen::{Paint, one_line};

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

    fn run(&self) -> Option<SignedDuration> {
        self.run.map(|(start, end)| end.duration_since(start))
    }

    fn step(&self, name: &str) -> Option<SignedDuration> {
        self.steps.get(name).map(|(start, end)| end.duration_since(*start))
    }
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Succeeded,
    Failed,
    Skipped,
}

impl Ending {
    fn of(step: &StepStatus) -> Self {
        let is = |kind| step.condition(kind).is_some_and(Condition::is_true);
        if is("Skipped") {
            Self::Skipped
        } else if is("Succeeded") {
            Self::Succeeded
        } else {
            Self::Failed
        }
    }

    fn as_str(self) -> &'static str {
        match self {
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
            Self::Skipped => paint.dim(word),
        }
    }
}

/// What became of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Summary<'s> {
    pub(crate) outcome: Outcome,
    pub(crate) status: &'s RunStatus,
    pub(crate) times: &'s Times,
}

impl Summary<'_> {
    /// For people: a line for each step with its outputs below, one for the run, and what to do
    /// about what went wrong.
    pub(crate) fn text(
        &self,
        run: &str,
        outline: &Outline,
        paint: Paint,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let Self { outcome, status, times } = self;
        let width = status.steps.iter().map(|step| measure_text_width(&step.name)).max();
        let width = width.unwrap_or_default();
        writeln!(out)?;
        for step in &status.steps {
            let filler = width.saturating_sub(measure_text_width(&step.name));
            let (ending, detail) = result(step, times);
            let (ending, detail) = (ending.painted(paint), one_line(&detail));
            let line = format!("{}{:filler$}  {ending}  {detail}", step.name, "");
            writeln!(out, "{}", line.trim_end())?;
            for output in &step.outputs {
                let text = format!("{} = {}", one_line(&output.name), shown(output));
                writeln!(out, "{:width$}  {}", "", paint.dim(text))?;
            }
        }
        let took = times.run().map(|took| format!(" in {}", short(took))).unwrap_or_default();
        let succeeded = status.condition("Succeeded");
        let why = succeeded.and_then(|condition| condition.message.as_deref());
        let why = why.map(|message| format!(" ({})", one_line(message))).unwrap_or_default();
        let word = match outcome {
            Outcome::Succeeded => paint.good(outcome),
            Outcome::Failed => paint.bad(outcome),
            _ => paint.attention(outcome),
        };
        writeln!(out, "run {run} {word}{took}{why}")?;
        let advised = status.steps.iter().filter_map(|step| {
            let (reason, message) = cause(step);
            let failed = Ending::of(step) == Ending::Failed;
            advice(&step.name, failed, reason, message, &outline.place(&step.name))
        });
        for advice in advised.take(ADVISED) {
            writeln!(out, "{} {}", paint.attention("next:"), one_line(&advice))?;
        }
        Ok(())
    }

    /// For programs: the last event, with what became of all steps.
    pub(crate) fn json(&self, mut last: Value) -> Value {
        let Self { status, times, .. } = self;
        let steps = status.steps.iter().map(|step| {
            let (reason, message) = cause(step);
            json!({
                "name": step.name,
                "state": Ending::of(step).as_str(),
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

fn result(step: &StepStatus, times: &Times) -> (Ending, String) {
    let ending = Ending::of(step);
    let took = times.step(&step.name).map(short).unwrap_or_default();
    let (reason, message) = cause(step);
    let detail = match ending {
        Ending::Succeeded => took,
        Ending::Failed => format!("{took}  {message}").trim_start().to_owned(),
        Ending::Skipped if message.is_empty() => reason.to_owned(),
        Ending::Skipped => message.to_owned(),
    };
    (ending, detail)
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
