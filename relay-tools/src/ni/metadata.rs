//! `ni metadata retrieve environment`.

use std::ffi::OsString;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::error::NiError;
use super::get::text;
use super::{Printed, go_json};
use crate::client::MetadataClient;

#[derive(Debug, Subcommand)]
pub(super) enum Metadata {
    /// Print what is known
    #[command(subcommand, alias = "get")]
    Retrieve(Retrieve),
}

#[derive(Debug, Subcommand)]
pub(super) enum Retrieve {
    /// Print variables of the step's environment
    #[command(subcommand, alias = "env")]
    Environment(Environment),
}

#[derive(Debug, Subcommand)]
pub(super) enum Environment {
    /// Print all as JSON
    #[command(alias = "vars")]
    Variables(Variables),
    /// Print the value of one
    #[command(alias = "var")]
    Variable(Variable),
}

#[derive(Debug, Args)]
pub(super) struct Variables {
    #[arg(hide = true)]
    surplus: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(super) struct Variable {
    /// The name of the variable
    name: String,
    #[arg(hide = true)]
    surplus: Vec<OsString>,
}

impl Metadata {
    pub(super) async fn run(self, client: &MetadataClient) -> Result<Printed, NiError> {
        let Self::Retrieve(Retrieve::Environment(environment)) = self;
        Ok(Printed::stdout(match environment {
            Environment::Variables(_) => match client.environment().await?.value {
                all @ Value::Object(_) => go_json::compact(&all),
                _ => {
                    let reason = "the environment is not a map";
                    return Err(NiError::Answer { reason });
                }
            },
            Environment::Variable(variable) => text(&client.variable(&variable.name).await?),
        }))
    }
}
