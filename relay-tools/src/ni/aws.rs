//! `ni aws`.

use std::os::unix::ffi::OsStrExt;

use clap::Subcommand;

use super::error::NiError;
use super::files::{self, Directory};
use super::part::Part;
use super::{Printed, Settings, shell};

/// Everybody may know the region.
const PUBLIC: u32 = 0o644;

#[derive(Debug, Subcommand)]
pub(super) enum Aws {
    /// Write the files from which the tools of AWS take keys and region
    Config(Directory),
    /// Print shell commands which lead the tools of AWS to these files
    Env(Directory),
}

impl Aws {
    pub(super) async fn run(self, settings: &Settings) -> Result<Printed, NiError> {
        let default = settings.workspace.join(".aws");
        match self {
            Self::Config(directory) => {
                let Some(aws) = Part::fetch(&settings.client()?, "aws").await? else {
                    return Ok(Printed::default());
                };
                let (credentials, config) = profile(aws)?;
                let dir = directory.or(default);
                files::write(&dir.join("credentials"), credentials.as_bytes(), files::PRIVATE)?;
                files::write(&dir.join("config"), config.as_bytes(), PUBLIC)?;
                Ok(Printed::default())
            }
            Self::Env(directory) => {
                let dir = directory.or(default);
                let mut script = Vec::new();
                for (name, file) in
                    [("AWS_CONFIG_FILE", "config"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials")]
                {
                    shell::export(&mut script, name, dir.join(file).as_os_str().as_bytes());
                }
                Ok(Printed::stdout(script))
            }
        }
    }
}

/// The texts of both files.
fn profile(aws: Part) -> Result<(String, String), NiError> {
    let aws = aws.with_connection()?;
    let [id, secret] = ["accessKeyID", "secretAccessKey"];
    let credentials = match (aws.line(id)?, aws.line(secret)?) {
        (None, Some(_)) => return Err(aws.missing(id)),
        (Some(_), None) => return Err(aws.missing(secret)),
        (key, secret) => section([
            ("aws_access_key_id", key),
            ("aws_secret_access_key", secret),
            ("aws_session_token", aws.line("sessionToken")?),
        ]),
    };
    Ok((credentials, section([("region", aws.line("region")?)])))
}

// A key without a value would be taken for one; without the line, tools look elsewhere.
fn section<const N: usize>(settings: [(&str, Option<String>); N]) -> String {
    let mut text = "[default]\n".to_owned();
    for (name, value) in settings {
        if let Some(value) = value {
            text.extend([name, " = ", &value, "\n"]);
        }
    }
    text
}
