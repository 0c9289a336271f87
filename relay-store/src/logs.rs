//! The output of steps in an object store (`metadata-api.md` §4.6): a directory, a bucket, or memory.
//!
//! An object store cannot append. What arrives is gathered for a moment, or until it is worth an
//! object, and stored as the next part of its log:
//!
//! ```text
//! CONTEXT/NAME/LOG/TIME-WRITER-NUMBER.jsonl
//! tenants/acme/runs/r1/steps/build/stdout/5f…/2031-02-03T04:05:06.789Z-8e…-00000001.jsonl
//! ```
//!
//! A part is JSON lines, one for each message, with the members `id`, `time` (when it was written, or
//! else when it arrived), `mediaType` and `payload`; a payload that is no text is an `$encoding`
//! object. The parts of a log in the order of their keys are the log.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::StreamExt as _;
use futures::stream;
use jiff::Timestamp;
use object_store::path::{Path, PathPart};
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use relay_core::{Clock, LogMessage, LogSink, StoreError, Value};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex as AsyncMutex, Notify, Semaphore};
use uuid::Uuid;

/// How long output is gathered for one part: what a crash can lose.
const DELAY: Duration = Duration::from_secs(1);
/// A part of this size is stored at once.
const PART: usize = 1 << 20;
/// How much may wait to be stored, in bytes. Beyond that callers wait as well.
const ROOM: usize = 32 << 20;
/// How long callers wait for room.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long one part may take.
const PUT_TIME: Duration = Duration::from_secs(20);
/// How many are stored at the same time.
const PARALLEL: usize = 8;
/// The longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long the last parts may take when the process ends.
const LAST_TIME: Duration = Duration::from_secs(20);
/// How often storing a part is tried, over some eight minutes.
const ATTEMPTS: u32 = 20;
/// The longest name of a log, in bytes: escaped, it is still the name of a directory.
const LONGEST_NAME: usize = 80;

/// Logs in an object store. Clones share everything.
///
/// Nothing is stored before [`ObjectLogs::run`] runs, which has to run all the time.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
///
/// use relay_core::{LogSink as _, SystemClock};
/// use relay_store::ObjectLogs;
///
/// let logs = ObjectLogs::from_url("memory:///", [], Arc::new(SystemClock))?;
/// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
/// let storing = tokio::spawn(logs.clone().run(async { drop(stopped.await) }));
/// let id = logs.of("tenants/acme/runs/r1/steps/build").create("stdout").await?;
/// assert!(id.is_some());
/// // At the end, what still waits is stored.
/// drop(stop);
/// storing.await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct ObjectLogs(Arc<Shared>);

struct Shared {
    store: Arc<dyn ObjectStore>,
    root: Path,
    clock: Arc<dyn Clock>,
    /// Tells the parts of several processes apart.
    writer: String,
    waiting: Mutex<Waiting>,
    /// A permit for each byte that may still wait.
    room: Semaphore,
    /// Something waits.
    arrived: Notify,
    /// A part is worth being stored at once.
    full: Notify,
    /// Parts of a log are stored one after the other.
    storing: AsyncMutex<()>,
}

#[derive(Default)]
struct Waiting {
    /// What comes next, by log.
    parts: HashMap<Path, Part>,
    messages: u64,
    stored: u64,
}

#[derive(Default)]
struct Part {
    lines: Vec<u8>,
    failures: u32,
}

/// Why a URL names no place for logs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The text is no URL.
    #[error("the address of the log storage is no URL")]
    Address,
    /// It names a directory that is not there.
    #[error("the directory {path} of the log storage cannot be used")]
    Directory {
        /// The directory.
        path: String,
        /// The failure.
        source: object_store::Error,
    },
    /// The kind of storage is unknown, not built in, or badly configured.
    #[error("the log storage {scheme}:// cannot be used")]
    Store {
        /// The scheme of the URL.
        scheme: String,
        /// The failure.
        source: object_store::Error,
    },
}

