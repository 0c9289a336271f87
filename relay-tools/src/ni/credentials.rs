//! `ni credentials`.

use clap::Subcommand;

use super::error::NiError;
use super::files::{self, Directory};
use super::part::Part;
use super::{Printed, Settings};

#[derive(Debug, Subcommand)]
pub(super) enum Credentials {
    /// Write one file for each credential
    Config(Directory),
}

impl Credentials {
    pub(super) async fn run(self, settings: &Settings) -> Result<Printed, NiError> {
        let Self::Config(directory) = self;
        let Some(credentials) = Part::fetch(&settings.client()?, "credentials").await? else {
            return Ok(Printed::default());
        };
        let dir = directory.or(settings.workspace.clone());
        let mut files = Vec::new();
        for (name, content) in credentials.documents()? {
            files.push((files::below(&dir, name)?, content));
        }
        // All of them are known to be good before the first is written.
        for (path, content) in files {
            files::write(&path, &content, files::PRIVATE)?;
        }
        Ok(Printed::default())
    }
}
