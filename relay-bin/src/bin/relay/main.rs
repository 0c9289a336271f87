//! The relay command line. Under the name `ni` it is the client that steps use.

mod advice;
mod cluster;
mod convert;
mod dev;
mod duration;
mod echo;
mod eval;
mod fetch;
mod files;
mod follow;
mod graph;
mod old;
mod outline;
mod preparation;
mod print;
mod questions;
mod run;
mod screen;
mod signals;
mod summary;
mod validate;

use std::path::PathBuf;
use std::process::ExitCode;

use cluster::{Asked, Place, Problem};
use relay_local::Answer;
use screen::Terminal;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

/// A step of a workflow is mostly small documents that come and go: the system's allocator takes a
/// quarter of the time of a long run.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EXAMPLES: &str = "\
Examples:
  relay run deploy.yaml -p environment=test     run a workflow on this machine
  relay validate workflows/*.yaml               find mistakes without running anything
  relay validate deploy.yaml --explain          when its schedules fire next
  relay convert deploy.yaml | kubectl apply -f -
                                                the same as custom resources
  relay apply deploy.yaml && relay workflow run deploy --follow
                                                the same in a cluster
  relay graph deploy.yaml --format dot | dot -Tsvg > deploy.svg
                                                draw the steps and what they wait for
  source <(relay completion bash)               complete commands with the tab key";

const RUN_EXAMPLES: &str = "\
Examples:
  relay run deploy.yaml -p environment=test -p version=1.4.0
  relay run deploy.yaml --parameter-json 'regions=[\"eu\", \"us\"]'
  relay run deploy.yaml --values secrets.yaml      secrets and connections from a file
  relay run deploy.yaml --secret token < token     a secret from standard input
  relay run deploy.yaml --approve gate             answer an approval beforehand
  relay run deploy.yaml --yes                      approve everything that is asked
  relay run deploy.yaml --image acme/lint=./lint   a program in the place of an image
  relay run deploy.yaml --timeout 1h --step-timeout 5m
  relay run deploy.yaml --out json | jq -c 'select(.event == \"output\") | .text'

On a terminal the steps are drawn below the log. Elsewhere, and where NO_COLOR, TERM=dumb or CI
asks for it, there are lines only: the log on standard output, the summary on standard error.";

const APPLY_EXAMPLES: &str = "\
Examples:
  relay apply deploy.yaml                       the workflow, its triggers, and a tenant
  relay apply deploy.yaml --tenant acme -n prod for a tenant that is there
  relay apply resources.yaml -x staging         resources as they are written";

const LAUNCH_EXAMPLES: &str = "\
Examples:
  relay workflow run deploy -p environment=test
  relay workflow run deploy --parameter-json 'regions=[\"eu\", \"us\"]' --wait
  relay workflow run deploy --follow --out json | jq -c 'select(.event == \"failed\")'";

const STATUS_EXAMPLES: &str = "\
Examples:
  relay status                        all runs of the namespace, the latest first
  relay status deploy-x7k2p           the steps of one, and what it waits for
  relay status deploy-x7k2p -f        the same until it has ended; on a terminal it asks
  relay status --out json | jq -r '.[] | select(.state == \"running\") | .run'";

const LOGS_EXAMPLES: &str = "\
Examples:
  relay logs deploy-x7k2p             all steps
  relay logs deploy-x7k2p build       one step
  relay logs deploy-x7k2p -f          as they come, until the run has ended";

const ANSWER_EXAMPLES: &str = "\
Examples:
  relay approve deploy-x7k2p gate
  relay reject deploy-x7k2p gate -n prod";

const CANCEL_EXAMPLES: &str = "\
Examples:
  relay cancel deploy-x7k2p";

const CRDS_EXAMPLES: &str = "\
Examples:
  relay crds | kubectl apply --server-side -f -";

/// Run workflows: on this machine with no cluster, or in one.
#[derive(Debug, Parser)]
#[command(name = "relay", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    globals: Globals,
    #[command(flatten)]
    place: Place,
}

/// What may be said to every command.
#[derive(Clone, Copy, Debug, Default, Args)]
struct Globals {
    /// How to print: text for people, json for programs
    #[arg(short, long, global = true, value_enum, default_value_t)]
    out: Out,
    /// Answer every question with yes, approvals included
    #[arg(short, long, global = true)]
    yes: bool,
    /// Tell what the engine does, on standard error
    #[arg(short, long, global = true)]
    debug: bool,
}

impl Globals {
    /// Whether the engine talks on standard error.
    fn talks(self) -> bool {
        self.debug || std::env::var_os("RELAY_LOG").is_some()
    }
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Out {
    /// For people.
    #[default]
    #[value(alias = "yaml")]
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
    #[command(after_help = RUN_EXAMPLES)]
    Run(Box<run::Options>),
    /// Check workflow files without running anything
    ///
    /// Exit codes: 0 no errors, 1 errors, 2 a file cannot be read.
    Validate(validate::Options),
    /// Turn a workflow file into custom resources, for a cluster
    ///
    /// Prints the Workflow and its triggers as YAML documents, or with `--out json` as a List. The
    /// same file always gives the same text. Exit codes: 0 printed, 1 errors in the file, 2 it
    /// cannot be read.
    Convert(convert::Options),
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
    /// Evaluate an expression or a document
    ///
    /// Shows the value, what of it could not be resolved, and where an error sits; secrets are
    /// hidden. Exit codes: 0 complete, 1 an error, 2 something cannot be read, 3 incomplete.
    Eval(Box<eval::Options>),
    /// Put a workflow file, or resources, into a cluster
    ///
    /// The file is converted and applied on the server. A workflow file without `--tenant` gets a
    /// tenant of its own name, whose runs are in the same namespace. Exit codes: 0 applied, 1 errors
    /// in the file or from the cluster, 2 the file cannot be read.
    #[command(after_help = APPLY_EXAMPLES)]
    Apply(cluster::Apply),
    /// Run a workflow of a cluster
    #[command(subcommand)]
    Workflow(Workflow),
    /// Show the runs of a cluster, or one of them
    ///
    /// The same as `relay runs list` and `relay runs show RUN`. Exit codes: 0 shown, 1 it cannot be; with
    /// `--follow` those of `relay run`.
    #[command(alias = "list", after_help = STATUS_EXAMPLES)]
    Status(cluster::Status),
    /// The runs of a cluster: `relay status`
    #[command(subcommand, hide = true)]
    Runs(Runs),
    /// Print what the steps of a run in a cluster wrote
    ///
    /// Each line stands behind the name of its step, in the order of the steps; with `--follow` as
    /// they come. Values of the namespace's secrets and connections are hidden, where they are
    /// Kubernetes Secrets and may be read.
    #[command(after_help = LOGS_EXAMPLES)]
    Logs(cluster::Logs),
    /// Accept an approval of a run in a cluster
    #[command(after_help = ANSWER_EXAMPLES)]
    Approve(cluster::Step),
    /// Reject an approval of a run in a cluster
    #[command(after_help = ANSWER_EXAMPLES)]
    Reject(cluster::Step),
    /// End a run in a cluster
    ///
    /// Its steps are stopped, and it cannot be taken up again.
    #[command(after_help = CANCEL_EXAMPLES)]
    Cancel(cluster::Target),
    /// Print the definitions of all custom resources, for `kubectl apply -f -`
    #[command(after_help = CRDS_EXAMPLES)]
    Crds,
    /// Print a script with which a shell completes commands
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the version
    Version,
    /// For those who write steps
    #[command(subcommand)]
    Dev(Dev),
    #[command(flatten)]
    Old(old::Noun),
}

#[derive(Debug, Subcommand)]
enum Runs {
    /// Show all runs of the namespace: `relay status`
    #[command(alias = "ls", after_help = STATUS_EXAMPLES)]
    List,
    /// Show one run: `relay status RUN`
    #[command(alias = "get", after_help = STATUS_EXAMPLES)]
    Show(cluster::Target),
}

#[derive(Debug, Subcommand)]
enum Workflow {
    /// Run a workflow of a cluster
    ///
    /// Creates a Run and prints its name. With `--wait` and `--follow` approvals are asked for on a
    /// terminal, and given with `--yes`. Exit codes: 0 created, 2 nothing was started; with these two
    /// flags those of `relay run`. Whoever stops waiting does not end the run (130).
    #[command(after_help = LAUNCH_EXAMPLES)]
    Run(cluster::Launch),
    /// Check workflow files: `relay validate`
    #[command(hide = true)]
    Validate(validate::Options),
    #[command(flatten)]
    Old(old::Verb),
}

#[derive(Debug, Subcommand)]
enum Dev {
    /// Serve the metadata API to one step of a sample file
    ///
    /// With a command, runs it with `METADATA_API_URL` set and ends with its exit code; 2 where nothing
    /// was started.
    Metadata(dev::Metadata),
    /// An older name of `run`
    #[command(subcommand, hide = true)]
    Workflow(DevWorkflow),
}

#[derive(Debug, Subcommand)]
enum DevWorkflow {
    /// Run a workflow file on this machine: `relay run`
    #[command(after_help = RUN_EXAMPLES)]
    Run(Box<run::Options>),
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
    let Arguments { command, globals, place } = Arguments::parse();
    let command = match command {
        Command::Runs(Runs::List) => Command::Status(cluster::Status::default()),
        Command::Runs(Runs::Show(run)) => Command::Status(cluster::Status::of(run)),
        command => command,
    };
    // Nobody else shows what steps send as events.
    let quiet = match command {
        Command::Dev(Dev::Metadata(_)) => "off,relay_metadata::sample=info",
        _ => "off",
    };
    start_log(globals.debug, quiet);
    // Each step needs a few open files; where the limit cannot be raised fewer run at a time.
    if let Err(error) = relay_local::executor::raise_open_file_limit() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let out = globals.out;
    match command {
        Command::Run(options) | Command::Dev(Dev::Workflow(DevWorkflow::Run(options))) => {
            run::run(options.into(), globals).await
        }
        Command::Validate(options) | Command::Workflow(Workflow::Validate(options)) => {
            validate::validate(&options, out)
        }
        Command::Convert(options) => convert::convert(&options, out).await,
        Command::Graph { file, format } => graph::graph(&file, format, out),
        Command::Eval(options) => eval::eval(&options, out).await,
        Command::Apply(_)
        | Command::Workflow(Workflow::Run(_))
        | Command::Status(_)
        | Command::Runs(_)
        | Command::Logs(_)
        | Command::Approve(_)
        | Command::Reject(_)
        | Command::Cancel(_) => in_cluster(&command, &place, globals).await,
        Command::Crds => cluster::crds(out),
        Command::Dev(Dev::Metadata(options)) => dev::metadata(&options).await,
        Command::Completion { shell } => print::completion(shell, &Arguments::command()),
        Command::Version => print::version(out),
        Command::Workflow(Workflow::Old(verb)) => verb.refuse(),
        Command::Old(noun) => noun.refuse(),
    }
}

/// Carries out a command that speaks to a cluster; the exit code.
async fn in_cluster(command: &Command, place: &Place, globals: Globals) -> u8 {
    match speak(command, place, globals).await {
        Ok(code) => code,
        Err(problem) => {
            print::error(&problem.to_string());
            1
        }
    }
}

async fn speak(command: &Command, place: &Place, globals: Globals) -> Result<u8, Problem> {
    let cluster = place.connect().await?;
    let (out, mut stdout) = (globals.out, std::io::stdout());
    let printed = match command {
        Command::Apply(options) => return cluster::apply(&cluster, options, out).await,
        Command::Workflow(Workflow::Run(options)) => {
            return Ok(cluster::launch(&cluster, options, globals).await);
        }
        Command::Logs(options) => return cluster::logs(&cluster, options, globals).await,
        Command::Status(options) if options.followed().is_some() => {
            let run = options.followed().unwrap_or_default();
            return cluster::follow_to_the_end(&cluster, run, globals).await;
        }
        Command::Status(options) => {
            let paint = Terminal::detect(out, globals.talks()).stdout;
            cluster::status(&cluster, options, out, paint, &mut stdout).await?
        }
        Command::Approve(step) => {
            let asked = Asked::Answer(Answer::Approved, step);
            cluster::ask(&cluster, asked, out, &mut stdout).await?
        }
        Command::Reject(step) => {
            let asked = Asked::Answer(Answer::Rejected, step);
            cluster::ask(&cluster, asked, out, &mut stdout).await?
        }
        Command::Cancel(target) => {
            cluster::ask(&cluster, Asked::Cancel(target), out, &mut stdout).await?
        }
        _ => Ok(()),
    };
    Ok(print::printed(printed))
}

/// What the engine says of itself goes to standard error where `RELAY_LOG` or `--debug` asks for it.
/// Otherwise `quiet` says what does.
fn start_log(debug: bool, quiet: &str) {
    const DEBUG: &str = "info,relay_local=debug,relay_reconcile=debug,relay_metadata=debug,\
                         relay_store=debug,relay_tools=debug";
    let filter = tracing_subscriber::EnvFilter::try_from_env("RELAY_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(if debug { DEBUG } else { quiet }));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
