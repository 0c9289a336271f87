//! One ConfigMap: read once for each request, or from a watch, and written by patches.

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use relay_core::{Expression, StoreError, Value};
use serde_json::json;
use tokio::sync::OnceCell;

use crate::record::{damaged, read_value};
use crate::watched::{Watch, Watches};

/// How full steps may make a map with what they choose to store: statuses have to fit too.
const MAX_CHOSEN: usize = relay_core::MAX_CHOSEN;

pub(crate) type Data = BTreeMap<String, String>;

/// A ConfigMap that is read at most once per instance until it is written, so that a request with
/// many references makes one call, or none where a watch holds it.
#[derive(Debug)]
pub(crate) struct Stored {
    place: Place,
    name: Arc<str>,
    /// Filled by the first reader, for which the others wait; replaced by each write.
    data: Mutex<Cell>,
    turns: Turns,
}

#[derive(Debug)]
enum Place {
    Named(Box<Api<ConfigMap>>),
    Watched(Arc<Watch<ConfigMap>>),
}

/// Who may write to which map: one after another within this process, since an API server refuses
/// writes that meet. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns(Arc<Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>>);

impl Turns {
    fn of(&self, place: String) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = turns.entry(place).or_default();
        turn.upgrade().unwrap_or_else(|| {
            let new = Arc::default();
            *turn = Arc::downgrade(&new);
            new
        })
    }
}

/// What a map says, once it was read.
pub(crate) type Cell = Arc<OnceCell<Snapshot>>;

/// What was parsed of the entries of a map, by key: once for all requests that see this map.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    trees: Mutex<HashMap<String, Expression>>,
    values: Mutex<HashMap<String, Value>>,
}

/// A map as it was at some time.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    map: Arc<ConfigMap>,
    parsed: Arc<Parsed>,
    /// Whether it comes from a watch. Then what is not in it may be there all the same.
    watched: bool,
}

impl Snapshot {
    fn of(map: ConfigMap) -> Self {
        Self { map: Arc::new(map), parsed: Arc::default(), watched: false }
    }

    pub(crate) fn value(&self, key: &str) -> Result<Option<Value>, StoreError> {
        let mut values = self.parsed.values.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = values.get(key) {
            return Ok(Some(value.clone()));
        }
        let Some(text) = self.get(key) else { return Ok(None) };
        let value = read_value(text).ok_or_else(|| damaged(key, "no transfer JSON"))?;
        values.insert(key.to_owned(), value.clone());
        Ok(Some(value))
    }

    fn expression(&self, key: &str) -> Result<Option<Expression>, StoreError> {
        let mut trees = self.parsed.trees.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tree) = trees.get(key) {
            return Ok(Some(tree.clone()));
        }
        let Some(text) = self.get(key) else { return Ok(None) };
        let tree = Value::from_json(text).map_err(|error| damaged(key, error))?;
        if tree.is_null() {
            return Ok(None);
        }
        let tree = Expression::parse(&tree);
        trees.insert(key.to_owned(), tree.clone());
        Ok(Some(tree))
    }
}

impl Deref for Snapshot {
    type Target = Data;

    fn deref(&self) -> &Data {
        static EMPTY: Data = Data::new();
        self.map.data.as_ref().unwrap_or(&EMPTY)
    }
}