impl ObjectLogs {
    /// Logs below `root` in this store.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, root: Path, clock: Arc<dyn Clock>) -> Self {
        let writer = Uuid::new_v4().simple().to_string();
        Self(Arc::new(Shared {
            store,
            root,
            clock,
            writer: writer.chars().take(8).collect(),
            waiting: Mutex::default(),
            room: Semaphore::new(ROOM),
            arrived: Notify::new(),
            full: Notify::new(),
            storing: AsyncMutex::default(),
        }))
    }

    /// Logs at this address: `file:///directory`, which has to exist; with the features of this
    /// crate `s3://bucket/prefix` and `gs://bucket/prefix`; `memory:///` for tests. The options are
    /// those of the store, such as `AWS_REGION`: hand in the environment.
    ///
    /// # Errors
    ///
    /// When there is no such place, or no code for it. The network is not asked.
    pub fn from_url(
        address: &str,
        options: impl IntoIterator<Item = (String, String)>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StorageError> {
        let url = reqwest::Url::parse(address).map_err(|_| StorageError::Address)?;
        if url.scheme() == "file" {
            let path = url.to_file_path().map_err(|()| StorageError::Address)?;
            let store = object_store::local::LocalFileSystem::new_with_prefix(&path);
            let store = store.map_err(|source| {
                let path = path.display().to_string();
                StorageError::Directory { path, source }
            })?;
            return Ok(Self::new(Arc::new(store), Path::default(), clock));
        }
        let (store, root) = object_store::parse_url_opts(&url, options)
            .map_err(|source| StorageError::Store { scheme: url.scheme().to_owned(), source })?;
        Ok(Self::new(store.into(), root, clock))
    }

    /// The logs of one caller. It writes below its context and nowhere else.
    #[must_use]
    pub fn of(&self, context: &str) -> impl LogSink + use<> {
        CallerLogs { logs: self.clone(), context: context.to_owned() }
    }

    /// Stores what arrives, until `stop` completes; then what still waits, for 20 s at most.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut pause = DELAY;
        loop {
            let shared = &self.0;
            tokio::select! {
                () = async {
                    if shared.is_idle() {
                        shared.arrived.notified().await;
                    }
                    let full = async {
                        // After a failure a full part is no reason to hurry.
                        if pause == DELAY { shared.full.notified().await } else { std::future::pending().await }
                    };
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = full => {}
                    }
                } => {}
                () = &mut stop => break,
            }
            pause = match shared.store_all().await {
                Ok(()) => DELAY,
                Err(error) => {
                    tracing::warn!(error = %error, "could not store output; trying again");
                    pause.saturating_mul(2).min(LONGEST_PAUSE)
                }
            };
        }
        let last = async {
            while let Err(error) = self.0.store_all().await {
                tracing::warn!(error = %error, "could not store the last output; trying again");
                tokio::time::sleep(DELAY).await;
            }
        };
        if tokio::time::timeout(LAST_TIME, last).await.is_err() {
            tracing::error!("output is lost: it could not be stored in time");
        }
    }
}

impl fmt::Debug for ObjectLogs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectLogs").field("root", &self.0.root).finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_idle(&self) -> bool {
        self.lock().parts.is_empty()
    }

    /// Lets a message wait; its id.
    async fn add(&self, log: Path, message: LogMessage) -> Result<String, StoreError> {
        let arrived = self.clock.now();
        let number = {
            let mut waiting = self.lock();
            waiting.messages += 1;
            waiting.messages
        };
        let id = format!("{}-{number}", self.writer);
        let mut line = line(&id, message, arrived);
        line.push('\n');

        let no_room = || StoreError::Backend {
            doing: "store output".to_owned(),
            source: "too much of it waits already".into(),
        };
        let size = u32::try_from(line.len()).map_err(|_| no_room())?;
        let room = tokio::time::timeout(PATIENCE, self.room.acquire_many(size)).await;
        room.map_err(|_| no_room())?.map_err(|_| no_room())?.forget();

        let mut waiting = self.lock();
        let lines = &mut waiting.parts.entry(log).or_default().lines;
        lines.extend_from_slice(line.as_bytes());
        let is_full = lines.len() >= PART || self.room.available_permits() < ROOM / 2;
        drop(waiting);
        self.arrived.notify_one();
        if is_full {
            self.full.notify_one();
        }
        Ok(id)
    }

    /// Stores what waits now. What cannot be stored waits on.
    async fn store_all(&self) -> Result<(), object_store::Error> {
        let _one_at_a_time = self.storing.lock().await;
        let parts = std::mem::take(&mut self.lock().parts);
        let mut stored = stream::iter(parts)
            .map(|(log, Part { lines, failures })| async move {
                let payload = PutPayload::from(lines);
                let key = self.key(&log);
                let put = self.store.put(&key, payload.clone());
                let put = tokio::time::timeout(PUT_TIME, put).await;
                let result = put.unwrap_or_else(|late| {
                    Err(object_store::Error::Generic { store: "logs", source: late.into() })
                });
                (log, payload, failures, result)
            })
            .buffer_unordered(PARALLEL);
        let mut outcome = Ok(());
        while let Some((log, payload, failures, result)) = stored.next().await {
            match result {
                Ok(_) => self.room.add_permits(payload.content_length()),
                // One log that can never be stored must not keep the others out.
                Err(error) if failures + 1 >= ATTEMPTS => {
                    tracing::error!(%log, %error, "output is lost: it could not be stored");
                    self.room.add_permits(payload.content_length());
                }
                Err(error) => {
                    let mut waiting = self.lock();
                    let part = waiting.parts.entry(log).or_default();
                    let newer = std::mem::take(&mut part.lines);
                    part.lines = payload.iter().flatten().copied().chain(newer).collect();
                    part.failures = failures + 1;
                    drop(waiting);
                    outcome = Err(error);
                }
            }
        }
        outcome
    }

    /// The key of the next part of a log. Keys sort by time.
    fn key(&self, log: &Path) -> Path {
        let number = {
            let mut waiting = self.lock();
            waiting.stored += 1;
            waiting.stored
        };
        let time = self.clock.now();
        log.clone().join(format!("{time:.3}-{}-{number:08}.jsonl", self.writer))
    }
}

