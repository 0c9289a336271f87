//! The sequence around a step's program.
//!
//! [`Entrypoint`] collects what a step needs, [`Entrypoint::run`] plays the sequence and says
//! how the step [`Ended`]. In a pod the program [`pod`](crate::pod) does both; an executor
//! without pods builds one for each step:
//!
//! 1. it reports that the conditions are being evaluated, asks until they are decided, and
//!    reports the decision. A step behind a gate skips this and reports "satisfied", since
//!    its gate has decided;
//! 2. it fetches the environment and asks for validation;
//! 3. it runs the program in a process group of its own, passing its output on unchanged;
//! 4. it kills whatever the program has left in its group, and out of it where orphans are adopted,
//!    and reports the exit code.

mod ended;
mod environment;
mod group;
mod interrupts;
mod invocation;
mod lookup;
mod orphans;
mod output;
mod program;
mod record;

pub use ended::{Ended, EntrypointError};
pub use interrupts::Signal;
pub use invocation::{INPUT_SCRIPT, Invocation, InvocationError};
pub use lookup::{LookupError, find_program};
pub use orphans::{Adoption, adopt_orphans};
pub use output::{Chunk, Stream};

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use environment::Variables;
use http::StatusCode;
use interrupts::Interrupts;
use program::Program;
use record::Record;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::client::{
    AddressError, Authorities, ClientError, Connections, MetadataClient, Retry, WhenStatus,
};

/// Where the operator puts the runtime tools in a pod.
pub const TOOLS_DIR: &str = "/var/lib/puppet/relay";

/// A step about to run. `Debug` shows names of variables only.
pub struct Entrypoint {
    invocation: Invocation,
    client: Option<MetadataClient>,
    gated: bool,
    inherit: bool,
    variables: Variables,
    working_dir: Option<PathBuf>,
    path_first: Vec<PathBuf>,
    path_last: Vec<PathBuf>,
    mark: Option<OsString>,
    grace: Duration,
    request_timeout: Duration,
    condition_timeout: Duration,
    signals: Option<mpsc::Receiver<Signal>>,
}

impl Entrypoint {
    /// How long one exchange with the API may take unless told otherwise.
    pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
    /// How long the conditions may stay undecided unless told otherwise.
    pub const CONDITION_TIMEOUT: Duration = Duration::from_secs(60 * 60);
    /// How long a cancelled program may take to end unless told otherwise.
    pub const GRACE: Duration = Duration::from_secs(10);

