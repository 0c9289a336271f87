//! The stores of one caller on the two ConfigMaps of its run.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use relay_core::{
    Action, Decorator, Definition, Expression, Journal, Map, Message, Output, RunId, StepName,
    StepStatus, StoreError, Value,
};
use serde_json::json;
use tokio::sync::OnceCell;

use crate::key;
use crate::record::{self, StepRecord, damaged, read_value};
use crate::watched::{Watch, Watches};

/// How full steps may make a map with what they choose to store: statuses have to fit too.
const MAX_CHOSEN: usize = 900 << 10;

type Data = BTreeMap<String, String>;

/// A ConfigMap that is read at most once per instance until it is written, so that a request with
/// many references makes one call, or none where a watch holds it.
#[derive(Debug)]
struct Stored {
    api: Api<ConfigMap>,
    name: String,
    /// Filled by the first reader, for which the others wait; replaced by each write.
    data: Mutex<Cell>,
    watch: Option<Arc<Watch<ConfigMap>>>,
}

/// What a map says, once it was read.
type Cell = Arc<OnceCell<Snapshot>>;

/// A map as it was at some time.
#[derive(Clone, Debug)]
struct Snapshot {
    map: Arc<ConfigMap>,
    /// Whether it comes from a watch. Then what is not in it may be there all the same.
    watched: bool,
}

impl Deref for Snapshot {
    type Target = Data;

    fn deref(&self) -> &Data {
        static EMPTY: Data = Data::new();
        self.map.data.as_ref().unwrap_or(&EMPTY)
    }
}

impl Stored {
    fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            data: Mutex::default(),
            watch: None,
        }
    }

    fn watched(watches: &Watches<ConfigMap>, namespace: &str, name: &str) -> Self {
        let watch = Some(watches.named(namespace, name));
        Self { watch, ..Self::new(watches.client().clone(), namespace, name) }
    }

    fn backend(&self, verb: &str, source: kube::Error) -> StoreError {
        StoreError::Backend {
            doing: format!("{verb} ConfigMap {}", self.name),
            source: Box::new(source),
        }
    }

    fn cell(&self) -> MutexGuard<'_, Cell> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(&self) -> Result<Snapshot, StoreError> {
        let cell = Arc::clone(&self.cell());
        if let Some(snapshot) = cell.get() {
            return Ok(snapshot.clone());
        }
        let watched = self.watch.as_ref().and_then(|watch| watch.current().pop());
        if let Some(map) = watched {
            let snapshot = Snapshot { map, watched: true };
            return Ok(cell.get_or_init(|| async { snapshot }).await.clone());
        }
        self.fetch(&cell).await
    }

    /// What the map says now, or since this instance asked for it: what has to be known before it is
    /// said that something is not there (`design.md` decision 1).
    async fn read_live(&self) -> Result<Snapshot, StoreError> {
        let cell = {
            let mut cell = self.cell();
            if cell.get().is_none_or(|snapshot| snapshot.watched) {
                *cell = Arc::default();
            }
            Arc::clone(&cell)
        };
        self.fetch(&cell).await
    }

    async fn fetch(&self, cell: &Cell) -> Result<Snapshot, StoreError> {
        let fetch = || async {
            match self.api.get_opt(&self.name).await {
                Ok(Some(map)) => Ok(Snapshot { map: Arc::new(map), watched: false }),
                Ok(None) => Err(None),
                Err(error) => Err(Some(error)),
            }
        };
        match cell.get_or_try_init(fetch).await {
            Ok(snapshot) => Ok(snapshot.clone()),
            // That there is none is not kept: it may come.
            Err(None) => Ok(Snapshot { map: Arc::default(), watched: false }),
            Err(Some(error)) => Err(self.backend("read", error)),
        }
    }

    async fn get(&self, key: &str) -> Result<Option<String>, StoreError> {
        let snapshot = self.read().await?;
        if let Some(text) = snapshot.get(key) {
            return Ok(Some(text.clone()));
        }
        if snapshot.watched { Ok(self.read_live().await?.get(key).cloned()) } else { Ok(None) }
    }

    async fn value(&self, key: &str) -> Result<Option<Value>, StoreError> {
        self.get(key)
            .await?
            .map(|text| read_value(&text).ok_or_else(|| damaged(key, "no transfer JSON")))
            .transpose()
    }

    async fn expression(&self, key: &str) -> Result<Option<Expression>, StoreError> {
        let Some(text) = self.get(key).await? else { return Ok(None) };
        let tree = Value::from_json(&text).map_err(|error| damaged(key, error))?;
        Ok((!tree.is_null()).then(|| Expression::parse(&tree)))
    }

    /// Sets entries that a step chose to store, as long as there is room.
    async fn set_chosen(&self, entries: Data) -> Result<(), StoreError> {
        let size = |entries: &Data| entries.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>();
        let stored = self.read().await?;
        let replaced: usize =
            entries.keys().filter_map(|key| Some(key.len() + stored.get(key)?.len())).sum();
        let new = size(&entries);
        if size(&stored).saturating_sub(replaced).saturating_add(new) > MAX_CHOSEN {
            let doing = format!("write to ConfigMap {}", self.name);
            return Err(StoreError::TooLarge { doing, size: new });
        }
        self.set(entries).await
    }

    /// Sets entries in one patch, which cannot lose what others write at the same time. An API server
    /// that is busy or out of reach is asked again a few times.
    async fn set(&self, entries: Data) -> Result<(), StoreError> {
        let size: usize = entries.iter().map(|(key, text)| key.len() + text.len()).sum();
        let patch = Patch::Merge(json!({ "data": entries }));
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        let mut pause = FIRST_PAUSE;
        let patched = loop {
            match self.api.patch_metadata(&self.name, &params, &patch).await {
                Err(error) if pause <= LAST_PAUSE && may_pass(&error) => {
                    tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                    pause = pause.saturating_mul(2);
                }
                patched => break patched,
            }
        };
        *self.cell() = Arc::default();
        match patched {
            Ok(written) => {
                if let Some(watch) = &self.watch {
                    watch.wrote(written.metadata.resource_version.as_deref());
                }
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.message.contains("Too long") => {
                let doing = format!("write to ConfigMap {}", self.name);
                Err(StoreError::TooLarge { doing, size })
            }
            Err(error) => Err(self.backend("write to", error)),
        }
    }
}

