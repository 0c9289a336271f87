//! The parts put together: one run, from a file to its outcome.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, Stream, StreamExt as _};
use jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource};
use kube_memory::MemoryCluster;
use relay_core::{
    Clock, Hs256Key, MemorySecrets, SealKeys, SecretStore, StoreError, SystemClock, TokenSealer,
};
use relay_metadata::{ConfigMapStores, Router, TokenAuthenticator};
use relay_model::tekton::{self, CustomRun};
use relay_model::v1beta1::{self, Answer, RunStatus};
use relay_reconcile::{Context, Settings, SharedSecrets, Telemetry};
use relay_store::ConfigMaps;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use crate::event::Event;
use crate::executor::{Executor, ExecutorOptions, News, StepNews};
use crate::mask::Masks;
use crate::narrator::Narrator;
use crate::outcome::Outcome;
use crate::second_name::install;
use crate::submission::Submission;

/// How many events, and newss of output, wait for a slow reader. Steps wait beyond that.
const BACKLOG: usize = 256;
/// How long the parts of the engine may take to end once all steps have.
const PARTING: Duration = Duration::from_millis(500);
/// How many changes of each kind the engine's API keeps for watches that fall behind.
const HISTORY: usize = 512;
const NAMESPACE: &str = "default";

/// Runs workflows on this machine.
#[derive(Clone, Debug)]
pub struct Engine {
    ni: PathBuf,
    secrets: Arc<dyn SecretStore>,
    clock: Arc<dyn Clock>,
    max_parallel: usize,
    images: BTreeMap<String, PathBuf>,
}

/// Why a run could not be started, or what became of it cannot be said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A directory or a port could not be had.
    #[error("could not {doing}")]
    Machine {
        /// What was being done.
        doing: &'static str,
        /// The failure.
        #[source]
        source: io::Error,
    },
    /// Secrets could not be read, so that they could not be masked.
    #[error("could not read the secrets")]
    Secrets(#[source] StoreError),
    /// The engine's own API refused an object.
    #[error("could not submit {object}")]
    Submit {
        /// The object.
        object: String,
        /// The failure.
        #[source]
        source: Box<kube::Error>,
    },
    /// A part of the engine ended before the run did.
    #[error("the engine ended before the run")]
    Lost,
}

/// How a run ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Finished {
    /// In a word.
    pub outcome: Outcome,
    /// In full, with the values of secrets masked.
    pub status: RunStatus,
}

impl Engine {
    /// An engine whose steps find this program as `ni`.
    pub fn new(ni: impl Into<PathBuf>) -> Self {
        Self {
            ni: ni.into(),
            secrets: Arc::new(MemorySecrets::default()),
            clock: Arc::new(SystemClock),
            max_parallel: 256,
            images: BTreeMap::new(),
        }
    }

    /// With these secrets and connections.
    #[must_use]
    pub fn with_secrets(self, secrets: Arc<dyn SecretStore>) -> Self {
        Self { secrets, ..self }
    }

    /// With at most so many steps at the same time; 256 where nothing is said.
    #[must_use]
    pub fn with_max_parallel(self, max_parallel: usize) -> Self {
        Self { max_parallel, ..self }
    }

    /// With a program in the place of an image, for steps that name nothing else.
    #[must_use]
    pub fn with_image(mut self, image: &str, program: impl Into<PathBuf>) -> Self {
        self.images.insert(image.to_owned(), program.into());
        self
    }

