//! One TaskRun, from its creation to its end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use relay_model::annotation::{RUN_ID, STEP, TOKEN};
use relay_model::tekton::{PIPELINE_RUN_LABEL, PIPELINE_TASK_LABEL, TaskRun, TaskSpec};
use relay_tools::client::{ClientError, MetadataClient};
use relay_tools::entrypoint::{Chunk, Entrypoint, EntrypointError};
use relay_tools::ni::WORKSPACE;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Runtime;
use super::config_map::Key;
use super::credentials::{CredentialsError, url};
use super::job::{Job, JobError};
use super::mount::{Directory, File, Mount, MountError, Source};
use super::report::{End, Report};
use super::runtime::METADATA_API_URL;
use super::stop::{Stop, Why};
use crate::executor::changes::Identity;
use crate::executor::{News, StepNews, duration, persist, sleep_until};

/// How long one attempt at an exchange with the metadata API may take, as in pods.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// A step that is over within this time is not reported to be running.
const SHORT: Duration = Duration::from_millis(20);
/// How long a cancelled step's last output may wait for a receiver that stands still.
const LINGER: Duration = Duration::from_secs(1);
/// How long the last writes may take when the engine ends.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// A TaskRun that cannot begin.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Job(#[from] JobError),
    #[error(transparent)]
    Mount(#[from] MountError),
    #[error("ConfigMap {name:?} cannot be read: {source}")]
    ConfigMap { name: String, source: kube::Error },
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error("the directory of the step cannot be made: {0}")]
    Directory(#[from] std::io::Error),
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Runtime {
    /// Runs a TaskRun that is not over and writes its status.
    pub(super) async fn attempt(
        self: Arc<Self>,
        run: TaskRun,
        stop: Stop,
        shutdown: CancellationToken,
    ) {
        let limit = duration::limit(run.spec.timeout.as_deref());
        let identity = Identity::of(&run);
        let mut report = Report::new(&run, limit.as_ref().ok().copied().flatten());
        let attempt =
            Attempt { runtime: &self, run: &run, identity: &identity, shutdown: &shutdown };
        let was_running = run.status.as_ref().is_some_and(|status| status.start_time.is_some());
        let (end, why) = match limit {
            _ if was_running => {
                let message = "the engine that ran the step has ended without a word";
                (End::Unknown(message.to_owned()), None)
            }
            Err(error) => (End::CouldNotStart(format!("timeout: {error}")), None),
            Ok(limit) => attempt.in_turn(&stop, limit, &mut report).await,
        };
        // What has not begun is left to whoever comes after this engine.
        let is_untouched = end == End::NotStarted && report.is_new() && why == Some(Why::Shutdown);
        if why != Some(Why::Deleted) && !is_untouched {
            let status = report.done(&end, why.as_ref(), self.clock.now());
            let told = attempt.tell(News::Ended(Box::new(status.clone())));
            match why {
                None => told.await,
                // What was stopped does not wait for a reader that stands still.
                Some(_) => drop(tokio::time::timeout(LINGER, told).await),
            }
            attempt.write(&status).await;
        }
        if !self.keep {
            let directory = attempt.directory();
            let removed = tokio::task::spawn_blocking(move || directory.remove()).await;
            if let Ok(Err(error)) = removed {
                tracing::debug!(task = identity.name, %error, "the step's directory is still there");
            }
        }
    }
}

struct Attempt<'a> {
    runtime: &'a Runtime,
    run: &'a TaskRun,
    identity: &'a Identity,
    shutdown: &'a CancellationToken,
}