/// The pauses between attempts to write: four, of less than a second in all.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_millis(400);

/// Whether the same write may succeed a moment later. To write the same twice does no harm.
fn may_pass(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => matches!(status.code, 409 | 429 | 500 | 502 | 503 | 504),
        kube::Error::HyperError(_) | kube::Error::Service(_) => true,
        _ => false,
    }
}

/// The field manager of what steps write.
const MANAGER: &str = "relay-metadata-api";

/// How long an immutable map is not read again. It never changes, but it may be deleted, and another
/// one of its name be made.
const RECENT: Duration = Duration::from_secs(1);

/// The immutable ConfigMaps of the runs that are asked about, each read once a second at most,
/// whatever the number of requests.
pub struct Definitions {
    client: Client,
    /// By namespace and name, with the time of the first request.
    recent: Mutex<HashMap<(String, String), (Instant, Cell)>>,
}

impl Definitions {
    /// Reads through this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, recent: Mutex::default() }
    }

    /// The definition of this action in this map.
    #[must_use]
    pub fn of(&self, namespace: &str, name: &str, action: Action) -> ConfigMapDefinition {
        let now = Instant::now();
        let definition = ConfigMapDefinition::new(self.client.clone(), namespace, name, action);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|_, (first, _)| now.duration_since(*first) < RECENT);
        let (_, cell) = recent
            .entry((namespace.to_owned(), name.to_owned()))
            .or_insert_with(|| (now, Cell::default()));
        definition.map.cell().clone_from(cell);
        definition
    }
}

impl fmt::Debug for Definitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definitions").finish_non_exhaustive()
    }
}

/// What the author wrote for an action, in the immutable ConfigMap of its run.
///
/// An instance reads its map once: make one for each request, or use [`Definitions`].
#[derive(Debug)]
pub struct ConfigMapDefinition {
    map: Stored,
    action: Action,
}

impl ConfigMapDefinition {
    /// The definition of this action in this map.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, action: Action) -> Self {
        Self { map: Stored::new(client, namespace, name), action }
    }

    /// The same from a watch, where it holds the map.
    #[must_use]
    pub fn watched(
        watches: &Watches<ConfigMap>,
        namespace: &str,
        name: &str,
        action: Action,
    ) -> Self {
        Self { map: Stored::watched(watches, namespace, name), action }
    }
}

#[async_trait]
impl Definition for ConfigMapDefinition {
    async fn spec(&self) -> Result<Option<Expression>, StoreError> {
        self.map.expression(&key::spec(&self.action)).await
    }

    async fn environment(&self) -> Result<Option<Expression>, StoreError> {
        self.map.expression(&key::environment(&self.action)).await
    }

    async fn conditions(&self) -> Result<Option<Expression>, StoreError> {
        self.map.expression(&key::condition(&self.action)).await
    }

    async fn parameters(&self) -> Result<Map, StoreError> {
        let data = self.map.read().await?;
        let named = data.iter().filter_map(|(key, text)| Some((key::parameter_name(key)?, text)));
        named
            .map(|(name, text)| match read_value(text) {
                Some(value) => Ok((name.into(), value)),
                None => Err(damaged(&name, "no transfer JSON")),
            })
            .collect()
    }