    // A connection that hangs must leave time for another one.
    const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);

    /// A step without metadata API, in an empty environment and the current directory.
    pub const fn new(invocation: Invocation) -> Self {
        Self {
            invocation,
            client: None,
            gated: false,
            inherit: false,
            variables: Variables::new(),
            working_dir: None,
            path_first: Vec::new(),
            path_last: Vec::new(),
            mark: None,
            grace: Self::GRACE,
            request_timeout: Self::REQUEST_TIMEOUT,
            condition_timeout: Self::CONDITION_TIMEOUT,
            signals: None,
        }
    }

    /// Takes over the settings that a pod carries in its environment, read by `variable`:
    /// `METADATA_API_URL` (none or empty: no API), those of [`Authorities::from_variables`],
    /// `RELAY_DEFAULT_TIMEOUT` (such as `1m30s`; unreadable: the default) and `RELAY_GATED`. They do not become part of the program's
    /// environment by this.
    ///
    /// # Errors
    /// [`ClientError::Address`] if the URL is unusable, [`ClientError::Authorities`] if it is one of
    /// `https` and certificates to trust are.
    pub fn settings(
        mut self,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ClientError> {
        if let Some(limit) = variable("RELAY_DEFAULT_TIMEOUT").and_then(|text| duration(&text)) {
            self.request_timeout = limit;
        }
        self.gated = variable("RELAY_GATED").is_some_and(|value| value == "true");
        if let Some(url) = variable("METADATA_API_URL").filter(|url| !url.is_empty()) {
            let url = url
                .to_str()
                .ok_or_else(|| AddressError::Syntax { reason: "it is not UTF-8".to_owned() })?;
            let attempt = self.request_timeout.min(Self::ATTEMPT_TIMEOUT);
            let http = Connections::trusting(Authorities::from_variables(&variable));
            self.client = Some(MetadataClient::with_http(http, url, attempt)?);
        }
        Ok(self)
    }

    /// The API to report to. How requests are repeated is set here, by
    /// [`request_timeout`](Self::request_timeout).
    #[must_use]
    pub fn client(mut self, client: MetadataClient) -> Self {
        self.client = Some(client);
        self
    }

    /// The API that the step reports to, with the rule by which its requests are repeated.
    pub fn api(&self) -> Option<MetadataClient> {
        let retry = Retry::outages(self.request_timeout);
        self.client.clone().map(|client| client.retrying(retry))
    }

    /// Whether a gate has decided the conditions already.
    #[must_use]
    pub const fn gated(mut self, gated: bool) -> Self {
        self.gated = gated;
        self
    }

    /// Whether the program sees the environment of this process, below what
    /// [`env`](Self::env) and the API add.
    #[must_use]
    pub const fn inherit_env(mut self, inherit: bool) -> Self {
        self.inherit = inherit;
        self
    }

    /// Adds a variable. Those which the API names win over it.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// Adds variables.
    #[must_use]
    pub fn envs<N: Into<OsString>, V: Into<OsString>>(
        mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.variables
            .extend(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// Where the program starts.
    #[must_use]
    pub fn working_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.working_dir = Some(dir.into());
        self
    }

    /// Puts a directory before the program's `PATH`, whoever has set it.
    #[must_use]
    pub fn path_first(mut self, dir: impl Into<PathBuf>) -> Self {
        self.path_first.push(dir.into());
        self
    }

    /// Puts a directory behind the program's `PATH`, whoever has set it.
    #[must_use]
    pub fn path_last(mut self, dir: impl Into<PathBuf>) -> Self {
        self.path_last.push(dir.into());
        self
    }

    /// Gives all processes of the step a mark, the variable `RELAY_STEP_ID`, which no other step may
    /// have: those that leave the step's process group are found by it, where the program that
    /// runs the steps adopts orphans.
    #[must_use]
    pub fn marked(mut self, mark: impl Into<OsString>) -> Self {
        self.mark = Some(mark.into());
        self
    }

    /// How long a cancelled program may take to end before it is killed.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How long one exchange with the API may take with all its repetitions.
    #[must_use]
    pub const fn request_timeout(mut self, limit: Duration) -> Self {
        self.request_timeout = limit;
        self
    }

    /// How long the conditions may stay undecided before the step fails.
    #[must_use]
    pub const fn condition_timeout(mut self, limit: Duration) -> Self {
        self.condition_timeout = limit;
        self
    }

    /// Signals to pass on to the program, which decides what to make of them. One that comes
    /// before the program has started cancels the step.
    #[must_use]
    pub fn signals(mut self, signals: mpsc::Receiver<Signal>) -> Self {
        self.signals = Some(signals);
        self
    }

    /// Plays the sequence.
    ///
    /// Output goes to `output` as it comes, and the program waits when the channel is full;
    /// everything has been sent when this returns, unless the step was cancelled and the
    /// receiver stands still. When `cancel` is triggered, the program's group gets `SIGTERM`
    /// and, after the grace period, `SIGKILL`; the end is awaited and reported. Dropping the
    /// future kills the group and reports nothing.
    ///
    /// # Errors
    /// [`EntrypointError`], if the end could not be reported or observed. A step that failed
    /// is not an error.
    pub async fn run(
        mut self,
        output: mpsc::Sender<Chunk>,
        cancel: CancellationToken,
    ) -> Result<Ended, EntrypointError> {
        self.client = self.api();
        let mut interrupts = Interrupts::new(cancel, self.signals.take());
        let mut record = Record::new(self.client.clone());
        let prepared = tokio::select! {
            biased;
            () = interrupts.any() => Err(Ended::Cancelled { program: None }),
            prepared = self.prepare(&mut record) => prepared,
        };
        let ended = match prepared {
            Err(ended) => ended,
            Ok(variables) => {
                let program = Program {
                    invocation: &self.invocation,
                    variables: &variables,
                    working_dir: self.working_dir.as_deref(),
                    mark: self.mark.as_deref(),
                    grace: self.grace,
                };
                program.run(&output, &mut interrupts).await?
            }
        };
        // The receiver need not wait for the report.
        drop(output);
        let hurry = self.request_timeout.min(self.grace);
        record.end(ended, hurry).await
    }

    /// All that comes before the program; an `Err` is the end of the step.
    async fn prepare(&self, record: &mut Record) -> Result<Variables, Ended> {
        let mut variables = Variables::new();
        if self.inherit {
            variables.extend(std::env::vars_os());
        }
        variables.extend(self.variables.clone());
        if let Some(client) = &self.client {
            if !self.gated {
                record.condition(WhenStatus::Evaluating).await;
                match record::decide(client, self.condition_timeout).await {
                    Ok(true) => {}
                    Ok(false) => return Err(Ended::Skipped),
                    Err(reason) => return Err(Ended::ConditionsFailed { reason }),
                }
            }
            record.condition(WhenStatus::Satisfied).await;
            match client.environment().await {
                Ok(answer) => environment::apply(answer, &mut variables)
                    .map_err(|reason| Ended::EnvironmentFailed { reason })?,
                Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => {}
                Err(error) => {
                    let reason = error.chain();
                    return Err(Ended::EnvironmentFailed { reason });
                }
            }
            if !self.invocation.is_input_script
                && let Err(error) = client.validate().await
            {
                tracing::debug!(error = error.chain(), "the specification was not validated");
            }
        } else {
            record.condition(WhenStatus::Satisfied).await;
        }
        environment::extend_path(&mut variables, &self.path_first, &self.path_last);
        Ok(variables)
    }
}

/// Reads `1m30s` and the like.
fn duration(text: &OsStr) -> Option<Duration> {
    let read: jiff::SignedDuration = text.to_str()?.parse().ok()?;
    Duration::try_from(read).ok().filter(|read| !read.is_zero())
}

impl fmt::Debug for Entrypoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entrypoint")
            .field("invocation", &self.invocation)
            .field("client", &self.client)
            .field("gated", &self.gated)
            .field("variables", &self.variables.keys())
            .field("working_dir", &self.working_dir)
            .finish_non_exhaustive()
    }
}