impl Attempt<'_> {
    /// Waits for a place and runs the step there.
    async fn in_turn(
        &self,
        stop: &Stop,
        limit: Option<Duration>,
        report: &mut Report,
    ) -> (End, Option<Why>) {
        let place = tokio::select! {
            biased;
            why = stop.requested() => return (End::NotStarted, Some(why)),
            place = Arc::clone(&self.runtime.places).acquire_owned() => place,
        };
        let deadline = limit.map(|limit| Instant::now() + limit);
        let status = report.running(self.runtime.clock.now());
        let cancel = CancellationToken::new();
        let step = async {
            let mut step = std::pin::pin!(async {
                self.tell(News::Started).await;
                self.step(&cancel).await
            });
            let why = tokio::select! {
                biased;
                end = &mut step => return (end, None),
                why = stop.requested() => why,
                () = sleep_until(deadline) => Why::TimedOut,
            };
            cancel.cancel();
            (step.await, Some(why))
        };
        let over = CancellationToken::new();
        // The step does not wait for the record of its start, and a short one has none: its end
        // says when it began.
        let (ended, ()) = tokio::join!(
            async {
                let ended = step.await;
                drop(place);
                over.cancel();
                ended
            },
            async {
                tokio::select! {
                    biased;
                    () = over.cancelled() => {}
                    () = tokio::time::sleep(SHORT) => self.write(&status).await,
                }
            },
        );
        ended
    }

    /// Runs the step: all that a pod would do.
    async fn step(&self, cancel: &CancellationToken) -> End {
        let empty = TaskSpec::default();
        let task = self.run.spec.task_spec.as_ref().unwrap_or(&empty);
        let job = match Job::read(task, &self.runtime.images) {
            Ok(job) => job,
            Err(error) => return End::CouldNotStart(error.to_string()),
        };
        let fetched = tokio::select! {
            biased;
            () = cancel.cancelled() => return End::NotStarted,
            fetched = async { tokio::try_join!(self.files(&job), self.credentials()) } => fetched,
        };
        let entrypoint = match fetched {
            Ok((files, url)) => self.prepare(job, files, url).await,
            Err(error) => Err(error),
        };
        match entrypoint {
            Ok(entrypoint) => self.play(entrypoint, cancel).await,
            Err(error) => End::CouldNotStart(error.to_string()),
        }
    }

    /// The files that the step's volumes hold.
    async fn files(&self, job: &Job<'_>) -> Result<Vec<File>, StartError> {
        let volumes = job.mounts.iter().filter_map(|mount| match mount.source {
            Source::ConfigMap(source) => Some((mount, source)),
            Source::Empty | Source::Tools => None,
        });
        let owner = self.identity.controller.as_ref().map(|owner| owner.uid.clone());
        let asked_for = owner.unwrap_or_else(|| self.identity.uid.clone());
        let files = volumes.map(|(mount, source)| {
            let name = source.name.clone();
            let key = Key {
                namespace: self.identity.namespace.clone(),
                name: name.clone(),
                asked_for: asked_for.clone(),
            };
            async move {
                match self.runtime.config_maps.get(key).await {
                    Ok(map) => Ok(mount.files(source, &map)?),
                    Err(kube::Error::Api(status))
                        if status.code == 404 && source.optional == Some(true) =>
                    {
                        Ok(Vec::new())
                    }
                    Err(source) => Err(StartError::ConfigMap { name, source }),
                }
            }
        });
        Ok(try_join_all(files).await?.into_iter().flatten().collect())
    }

    /// The URL of the metadata API with the step's token; `None` if it has none.
    async fn credentials(&self) -> Result<Option<SecretString>, StartError> {
        let annotations = self.run.metadata.annotations.as_ref();
        let sealed = annotations.and_then(|annotations| annotations.get(TOKEN));
        let (Some(api), Some(sealed)) = (self.runtime.metadata_api, sealed) else {
            return Ok(None);
        };
        let token = self.runtime.credentials.token(&self.identity.namespace, sealed).await?;
        Ok(Some(url(api, &token)))
    }

    async fn prepare(
        &self,
        job: Job<'_>,
        files: Vec<File>,
        url: Option<SecretString>,
    ) -> Result<Entrypoint, StartError> {
        let directory = self.directory();
        let workspace = directory.workspace();
        let mut invocation = job.invocation;
        invocation.program =
            directory.locate(&invocation.program, &job.mounts, &self.runtime.tools_dir);
        let volumes: Vec<PathBuf> = job
            .mounts
            .iter()
            .filter(|mount| mount.source != Source::Tools)
            .map(Mount::root)
            .collect();
        // Not to be left off half way: what is made then would never be taken away.
        let filled = tokio::task::spawn_blocking(move || directory.fill(&volumes, &files)).await;
        filled.unwrap_or_else(|error| Err(std::io::Error::other(error)))?;

        let setting = |name: &str| {
            let mut variables = job.variables.iter().rev();
            let (_, value) = variables.find(|(own, _)| *own == name && name != METADATA_API_URL)?;
            Some(value.into())
        };
        let variables = job.variables.iter().filter(|(name, _)| *name != METADATA_API_URL);
        let mut entrypoint = Entrypoint::new(invocation)
            .settings(setting)?
            .envs(self.runtime.environment.iter().cloned())
            .env(WORKSPACE, &workspace)
            .envs(variables.copied())
            .working_dir(workspace)
            .path_first(&self.runtime.tools_dir)
            .marked(&self.identity.uid)
            .grace(self.runtime.grace);
        if let Some(url) = url {
            let url = url.expose_secret();
            let http = self.runtime.http.clone();
            entrypoint = entrypoint.env(METADATA_API_URL, url).client(MetadataClient::with_http(
                http,
                url,
                ATTEMPT_TIMEOUT,
            )?);
        }
        Ok(entrypoint)
    }

    /// Plays the entrypoint's sequence and passes on the output.
    async fn play(&self, entrypoint: Entrypoint, cancel: &CancellationToken) -> End {
        let (sender, mut chunks) = mpsc::channel::<Chunk>(1);
        let passing = async {
            while let Some(Chunk { stream, bytes }) = chunks.recv().await {
                self.tell(News::Output { stream, bytes }).await;
            }
        };
        let over = CancellationToken::new();
        let (ended, ()) = tokio::join!(
            async {
                let ended = entrypoint.run(sender, cancel.clone()).await;
                over.cancel();
                ended
            },
            async {
                tokio::select! {
                    () = passing => {}
                    () = async {
                        over.cancelled().await;
                        cancel.cancelled().await;
                        tokio::time::sleep(LINGER).await;
                    } => {}
                }
            },
        );
        match ended {
            Ok(ended) => End::Played(ended),
            Err(EntrypointError::Unreported { ended, source }) => {
                let why = format!("the end of the step could not be reported: {}", source.chain());
                // A cancelled step is cancelled whoever knows of it.
                match ended {
                    relay_tools::entrypoint::Ended::Cancelled { .. } => End::Played(ended),
                    ended => End::Unreported { ended, why },
                }
            }
            Err(error) => End::Unknown(error.to_string()),
        }
    }

    async fn tell(&self, news: News) {
        let (run, step) = self.names();
        // Fails when nobody listens any more, which is the receiver's affair.
        drop(self.runtime.news.send(StepNews { run, step, news }).await);
    }

    async fn write(&self, status: &relay_model::tekton::TaskRunStatus) {
        let Identity { namespace, name, uid, .. } = self.identity;
        tokio::select! {
            () = persist::status::<TaskRun>(&self.runtime.client, namespace, (name, uid), status) => {}
            () = async {
                self.shutdown.cancelled().await;
                tokio::time::sleep(LAST_WRITES).await;
            } => tracing::warn!(task = name, "the end of a step is not on record"),
        }
    }

    /// Unique also among TaskRuns of one name, of which one may be on its way out.
    fn directory(&self) -> Directory {
        let Identity { name, uid, .. } = self.identity;
        let short: String = uid.chars().take(8).collect();
        Directory::new(self.runtime.work_dir.join(format!("{name}-{short}")))
    }

    /// The run and the step that output belongs to.
    fn names(&self) -> (Arc<str>, Arc<str>) {
        let metadata = &self.run.metadata;
        let label = |name: &str| metadata.labels.as_ref()?.get(name);
        let annotation = |name: &str| metadata.annotations.as_ref()?.get(name);
        let run = label(RUN_ID).or_else(|| label(PIPELINE_RUN_LABEL));
        let step = annotation(STEP).or_else(|| label(PIPELINE_TASK_LABEL));
        let name = || self.identity.name.clone();
        (run.cloned().unwrap_or_else(name).into(), step.cloned().unwrap_or_else(name).into())
    }
}
