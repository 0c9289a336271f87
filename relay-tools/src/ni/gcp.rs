//! `ni gcp`.

use std::os::unix::ffi::OsStrExt;

use clap::Subcommand;

use super::error::NiError;
use super::files::{self, Directory};
use super::part::Part;
use super::{Printed, Settings, shell};

const FILE: &str = "credentials.json";
/// Not even its owner changes the key by mistake.
const FIXED: u32 = 0o400;

#[derive(Debug, Subcommand)]
pub(super) enum Gcp {
    /// Write the key of a service account for the tools of Google Cloud
    Config(Directory),
    /// Print a shell command which leads the tools of Google Cloud to the key
    Env(Directory),
}

impl Gcp {
    pub(super) async fn run(self, settings: &Settings) -> Result<Printed, NiError> {
        let default = settings.workspace.clone();
        match self {
            Self::Config(directory) => {
                const KEY: &str = "serviceAccountKey";
                let Some(google) = Part::fetch(&settings.client()?, "google").await? else {
                    return Ok(Printed::default());
                };
                let google = google.with_connection()?;
                let key = google.document(KEY)?.ok_or_else(|| google.missing(KEY))?;
                files::write(&directory.or(default).join(FILE), &key, FIXED)?;
                Ok(Printed::default())
            }
            Self::Env(directory) => {
                let path = directory.or(default).join(FILE);
                let mut script = Vec::new();
                let name = "GOOGLE_APPLICATION_CREDENTIALS";
                shell::export(&mut script, name, path.as_os_str().as_bytes());
                Ok(Printed::stdout(script))
            }
        }
    }
}
