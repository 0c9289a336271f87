//! `ni`, the command with which scripts talk to the metadata API.
//!
//! Its output, flags and exit codes are those of the program of the same name that sits in
//! published images; scripts rely on them. It differs where the old one hangs or crashes:
//! answers that will not change end it at once, with a message and exit code 1.
//!
//! Each command is a file here: a struct with its arguments and a `run`.
//!
//! ```
//! use relay_tools::ni;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
//! let code = ni::run(
//!     ["ni", "log", "info", "hello", "world"],
//!     &ni::Settings::default(),
//!     &mut stdout,
//!     &mut stderr,
//! )
//! .await;
//! assert_eq!((code, stdout.as_slice()), (0, b"hello world\n".as_slice()));
//! # }
//! ```

mod aws;
mod azure;
mod cluster;
mod credentials;
mod decorator;
mod doc;
mod error;
mod file;
mod files;
mod gcp;
mod get;
mod git;
mod go_json;
mod log;
mod metadata;
mod output;
mod pairs;
mod part;
mod shell;
mod workflow;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};
use error::NiError;

use crate::client::{AddressError, Authorities, ClientError, Connections, MetadataClient, Retry};

/// The variable that names the directory below which commands write their files, where that is not
/// `/workspace`: a step without a container has a directory of its own.
pub const WORKSPACE: &str = "RELAY_WORKSPACE";

/// What `ni` takes from its surroundings. `Debug` does not show the address.
#[derive(Clone)]
#[non_exhaustive]
pub struct Settings {
    /// The value of `METADATA_API_URL`; may hold a token.
    pub api_url: Option<OsString>,
    /// How long failures that may pass are waited out; five minutes unless told otherwise.
    pub patience: Duration,
    /// Where commands write their files unless told otherwise; `/workspace`, or what [`WORKSPACE`]
    /// says.
    pub workspace: PathBuf,
    /// Whom to trust, where the address is one of `https`.
    pub authorities: Authorities,
    /// The value of `HOME`; keys for SSH are written below.
    pub home: Option<PathBuf>,
}

impl Settings {
    /// The settings that the environment of this process gives.
    pub fn from_env() -> Self {
        Self::from_variables(|name| std::env::var_os(name))
    }

    /// The settings that these variables give: `METADATA_API_URL`, those of
    /// [`Authorities::from_variables`], `HOME` and [`WORKSPACE`]. An empty one is as good as none.
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let default = Self::default();
        Self {
            api_url: set("METADATA_API_URL"),
            authorities: Authorities::from_variables(&variable),
            home: set("HOME").map(PathBuf::from),
            workspace: set(WORKSPACE).map_or(default.workspace, PathBuf::from),
            ..default
        }
    }

    /// The same settings with another address.
    #[must_use]
    pub fn api_url(mut self, url: impl Into<OsString>) -> Self {
        self.api_url = Some(url.into());
        self
    }

    /// The same settings with another limit.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The same settings with another directory for files.
    #[must_use]
    pub fn workspace(mut self, dir: impl Into<PathBuf>) -> Self {
        self.workspace = dir.into();
        self
    }

    /// The same settings with another home directory.
    #[must_use]
    pub fn home(mut self, dir: impl Into<PathBuf>) -> Self {
        self.home = Some(dir.into());
        self
    }

    fn client(&self) -> Result<MetadataClient, NiError> {
        const ATTEMPT: Duration = Duration::from_secs(60);
        let url = match &self.api_url {
            Some(url) if !url.is_empty() => url,
            _ => return Err(NiError::NoAddress),
        };
        let url = url.to_str().ok_or_else(|| {
            ClientError::from(AddressError::Syntax { reason: "it is not UTF-8".to_owned() })
        })?;
        let http = Connections::trusting(self.authorities.clone());
        let client = MetadataClient::with_http(http, url, ATTEMPT)?;
        Ok(client.retrying(Retry::all_but_final(self.patience)))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            api_url: None,
            authorities: Authorities::default(),
            patience: Duration::from_secs(5 * 60),
            workspace: "/workspace".into(),
            home: None,
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("api_url", &self.api_url.is_some())
            .field("patience", &self.patience)
            .field("workspace", &self.workspace)
            .field("home", &self.home)
            .finish()
    }
}