    async fn parameter(&self, name: &str) -> Result<Option<Value>, StoreError> {
        match key::parameter(name) {
            Ok(key) => self.map.value(&key).await,
            Err(_) => Ok(None),
        }
    }
}

/// What happened in a run, in its mutable ConfigMap, as one action sees it.
///
/// An instance reads its map once until it writes: make one for each request.
#[derive(Debug)]
pub struct ConfigMapJournal {
    map: Stored,
    action: Action,
}

impl ConfigMapJournal {
    /// The journal of this action in this map.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, action: Action) -> Self {
        Self { map: Stored::new(client, namespace, name), action }
    }

    /// The same from a watch, where it holds the map.
    #[must_use]
    pub fn watched(
        watches: &Watches<ConfigMap>,
        namespace: &str,
        name: &str,
        action: Action,
    ) -> Self {
        Self { map: Stored::watched(watches, namespace, name), action }
    }

    fn step(&self, name: &StepName) -> Option<Action> {
        match &self.action {
            Action::Step { run, .. } => Some(Action::step(RunId::clone(run), name.clone())),
            Action::Trigger { .. } => None,
        }
    }

    /// The name goes along with outputs and decorators, for those who list them by hash.
    fn own_name(&self) -> (String, String) {
        (key::name(&self.action), Value::from(self.action.name()).to_json())
    }
}

#[async_trait]
impl Journal for ConfigMapJournal {
    async fn output(&self, step: &StepName, name: &str) -> Result<Option<Output>, StoreError> {
        let Some(action) = self.step(step) else { return Ok(None) };
        let Ok(key) = key::output(&action, name) else { return Ok(None) };
        let Some(value) = self.map.value(&key).await? else { return Ok(None) };
        let snapshot = self.map.read().await?;
        let record = StepRecord::read(&snapshot, &action);
        let sensitive = record.outputs.get(name).and_then(|output| output.sensitive);
        Ok(Some(Output { value, sensitive }))
    }

    async fn outputs(&self) -> Result<BTreeMap<StepName, BTreeMap<String, Output>>, StoreError> {
        let data = self.map.read_live().await?;
        let mut outputs = BTreeMap::new();
        for (key, text) in data.iter() {
            let named = key.starts_with("steps.") && key.ends_with(".name");
            let name = Value::from_json(text).ok().filter(|_| named);
            let Some(Ok(step)) = name.as_ref().and_then(Value::as_str).map(StepName::new) else {
                continue;
            };
            let Some(action) = self.step(&step).filter(|action| key::name(action) == *key) else {
                continue;
            };
            outputs.insert(step, StepRecord::read(&data, &action).outputs);
        }
        Ok(outputs)
    }

    async fn set_output(&self, name: &str, value: Value) -> Result<(), StoreError> {
        let entry = (key::output(&self.action, name)?, value.to_json());
        self.map.set_chosen(BTreeMap::from([entry, self.own_name()])).await
    }

    async fn set_output_sensitive(&self, name: &str, sensitive: bool) -> Result<(), StoreError> {
        let key = key::output_metadata(&self.action, name)?;
        let entry = (key, record::write_output_metadata(sensitive));
        self.map.set_chosen(BTreeMap::from([entry])).await
    }

    async fn state(&self, name: &str) -> Result<Option<Value>, StoreError> {
        match key::state(&self.action, name) {
            Ok(key) => self.map.value(&key).await,
            Err(_) => Ok(None),
        }
    }

    async fn status(&self, step: &StepName) -> Result<Option<StepStatus>, StoreError> {
        let Some(action) = self.step(step) else { return Ok(None) };
        let key = key::status(&action);
        let read = |text: Option<String>| {
            text.map(|text| record::read_status(&text).map_err(|error| damaged(&key, error)))
                .transpose()
        };
        let status = read(self.map.get(&key).await?)?;
        if status.as_ref().is_some_and(|status| status.process.is_some()) {
            return Ok(status);
        }
        // That a step has not ended is a negative answer too.
        read(self.map.read_live().await?.get(&key).cloned())
    }

    async fn set_status(&self, status: StepStatus) -> Result<(), StoreError> {
        let text = record::write_status(self.action.name(), &status);
        self.map.set(BTreeMap::from([(key::status(&self.action), text)])).await
    }

    async fn add_message(&self, message: Message) -> Result<(), StoreError> {
        let id = uuid::Uuid::new_v4().to_string();
        let entry = (key::message(&self.action, &id)?, record::write_message(&id, &message));
        self.map.set_chosen(BTreeMap::from([entry])).await
    }

    async fn set_decorator(&self, name: &str, decorator: Decorator) -> Result<(), StoreError> {
        let entry =
            (key::decorator(&self.action, name)?, record::write_decorator(name, &decorator));
        self.map.set_chosen(BTreeMap::from([entry, self.own_name()])).await
    }
}