impl Stored {
    pub(crate) fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self::at(Place::Named(Box::new(Api::namespaced(client, namespace))), name)
    }

    pub(crate) fn watched(watches: &Watches<ConfigMap>, namespace: &str, name: &str) -> Self {
        Self::at(Place::Watched(watches.named(namespace, name)), name)
    }

    fn at(place: Place, name: &str) -> Self {
        Self { place, name: name.into(), data: Mutex::default(), turns: Turns::default() }
    }

    /// The same, which waits for its turn to write among those who share these.
    pub(crate) fn with_turns(self, turns: &Turns) -> Self {
        Self { turns: turns.clone(), ..self }
    }

    fn api(&self) -> &Api<ConfigMap> {
        match &self.place {
            Place::Named(api) => api,
            Place::Watched(watch) => watch.api(),
        }
    }

    fn backend(&self, verb: &str, source: kube::Error) -> StoreError {
        StoreError::Backend {
            doing: format!("{verb} ConfigMap {}", self.name),
            source: Box::new(source),
        }
    }

    pub(crate) fn cell(&self) -> MutexGuard<'_, Cell> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn read(&self) -> Result<Snapshot, StoreError> {
        let cell = Arc::clone(&self.cell());
        if let Some(snapshot) = cell.get() {
            return Ok(snapshot.clone());
        }
        if let Place::Watched(watch) = &self.place
            && let Some(map) = watch.find(|_| true)
        {
            let parsed = watch.parsed(&map);
            let snapshot = Snapshot { map, parsed, watched: true };
            return Ok(cell.get_or_init(|| async { snapshot }).await.clone());
        }
        self.fetch(&cell).await
    }

    /// What the map says now, or since this instance asked for it: what has to be known before it is
    /// said that something is not there (`design.md` decision 1).
    pub(crate) async fn read_live(&self) -> Result<Snapshot, StoreError> {
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
            match self.api().get_opt(&self.name).await {
                Ok(Some(map)) => Ok(Snapshot::of(map)),
                Ok(None) => Err(None),
                Err(error) => Err(Some(error)),
            }
        };
        match cell.get_or_try_init(fetch).await {
            Ok(snapshot) => Ok(snapshot.clone()),
            // That there is none is not kept: it may come.
            Err(None) => Ok(Snapshot::of(ConfigMap::default())),
            Err(Some(error)) => Err(self.backend("read", error)),
        }
    }

    /// The map, if it has this key.
    pub(crate) async fn having(&self, key: &str) -> Result<Option<Snapshot>, StoreError> {
        let snapshot = self.read().await?;
        if snapshot.contains_key(key) {
            return Ok(Some(snapshot));
        }
        if !snapshot.watched {
            return Ok(None);
        }
        Ok(Some(self.read_live().await?).filter(|live| live.contains_key(key)))
    }

    pub(crate) async fn value(&self, key: &str) -> Result<Option<Value>, StoreError> {
        let Some(snapshot) = self.having(key).await? else { return Ok(None) };
        snapshot.value(key)
    }

    pub(crate) async fn expression(&self, key: &str) -> Result<Option<Expression>, StoreError> {
        let Some(snapshot) = self.having(key).await? else { return Ok(None) };
        snapshot.expression(key)
    }

    /// Sets entries that a step chose to store, as long as there is room.
    pub(crate) async fn set_chosen(&self, entries: Data) -> Result<(), StoreError> {
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
    pub(crate) async fn set(&self, entries: Data) -> Result<(), StoreError> {
        let size: usize = entries.iter().map(|(key, text)| key.len() + text.len()).sum();
        let patch = Patch::Merge(json!({ "data": &entries }));
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        let turn = self.turns.of(format!("{}/{}", self.api().resource_url(), self.name));
        let turn = turn.lock().await;
        let mut pause = FIRST_PAUSE;
        let written = loop {
            let written = match self.api().patch_metadata(&self.name, &params, &patch).await {
                Ok(patched) => Ok(patched.metadata),
                Err(kube::Error::Api(status)) if status.code == 404 => self.create(&entries).await,
                Err(error) => Err(error),
            };
            match written {
                Err(error) if pause <= LAST_PAUSE && may_pass(&error) => {
                    tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                    pause = pause.saturating_mul(2);
                }
                written => break written,
            }
        };
        drop(turn);
        *self.cell() = Arc::default();
        match written {
            Ok(written) => {
                if let Place::Watched(watch) = &self.place {
                    watch.wrote(written.resource_version.as_deref());
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

    /// Makes the map that nobody has made yet (`metadata-api.md` §6.2).
    async fn create(&self, entries: &Data) -> Result<ObjectMeta, kube::Error> {
        let metadata =
            ObjectMeta { name: Some(self.name.as_ref().to_owned()), ..Default::default() };
        let map = ConfigMap { metadata, data: Some(entries.clone()), ..Default::default() };
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        Ok(self.api().create(&params, &map).await?.metadata)
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