/// What a command prints, and its exit code.
#[derive(Debug, Default)]
struct Printed {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    code: u8,
}

impl Printed {
    fn stdout(bytes: impl Into<Vec<u8>>) -> Self {
        Self { stdout: bytes.into(), ..Self::default() }
    }
}

/// Reads a step's specification and sets its outputs.
#[derive(Debug, Parser)]
#[command(name = "ni", bin_name = "ni")]
struct Ni {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the specification, or a part of it
    Get(get::Get),
    /// Work with the outputs of this step
    #[command(subcommand)]
    Output(output::Output),
    /// Print a line for the log
    #[command(subcommand)]
    Log(log::Log),
    /// Write a part of the specification to a file
    File(file::File),
    /// Work with what is known about this step
    #[command(subcommand, alias = "md")]
    Metadata(metadata::Metadata),
    /// Attach something to this step for people to see
    #[command(subcommand)]
    Decorator(decorator::Decorate),
    /// Work with other workflows
    #[command(subcommand)]
    Workflow(workflow::Workflow),
    /// Set up access to AWS
    #[command(subcommand)]
    Aws(aws::Aws),
    /// Set up access to Google Cloud
    #[command(subcommand)]
    Gcp(gcp::Gcp),
    /// Set up access to Azure
    #[command(subcommand)]
    Azure(azure::Azure),
    /// Set up access to a Kubernetes cluster
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    /// Set up files with credentials
    #[command(subcommand)]
    Credentials(credentials::Credentials),
    /// Work with a Git repository
    #[command(subcommand)]
    Git(git::Git),
    /// Print all of this help as Markdown
    Doc(doc::Doc),
    /// Print a script with which a shell completes commands
    Completion(doc::Completion),
}

/// Runs `ni` with a command line that begins with the program's name, and returns its exit
/// code: 0, or 1 for every failure. Writing to a closed stream is a failure, too.
pub async fn run<A: Into<OsString> + Clone>(
    args: impl IntoIterator<Item = A>,
    settings: &Settings,
    stdout: &mut (dyn Write + Send),
    stderr: &mut (dyn Write + Send),
) -> u8 {
    let printed = match Ni::try_parse_from(args) {
        Ok(ni) => ni.command.run(settings).await.unwrap_or_else(|error| failure(&error.message())),
        Err(usage) => match usage.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                Printed::stdout(usage.render().to_string())
            }
            _ => failure(usage.render().to_string().trim_end()),
        },
    };
    let written = stdout
        .write_all(&printed.stdout)
        .and_then(|()| stdout.flush())
        .and_then(|()| stderr.write_all(&printed.stderr))
        .and_then(|()| stderr.flush());
    match written {
        Ok(()) => printed.code,
        Err(_) => 1,
    }
}

fn failure(message: &str) -> Printed {
    Printed { stderr: message.into(), code: 1, ..Printed::default() }
}

impl Command {
    async fn run(self, settings: &Settings) -> Result<Printed, NiError> {
        match self {
            Self::Get(get) => get.run(&settings.client()?).await,
            Self::Output(output) => output.run(settings).await,
            Self::Log(log) => Ok(log.run()),
            Self::File(file) => file.run(&settings.client()?).await,
            Self::Metadata(metadata) => metadata.run(&settings.client()?).await,
            Self::Decorator(decorate) => decorate.run(settings).await,
            Self::Workflow(workflow) => workflow.run(settings).await,
            Self::Aws(aws) => aws.run(settings).await,
            Self::Gcp(gcp) => gcp.run(settings).await,
            Self::Azure(azure) => azure.run(&settings.client()?).await,
            Self::Cluster(cluster) => cluster.run(settings).await,
            Self::Credentials(credentials) => credentials.run(settings).await,
            Self::Git(git) => git.run(settings).await,
            Self::Doc(doc) => Ok(doc.run(Ni::command())),
            Self::Completion(completion) => Ok(completion.run(Ni::command())),
        }
    }
}
