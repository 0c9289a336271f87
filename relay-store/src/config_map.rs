//! The stores of one caller on the two ConfigMaps of its run.

use std::collections::BTreeMap;

use async_trait::async_trait;
use kube::Client;
use relay_core::{
    Action, Decorator, Definition, Expression, Journal, Map, Message, Output, RunId, StepName,
    StepStatus, StoreError, Value,
};

use crate::key;
use crate::record::{self, StepRecord, damaged, read_value};
use crate::stored::{Snapshot, Stored};

/// What the author wrote for an action, in the immutable ConfigMap of its run.
///
/// An instance reads its map once: make one for each request, or let [`ConfigMaps`](crate::ConfigMaps)
/// make it.
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

    pub(crate) fn on(map: Stored, action: Action) -> Self {
        Self { map, action }
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

    pub(crate) fn on(map: Stored, action: Action) -> Self {
        Self { map, action }
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
        let prefix = key::prefix(&action);
        let Ok(key) = key::output_of(&prefix, name) else { return Ok(None) };
        let Some(snapshot) = self.map.having(&key).await? else { return Ok(None) };
        // Others may have written one whose metadata has no room.
        let metadata = key::output_metadata_of(&prefix, name).ok();
        let sensitive = metadata.and_then(|key| record::read_sensitive(snapshot.get(&key)?));
        Ok(snapshot.value(&key)?.map(|value| Output { value, sensitive }))
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
        // Whether it is sensitive may be said later.
        key::output_metadata(&self.action, name)?;
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
        let read = |snapshot: &Snapshot| {
            let status = snapshot.get(&key).map(|text| record::read_status(text));
            status.transpose().map_err(|error| damaged(&key, error))
        };
        let status = read(&self.map.read().await?)?;
        if status.as_ref().is_some_and(|status| status.process.is_some()) {
            return Ok(status);
        }
        // That a step has not ended is a negative answer too.
        read(&self.map.read_live().await?)
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