    /// Starts a run. It goes on in the background, and waits while its events are not read.
    ///
    /// # Errors
    ///
    /// When the engine cannot be set up, or the workflow is refused.
    pub async fn start(&self, submission: Submission) -> Result<Run, EngineError> {
        let masks = Arc::new(Masks::of(&*self.secrets).await.map_err(EngineError::Secrets)?);
        let machine = |doing| move |source| EngineError::Machine { doing, source };
        let directory = tempfile::Builder::new()
            .prefix("relay-")
            .tempdir()
            .map_err(machine("make a working directory"))?;
        let tools_dir = directory.path().join("bin");
        install(&self.ni, &tools_dir).map_err(machine("install ni for the steps"))?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(machine("listen on the loopback interface"))?;
        let address = listener.local_addr().map_err(machine("listen on the loopback interface"))?;

        // A pipeline of a thousand steps is one object.
        let cluster =
            MemoryCluster::with_history(HISTORY).without_update_managers().without_size_limit();
        for definition in v1beta1::definitions().iter().chain(&tekton::definitions()) {
            // Definitions of our own are valid; a test starts an engine.
            drop(cluster.register(definition));
        }
        let client = cluster.client(NAMESPACE);
        let key = Arc::new(Hs256Key::generate());
        let sealer: Arc<dyn TokenSealer> = Arc::new(SealKeys::generate());
        let context = Arc::new(Context {
            client: client.clone(),
            settings: Settings {
                metadata_api_url: format!("http://{address}"),
                // Nobody enforces accounts, networks and limits on processes: their objects would
                // only cost time.
                policies: None,
                // The executor reads what is embedded, and nothing here has etcd's limits.
                max_embedded: usize::MAX,
                empty_specs: true,
                ..Settings::default()
            },
            signer: Arc::clone(&key) as _,
            sealer: Arc::clone(&sealer),
            secrets: Arc::new(SharedSecrets(Arc::clone(&self.secrets))),
            clock: Arc::clone(&self.clock),
            telemetry: Telemetry::default(),
            images: None,
        });

        let (output_sender, output) = mpsc::channel(BACKLOG);
        let executor =
            self.executor(&client, &directory, tools_dir, address, sealer, output_sender);
        let stores =
            ConfigMapStores::new(ConfigMaps::by_name(client.clone()), Arc::clone(&self.secrets));
        let authenticator = TokenAuthenticator::new(key, Arc::new(stores));
        let router = Router::new(Arc::new(authenticator)).with_clock(Arc::clone(&self.clock));

        let stop = CancellationToken::new();
        // Cancelled when a part ends before it is told to.
        let lost = CancellationToken::new();
        let mut parts = JoinSet::new();
        let mut run_part = |part: BoxFuture<'static, ()>| {
            let guard = lost.clone().drop_guard();
            parts.spawn(async move {
                part.await;
                drop(guard);
            });
        };
        run_part(router.serve(listener, stop.clone().cancelled_owned()).boxed());
        let stopped = || stop.clone().cancelled_owned();
        run_part(relay_reconcile::tenant::controller(Arc::clone(&context), stopped()).boxed());
        run_part(relay_reconcile::run::controller(context, stopped()).boxed());
        // Steps that are ended report that: what they report to is stopped after them.
        let stop_steps = CancellationToken::new();
        let guard = lost.clone().drop_guard();
        let running = executor.run(stop_steps.clone());
        let steps = tokio::spawn(async move {
            running.await;
            drop(guard);
        });

        let approvals = submission.workflow.spec.steps.iter().filter(|step| step.is_approval());
        let approvals = approvals.map(|step| step.name.clone()).collect();
        let name = submit(&client, &submission).await?;
        let (events, receiver) = mpsc::channel(BACKLOG);
        let story = tokio::spawn(tell(
            client.clone(),
            Narrator::new(&name, Arc::clone(&masks), approvals),
            name.clone(),
            output,
            events,
            lost,
        ));
        Ok(Run {
            name,
            client,
            masks,
            events: ReceiverStream::new(receiver),
            story,
            steps,
            stop_steps,
            parts,
            stop,
            _directory: directory,
        })
    }

    fn executor(
        &self,
        client: &Client,
        directory: &TempDir,
        tools_dir: PathBuf,
        address: SocketAddr,
        sealer: Arc<dyn TokenSealer>,
        output: mpsc::Sender<StepNews>,
    ) -> Executor {
        let mut options =
            ExecutorOptions::new(directory.path().join("steps"), tools_dir, sealer, output);
        options.metadata_api = Some(address);
        options.max_parallel = self.max_parallel;
        options.images.clone_from(&self.images);
        options.clock = Arc::clone(&self.clock);
        Executor::new(client.clone(), options)
    }
}

/// A run that was started.
pub struct Run {
    name: String,
    client: Client,
    masks: Arc<Masks>,
    events: ReceiverStream<Event>,
    story: JoinHandle<Option<RunStatus>>,
    steps: JoinHandle<()>,
    stop_steps: CancellationToken,
    parts: JoinSet<()>,
    stop: CancellationToken,
    // Deleted when the run is dropped, after all its parts.
    _directory: TempDir,
}

