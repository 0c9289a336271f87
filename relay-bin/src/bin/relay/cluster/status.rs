//! `relay status`.

use std::io::{self, Write};

use clap::Args;
use console::measure_text_width;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use kube::api::ListParams;
use relay_local::{Outcome, Phase};
use relay_model::v1beta1::{Condition, Run, RunStatus};
use serde_json::{Value, json};

use super::follow::Shown;
use super::{Cluster, Problem, Target, screen};
use crate::advice::cluster_advice;
use crate::duration::short;
use crate::screen::{Paint, one_line};
use crate::summary::{Summary, Times};
use crate::{Globals, Out};

const HEADER: [&str; 6] = ["RUN", "WORKFLOW", "STATE", "STEPS", "AGE", "TOOK"];

/// What `relay status` is told.
#[derive(Debug, Default, Args)]
pub(crate) struct Options {
    /// The run; all of the namespace where none is named
    run: Option<String>,
    /// Go on until the run has ended, and end with its exit code; on a terminal, ask what it asks
    #[arg(short, long, requires = "run")]
    follow: bool,
}

impl Options {
    /// The run that is to be followed to its end.
    pub(crate) fn followed(&self) -> Option<&str> {
        self.run.as_deref().filter(|_| self.follow)
    }

    /// One run, as it is now.
    pub(crate) fn of(target: Target) -> Self {
        Self { run: Some(target.run), follow: false }
    }
}

/// Follows a run to its end; the exit code.
pub(crate) async fn follow(cluster: &Cluster, name: &str, globals: Globals) -> Result<u8, Problem> {
    let run = cluster.run(name).await?;
    let workflow = cluster.workflow_of(&run).await;
    screen::to_the_end(cluster, &run, workflow.as_ref(), Shown::States, globals).await
}

/// Shows one run, or all.
pub(crate) async fn status(
    cluster: &Cluster,
    options: &Options,
    out: Out,
    paint: Paint,
    to: &mut impl Write,
) -> Result<io::Result<()>, Problem> {
    let now = Timestamp::now();
    if let Some(name) = &options.run {
        return Ok(one(&cluster.run(name).await?, out, paint, now, to));
    }
    let failed = Problem::api(format!("list the runs of namespace {:?}", cluster.namespace));
    let list = cluster.runs().list(&ListParams::default()).await.map_err(failed)?;
    let mut runs = list.items;
    // The latest is what people look for.
    runs.sort_by_key(|run| (std::cmp::Reverse(created(run)), run.name_any()));
    Ok(all(&runs, &cluster.namespace, out, paint, now, to))
}

fn one(run: &Run, out: Out, paint: Paint, now: Timestamp, to: &mut dyn Write) -> io::Result<()> {
    let (empty, name) = (RunStatus::default(), run.name_any());
    let status = run.status.as_ref().unwrap_or(&empty);
    let times = Times::of(status, now);
    let summary = Summary { phase: Phase::of(status), status, times: &times };
    match out {
        Out::Text => summary.text(&name, &cluster_advice(&name), paint, to),
        Out::Json => {
            let head = json!({
                "run": name,
                "workflow": run.spec.workflow_ref.name,
                "state": summary.phase.to_string(),
                "message": message(status, &summary.phase),
                "created": created(run),
            });
            writeln!(to, "{}", summary.json(head))
        }
    }
}

fn all(
    runs: &[Run],
    namespace: &str,
    out: Out,
    paint: Paint,
    now: Timestamp,
    to: &mut dyn Write,
) -> io::Result<()> {
    if out == Out::Json {
        let list: Vec<_> = runs.iter().map(|run| row_json(run, now)).collect();
        return writeln!(to, "{}", Value::from(list));
    }
    if runs.is_empty() {
        return writeln!(to, "there are no runs in namespace {namespace:?}");
    }
    let rows: Vec<_> = runs.iter().map(|run| row(run, now)).collect();
    let mut widths = HEADER.map(str::len);
    for (cells, _) in &rows {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = measure_text_width(cell).max(*width);
        }
    }
    let mut line = |cells: [String; 6], phase: Option<&Phase>| {
        let mut text = String::new();
        for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
            let filler = width.saturating_sub(measure_text_width(cell));
            let cell = match phase {
                Some(phase) if index == 2 => painted(phase, paint),
                _ => cell.clone(),
            };
            text.push_str(&format!("{cell}{:filler$}  ", ""));
        }
        writeln!(to, "{}", text.trim_end())
    };
    line(HEADER.map(str::to_owned), None)?;
    rows.into_iter().try_for_each(|(cells, phase)| line(cells, Some(&phase)))
}

fn row(run: &Run, now: Timestamp) -> ([String; 6], Phase) {
    let empty = RunStatus::default();
    let status = run.status.as_ref().unwrap_or(&empty);
    let phase = Phase::of(status);
    let took = Times::of(status, now).run().map(short).unwrap_or_default();
    let age = created(run).map(|created| format!("{:#}", whole(now.duration_since(created))));
    let cells = [
        run.name_any(),
        one_line(&run.spec.workflow_ref.name).into_owned(),
        phase.to_string(),
        format!("{}/{}", done(status), status.steps.len()),
        age.unwrap_or_default(),
        took,
    ];
    (cells, phase)
}

fn row_json(run: &Run, now: Timestamp) -> Value {
    let empty = RunStatus::default();
    let status = run.status.as_ref().unwrap_or(&empty);
    let phase = Phase::of(status);
    let took = Times::of(status, now).run();
    json!({
        "run": run.name_any(),
        "workflow": run.spec.workflow_ref.name,
        "state": phase.to_string(),
        "message": message(status, &phase),
        "steps": status.steps.len(),
        "done": done(status),
        "created": created(run),
        "durationMs": took.map(|took| took.as_millis().to_string().parse::<u64>().unwrap_or(0)),
    })
}

fn created(run: &Run) -> Option<Timestamp> {
    run.creation_timestamp().map(|time| time.0)
}

/// Ages are known to the second.
fn whole(duration: SignedDuration) -> SignedDuration {
    SignedDuration::from_secs(duration.as_secs().max(0))
}

fn done(status: &RunStatus) -> usize {
    let is_done = |step: &&relay_model::v1beta1::StepStatus| {
        step.condition("Completed").is_some_and(Condition::is_true)
    };
    status.steps.iter().filter(is_done).count()
}

/// What the run waits for, or why it ended so.
fn message(status: &RunStatus, phase: &Phase) -> String {
    match phase {
        Phase::Waiting { message, .. } => message.clone(),
        _ => {
            let succeeded = status.condition("Succeeded");
            succeeded.and_then(|condition| condition.message.clone()).unwrap_or_default()
        }
    }
}

fn painted(phase: &Phase, paint: Paint) -> String {
    match phase {
        Phase::Ended(Outcome::Succeeded) => paint.good(phase),
        Phase::Ended(Outcome::Failed) => paint.bad(phase),
        Phase::Running => paint.active(phase),
        _ => paint.attention(phase),
    }
}
