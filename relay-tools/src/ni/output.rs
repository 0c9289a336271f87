//! `ni output set`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::{Args, Subcommand};

use super::error::NiError;
use super::{Printed, Settings};
use crate::client::{Retry, transfer};

#[derive(Debug, Subcommand)]
pub(super) enum Output {
    /// Set an output
    Set(Set),
}

#[derive(Debug, Args)]
pub(super) struct Set {
    /// The name of the output
    #[arg(short, long, allow_hyphen_values = true)]
    key: String,
    /// Its value
    #[arg(short, long, allow_hyphen_values = true, default_value = "")]
    value: OsString,
    /// Read the value as JSON
    #[arg(long)]
    json: bool,
    /// Do not show the output in the status of the run
    #[arg(long)]
    sensitive: bool,
    #[arg(hide = true)]
    surplus: Vec<OsString>,
}

impl Output {
    pub(super) async fn run(self, settings: &Settings) -> Result<Printed, NiError> {
        match self {
            Self::Set(set) => set.run(settings).await,
        }
    }
}

impl Set {
    async fn run(self, settings: &Settings) -> Result<Printed, NiError> {
        let Self { key, value, .. } = self;
        let value = value.as_bytes();
        let value = if self.json {
            transfer::parse(value).map_err(|reason| NiError::NoJson { reason })?
        } else {
            transfer::encode(value)
        };
        let client = settings.client()?;
        if self.sensitive {
            // First, so that the value is never there without its mark.
            let once = client.clone().retrying(Retry::never());
            once.put_output_metadata(&key, true).await?;
        }
        client.put_output(&key, &value).await?;
        Ok(Printed::stdout(format!("Successfully set output for {key:?}.\n")))
    }
}