fn line(id: &str, message: LogMessage, arrived: Timestamp) -> String {
    let LogMessage { media_type, payload, timestamp } = message;
    let mut members = vec![
        ("id", Value::from(id)),
        ("time", timestamp.unwrap_or(arrived).to_string().into()),
        ("payload", Value::from_bytes(&payload)),
    ];
    if !media_type.is_empty() {
        members.push(("mediaType", media_type.into()));
    }
    Value::map(members).to_json()
}

/// The logs below one context.
#[derive(Debug)]
struct CallerLogs {
    logs: ObjectLogs,
    context: String,
}

impl CallerLogs {
    /// What ties an id to this caller: another caller has no such log.
    fn seal(&self, random: &str, name: &str) -> String {
        let sum = Sha256::new()
            .chain_update(self.context.len().to_be_bytes())
            .chain_update(&self.context)
            .chain_update(random)
            .chain_update(name)
            .finalize();
        hex::encode(sum.iter().take(8).copied().collect::<Vec<_>>())
    }

    /// Where the parts of a log go. The id says it all, so that any replica can take a message.
    fn directory(&self, id: &str) -> Option<Path> {
        let mut parts = id.splitn(3, '.');
        let (random, seal, name) = (parts.next()?, parts.next()?, parts.next()?);
        let name = String::from_utf8(URL_SAFE_NO_PAD.decode(name).ok()?).ok()?;
        let is_ours = Uuid::try_parse(random).is_ok() && name.len() <= LONGEST_NAME;
        if !is_ours || self.seal(random, &name) != seal {
            return None;
        }
        let context = self.context.split('/').filter(|part| !part.is_empty());
        let parts = context.chain([name.as_str(), random]).map(PathPart::from);
        Some(self.logs.0.root.parts().chain(parts).collect())
    }
}

#[async_trait]
impl LogSink for CallerLogs {
    async fn create(&self, name: &str) -> Result<Option<String>, StoreError> {
        if name.is_empty() || name.len() > LONGEST_NAME {
            return Err(StoreError::Refused {
                doing: "begin a log".to_owned(),
                problem: format!("the name of a log has 1 to {LONGEST_NAME} bytes"),
            });
        }
        let random = Uuid::new_v4().simple().to_string();
        let seal = self.seal(&random, name);
        Ok(Some(format!("{random}.{seal}.{}", URL_SAFE_NO_PAD.encode(name))))
    }

    async fn append(&self, log: &str, message: LogMessage) -> Result<Option<String>, StoreError> {
        let directory = self.directory(log).ok_or_else(|| StoreError::Refused {
            doing: "add to a log".to_owned(),
            problem: "this caller has no such log".to_owned(),
        })?;
        self.logs.0.add(directory, message).await.map(Some)
    }
}
