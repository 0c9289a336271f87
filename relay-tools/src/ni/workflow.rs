//! `ni workflow`.

use std::ffi::OsString;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::error::NiError;
use super::{Printed, Settings, go_json, pairs};
use crate::client::Retry;

#[derive(Debug, Subcommand)]
pub(super) enum Workflow {
    /// Start a run of another workflow
    Run(Run),
}

#[derive(Debug, Args)]
pub(super) struct Run {
    /// The name of the workflow
    #[arg(short, long, allow_hyphen_values = true)]
    name: String,
    /// NAME=VALUE of a parameter, repeated or separated by commas
    #[arg(short, long, allow_hyphen_values = true)]
    parameter: Vec<String>,
    /// json prints what is known of the run
    #[arg(short, long, default_value = "")]
    output: String,
    #[arg(hide = true)]
    surplus: Vec<OsString>,
}

impl Workflow {
    pub(super) async fn run(self, settings: &Settings) -> Result<Printed, NiError> {
        let Self::Run(Run { name, parameter, output, .. }) = self;
        // Everything is checked first: a run cannot be taken back.
        let json = match output.as_str() {
            "" => false,
            "json" => true,
            _ => return Err(NiError::Format { format: output }),
        };
        let parameters: Map<_, _> = pairs::parse("--parameter", &parameter)?
            .into_iter()
            .map(|(key, value)| (key, Value::from(value)))
            .collect();
        // Once: a request without an answer may have started a run all the same.
        let client = settings.client()?.retrying(Retry::never());
        let run = client.run_workflow(&name, &parameters).await?;
        Ok(Printed::stdout(if json {
            go_json::compact(&run)
        } else {
            format!("Successfully ran workflow {name} ({}).\n", run.run_number).into_bytes()
        }))
    }
}