impl Run {
    /// The name of the run.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What happens, as it happens. Ends after the run has.
    pub fn events(&mut self) -> impl Stream<Item = Event> + Unpin + '_ {
        &mut self.events
    }

    /// Answers an approval. An answer to a question that is over means nothing.
    ///
    /// # Errors
    ///
    /// When the engine is gone.
    pub async fn answer(&self, step: &str, answer: Answer) -> Result<(), EngineError> {
        self.patch(&answer.patch(step)).await
    }

    /// Cancels the run. Its events go on until all its steps have ended.
    ///
    /// # Errors
    ///
    /// When the engine is gone.
    pub async fn cancel(&self) -> Result<(), EngineError> {
        self.patch(&v1beta1::cancel_patch()).await
    }

    async fn patch(&self, patch: &serde_json::Value) -> Result<(), EngineError> {
        let api: Api<v1beta1::Run> = Api::namespaced(self.client.clone(), NAMESPACE);
        api.patch_metadata(&self.name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .map_err(refused(format!("a change of {}", self.name)))?;
        Ok(())
    }

    /// Waits for the end, with all events that were not read dropped.
    ///
    /// # Errors
    ///
    /// [`EngineError::Lost`] when the engine ended before the run.
    pub async fn finish(mut self) -> Result<Finished, EngineError> {
        while self.events.next().await.is_some() {}
        let mut status = (&mut self.story).await.ok().flatten().ok_or(EngineError::Lost)?;
        self.masks.status(&mut status);
        self.stop_steps.cancel();
        drop((&mut self.steps).await);
        self.stop.cancel();
        // Nothing is left that anybody waits for; a connection that idles must not hold up the end.
        let parts = &mut self.parts;
        let ended = async { while parts.join_next().await.is_some() {} };
        if tokio::time::timeout(PARTING, ended).await.is_err() {
            self.parts.shutdown().await;
        }
        let outcome = Outcome::of(&status).ok_or(EngineError::Lost)?;
        Ok(Finished { outcome, status })
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Aborted, the executor kills what runs.
        self.steps.abort();
        self.stop.cancel();
    }
}

fn refused(object: String) -> impl FnOnce(kube::Error) -> EngineError {
    move |source| EngineError::Submit { object, source: Box::new(source) }
}

async fn submit(client: &Client, submission: &Submission) -> Result<String, EngineError> {
    let Submission { tenant, workflow, run } = submission;
    create(client, tenant).await?;
    create(client, workflow).await?;
    create(client, run).await?;
    Ok(run.metadata.name.clone().unwrap_or_default())
}

async fn create<K>(client: &Client, object: &K) -> Result<(), EngineError>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    K: Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), NAMESPACE);
    let name = object.meta().name.as_deref().unwrap_or_default();
    let what = format!("{} {name}", K::kind(&()));
    api.create(&PostParams::default(), object).await.map_err(refused(what))?;
    Ok(())
}

/// Turns statuses and output into events until the run has ended, and gives its last status.
async fn tell(
    client: Client,
    mut narrator: Narrator,
    run: String,
    mut steps: mpsc::Receiver<StepNews>,
    events: mpsc::Sender<Event>,
    lost: CancellationToken,
) -> Option<RunStatus> {
    let api: Api<v1beta1::Run> = Api::namespaced(client.clone(), NAMESPACE);
    let config = watcher::Config::default().fields(&format!("metadata.name={run}"));
    let mut runs = std::pin::pin!(watcher(api, config).default_backoff().applied_objects());
    // There is but this run.
    let gates = watcher(Api::<CustomRun>::all(client), watcher::Config::default());
    let mut gates = std::pin::pin!(gates.default_backoff().applied_objects());
    loop {
        tokio::select! {
            // A question is told before its answer, and both before what follows from them.
            biased;
            () = lost.cancelled() => return None,
            seen = runs.next() => {
                let Ok(seen) = seen? else { continue };
                // A step writes before it ends, so what it wrote is here by now; what comes while
                // this is told belongs to others.
                for _ in 0..steps.len() {
                    let Ok(news) = steps.try_recv() else { break };
                    send(&events, narrator.step(&news, Timestamp::now())).await;
                }
                let status = seen.status.unwrap_or_default();
                send(&events, narrator.status(&status, Timestamp::now())).await;
                if status.is_completed() {
                    return Some(status);
                }
            }
            seen = gates.next() => {
                let Ok(seen) = seen? else { continue };
                // What it decided by has ended before it; what begins may follow from it.
                let mut next = None;
                for _ in 0..steps.len() {
                    let Ok(news) = steps.try_recv() else { break };
                    if matches!(news.news, News::Started) {
                        next = Some(news);
                        break;
                    }
                    send(&events, narrator.step(&news, Timestamp::now())).await;
                }
                send(&events, narrator.gate(&seen, Timestamp::now())).await;
                if let Some(news) = next {
                    send(&events, narrator.step(&news, Timestamp::now())).await;
                }
            }
            Some(news) = steps.recv() => {
                send(&events, narrator.step(&news, Timestamp::now())).await;
            }
        }
    }
}

/// Sends events; nobody may be listening.
async fn send(events: &mpsc::Sender<Event>, new: Vec<Event>) {
    for event in new {
        if events.send(event).await.is_err() {
            return;
        }
    }
}
