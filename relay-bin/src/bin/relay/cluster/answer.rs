//! `relay approve`, `relay reject` and `relay cancel`.

use std::io::{self, Write};

use clap::Args;
use kube::api::{Patch, PatchParams};
use relay_model::v1beta1::Answer;
use serde_json::{Value, json};

use super::{Cluster, MANAGER, Problem};
use crate::Out;

/// A step of a run.
#[derive(Debug, Args)]
pub(crate) struct Step {
    /// The run
    run: String,
    /// The approval
    step: String,
}

/// A run.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The run
    pub(super) run: String,
}

/// What is asked of a run.
#[derive(Debug)]
pub(crate) enum Asked<'a> {
    Answer(Answer, &'a Step),
    Cancel(&'a Target),
}

/// Asks it, and says so.
pub(crate) async fn ask(
    cluster: &Cluster,
    asked: Asked<'_>,
    out: Out,
    to: &mut impl Write,
) -> Result<io::Result<()>, Problem> {
    let name = match &asked {
        Asked::Answer(_, step) => &step.run,
        Asked::Cancel(target) => &target.run,
    };
    match &asked {
        Asked::Answer(given, Step { step, .. }) => answer(cluster, name, step, *given).await?,
        Asked::Cancel(_) => {
            let patch = cluster.run(name).await?.cancel()?;
            change(cluster, name, patch).await?;
        }
    }
    Ok(match (out, &asked) {
        (Out::Text, Asked::Answer(answer, step)) => {
            writeln!(to, "{} of run {name} {}", step.step, answer.as_str())
        }
        (Out::Text, Asked::Cancel(_)) => writeln!(to, "run {name} is being cancelled"),
        (Out::Json, Asked::Answer(answer, step)) => {
            let answer = answer.as_str();
            writeln!(to, "{}", json!({"run": name, "step": step.step, "answer": answer}))
        }
        (Out::Json, Asked::Cancel(_)) => writeln!(to, "{}", json!({"run": name, "cancel": true})),
    })
}

/// Answers an approval of a run.
pub(super) async fn answer(
    cluster: &Cluster,
    name: &str,
    step: &str,
    answer: Answer,
) -> Result<(), Problem> {
    let run = cluster.run(name).await?;
    let patch = run.answer(cluster.workflow_of(&run).await.as_ref(), step, answer)?;
    change(cluster, name, patch).await
}

async fn change(cluster: &Cluster, name: &str, patch: Value) -> Result<(), Problem> {
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let failed = Problem::api(format!("change run {name:?}"));
    cluster.runs().patch_metadata(name, &params, &Patch::Merge(patch)).await.map_err(failed)?;
    Ok(())
}
