//! The relay command line. Under the name `ni` it is the client that steps use.

mod dev;
mod files;
mod graph;
mod preparation;
mod print;
mod run;
mod validate;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  relay run deploy.yaml -p environment=test     run a workflow on this machine
  relay run deploy.yaml --out json | jq         the same, one JSON object per event
  relay run deploy.yaml --values secrets.yaml --approve gate
  relay validate workflows/*.yaml               find mistakes without running anything
  relay graph deploy.yaml --format dot | dot -Tsvg > deploy.svg
                                                draw the steps and what they wait for";

/// Run workflows: on this machine, with no cluster.
#[derive(Debug, Parser)]
#[command(name = "relay", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,

    /// How to print: text for people, json for programs
    #[arg(short, long, global = true, value_enum, default_value_t)]
    out: Out,
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Out {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a workflow file on this machine
    ///
    /// Each step with a script or a command runs as a process; images are labels. Exit codes:
    /// 0 succeeded, 1 a step failed, 2 nothing was started, 3 an approval was rejected or not
    /// answered, 130 cancelled.
    Run(Box<run::Options>),
    /// Check workflow files without running anything
    ///
    /// Exit codes: 0 no errors, 1 errors, 2 a file cannot be read.
    Validate {
        /// The workflow files
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Count warnings as errors
        #[arg(long)]
        strict: bool,
    },
    /// Show the steps of a workflow file, what each waits for, and why
    ///
    /// An edge comes from `dependsOn`, from an output that is used or from a status that is looked
    /// at; in drawings it is solid, dashed or dotted. With `--out json` the same for programs. Exit
    /// codes: 0 shown, 1 errors in the file, 2 it cannot be read.
    Graph {
        /// The workflow file
        file: PathBuf,
        /// How to draw: text where nothing is said
        #[arg(long, value_enum)]
        format: Option<graph::Format>,
    },
    /// For those who write steps
    #[command(subcommand)]
    Dev(dev::Dev),
}

fn main() -> ExitCode {
    if let Some(code) = relay_local::be_ni() {
        return code;
    }
    match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(runtime) => ExitCode::from(runtime.block_on(relay())),
        Err(error) => {
            print::error(&format!("could not start: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn relay() -> u8 {
    let arguments = Arguments::parse();
    start_log();
    // Each step needs a few open files; where the limit cannot be raised fewer run at a time.
    if let Err(error) = relay_local::executor::raise_open_file_limit() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    match arguments.command {
        Command::Run(options) => run::run(&options, arguments.out).await,
        Command::Validate { files, strict } => validate::validate(&files, strict, arguments.out),
        Command::Graph { file, format } => graph::graph(&file, format, arguments.out),
        Command::Dev(dev::Dev::Metadata(options)) => dev::metadata(&options).await,
    }
}

/// What the engine says of itself goes to standard error where `RELAY_LOG` asks for it.
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("RELAY_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
