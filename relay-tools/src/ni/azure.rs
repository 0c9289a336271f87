//! `ni azure`.

use std::ffi::OsString;

use clap::{Args, Subcommand};

use super::error::NiError;
use super::part::Part;
use super::{Printed, shell};
use crate::client::MetadataClient;

#[derive(Debug, Subcommand)]
pub(super) enum Azure {
    /// Work with the Azure Resource Manager
    #[command(subcommand)]
    Arm(Arm),
}

#[derive(Debug, Subcommand)]
pub(super) enum Arm {
    /// Print shell commands which set the variables of the Azure Resource Manager
    Env(Env),
}

#[derive(Debug, Args)]
pub(super) struct Env {
    #[arg(hide = true)]
    surplus: Vec<OsString>,
}

impl Azure {
    pub(super) async fn run(self, client: &MetadataClient) -> Result<Printed, NiError> {
        let Self::Arm(Arm::Env(_)) = self;
        let azure = Part::fetch(client, "azure").await?;
        let azure = azure.ok_or(NiError::NoKey { key: "azure" })?.with_connection()?;
        let mut script = Vec::new();
        for (name, member) in [
            ("ARM_CLIENT_ID", "clientID"),
            ("ARM_CLIENT_SECRET", "secret"),
            ("ARM_SUBSCRIPTION_ID", "subscriptionID"),
            ("ARM_TENANT_ID", "tenantID"),
        ] {
            // All four lines are always there: a variable from elsewhere must not fill a gap.
            let value = azure.text(member)?.unwrap_or_default();
            shell::export(&mut script, name, value.as_bytes());
        }
        Ok(Printed::stdout(script))
    }
}
