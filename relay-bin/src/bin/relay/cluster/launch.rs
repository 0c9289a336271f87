//! `relay workflow run`.

use std::io::{self, Write as _};

use clap::Args;
use jiff::SignedDuration;
use kube::ResourceExt as _;
use kube::api::PostParams;
use relay_core::Value;
use relay_model::annotation;
use relay_model::v1beta1::{Run, Workflow};
use serde_json::json;

use super::follow::Shown;
use super::{Cluster, MANAGER, Problem, screen};
use crate::run::{json_pair, limit, pair, wait};
use crate::{Globals, Out, print};

/// Nothing was started.
const NOT_STARTED: u8 = 2;

/// What `relay workflow run` is told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The workflow
    workflow: String,
    /// The value of a parameter; may be repeated, the value may be empty
    #[arg(short, long = "parameter", value_name = "NAME=VALUE", value_parser = pair)]
    parameters: Vec<(String, String)>,
    /// The value of a parameter as JSON, of any type
    #[arg(long = "parameter-json", value_name = "NAME=JSON", value_parser = json_pair)]
    typed_parameters: Vec<(String, Value)>,
    /// How long the run may take, such as 1h30m
    #[arg(long, value_name = "DURATION", value_parser = limit, allow_hyphen_values = true)]
    timeout: Option<SignedDuration>,
    /// How long each step may take
    #[arg(long, value_name = "DURATION", value_parser = limit, allow_hyphen_values = true)]
    step_timeout: Option<SignedDuration>,
    /// How long an approval waits
    #[arg(long, value_name = "DURATION", value_parser = wait, allow_hyphen_values = true)]
    approval_timeout: Option<SignedDuration>,
    /// Wait for the end of the run, and end with its exit code
    #[arg(short, long)]
    wait: bool,
    /// The same, with the log of each step
    #[arg(short, long)]
    follow: bool,
}

/// Creates a run of a workflow, and shows it where that is wanted; the exit code.
pub(crate) async fn launch(cluster: &Cluster, options: &Options, globals: Globals) -> u8 {
    let (workflow, run) = match create(cluster, options).await {
        Ok(created) => created,
        Err(message) => {
            print::error(&message);
            return NOT_STARTED;
        }
    };
    let name = run.name_any();
    if !options.wait && !options.follow {
        let created = match globals.out {
            Out::Text => writeln!(io::stdout(), "run {name} created"),
            Out::Json => {
                let (workflow, namespace) = (workflow.name_any(), run.namespace());
                let created = json!({"run": name, "workflow": workflow, "namespace": namespace});
                writeln!(io::stdout(), "{created}")
            }
        };
        if globals.out == Out::Text {
            print::note(&format!("see it: relay status {name}, relay logs {name} -f"));
        }
        return print::unwritten(created.err()).unwrap_or(0);
    }
    if globals.out == Out::Text {
        print::note(&format!("run {name} created"));
    }
    let shown = if options.follow { Shown::All } else { Shown::States };
    match screen::to_the_end(cluster, &run, Some(&workflow), shown, globals).await {
        Ok(code) => code,
        Err(problem) => {
            print::error(&problem.to_string());
            1
        }
    }
}

pub(super) async fn create(
    cluster: &Cluster,
    options: &Options,
) -> Result<(Workflow, Run), String> {
    let found = cluster.workflow(&options.workflow).await;
    let workflow = found.map_err(|problem| problem.to_string())?;
    let values = workflow.bind(&options.parameters, &options.typed_parameters);
    let values = values.map_err(|findings| {
        let lines: Vec<_> = findings.into_iter().map(|finding| finding.message).collect();
        lines.join("\n       ")
    })?;
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let failed = Problem::api(format!("create a run of workflow {:?}", options.workflow));
    let mut run = workflow.start(values);
    let limits = [
        (annotation::TIMEOUT, options.timeout),
        (annotation::STEP_TIMEOUT, options.step_timeout),
        (annotation::APPROVAL_TIMEOUT, options.approval_timeout),
    ];
    let limits = limits.into_iter().filter_map(|(key, limit)| Some((key, limit?)));
    run.annotations_mut().extend(limits.map(|(key, limit)| (key.to_owned(), format!("{limit:#}"))));
    let run = cluster.runs().create(&params, &run).await;
    let run = run.map_err(|error| failed(error).to_string())?;
    Ok((workflow, run))
}
