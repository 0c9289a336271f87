use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use secrecy::ExposeSecret as _;

use super::room::{MAX_CHOSEN, key_length};
use super::{
    Decorator, Definition, Journal, Message, MessageSource, Output, SecretStore, StepStatus,
    StoreError,
};
use crate::action::StepName;
use crate::expr::Expression;
use crate::value::{Map, SecretValue, Value};

/// A definition in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryDefinition {
    /// The action's spec.
    pub spec: Option<Expression>,
    /// The action's environment.
    pub environment: Option<Expression>,
    /// The action's conditions.
    pub conditions: Option<Expression>,
    /// The parameters of its run.
    pub parameters: Map,
}

#[async_trait]
impl Definition for MemoryDefinition {
    async fn spec(&self) -> Result<Option<Expression>, StoreError> {
        Ok(self.spec.clone())
    }

    async fn environment(&self) -> Result<Option<Expression>, StoreError> {
        Ok(self.environment.clone())
    }

    async fn conditions(&self) -> Result<Option<Expression>, StoreError> {
        Ok(self.conditions.clone())
    }

    async fn parameters(&self) -> Result<Map, StoreError> {
        Ok(self.parameters.clone())
    }

    async fn parameter(&self, name: &str) -> Result<Option<Value>, StoreError> {
        Ok(self.parameters.get(name).cloned())
    }
}

/// The journal of a run in memory: clones share it, and [`MemoryJournal::for_step`] gives the view
/// of one step.
#[derive(Clone, Debug)]
pub struct MemoryJournal {
    caller: Option<StepName>,
    run: Arc<Mutex<Run>>,
}

#[derive(Debug, Default)]
struct Run {
    steps: BTreeMap<StepName, Entries>,
    /// How many bytes what steps chose to store would take in a cluster.
    chosen: usize,
}

#[derive(Debug, Default)]
struct Entries {
    /// The size of each entry of these kinds.
    sizes: BTreeMap<(Kind, String), usize>,
    outputs: BTreeMap<String, Value>,
    sensitive: BTreeMap<String, bool>,
    state: BTreeMap<String, Value>,
    status: Option<StepStatus>,
    messages: Vec<Message>,
    decorators: BTreeMap<String, Decorator>,
}

/// What a step chooses to store, with the part of the key that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Output,
    Metadata,
    Message,
    Decorator,
}

impl Kind {
    fn part(self) -> &'static str {
        match self {
            Self::Output => "output.",
            Self::Metadata => "metadata.output.",
            Self::Message => "message.",
            Self::Decorator => "decorator.",
        }
    }
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryJournal {
    /// An empty journal that belongs to no step yet.
    #[must_use]
    pub fn new() -> Self {
        Self { caller: None, run: Arc::default() }
    }

    /// The same journal as this step sees it.
    #[must_use]
    pub fn for_step(&self, step: StepName) -> Self {
        Self { caller: Some(step), run: Arc::clone(&self.run) }
    }

    /// Sets a state of the calling step, which only the operator does elsewhere.
    pub fn set_state(&self, name: &str, value: Value) {
        if let Some(caller) = self.caller.clone() {
            self.lock().steps.entry(caller).or_default().state.insert(name.to_owned(), value);
        }
    }

    /// Sets an output of the calling step, as [`Journal::set_output`] does, without waiting and
    /// whether or not there is room for it.
    pub fn put_output(&self, name: &str, value: Value) {
        if let Some(caller) = self.caller.clone() {
            self.lock().steps.entry(caller).or_default().outputs.insert(name.to_owned(), value);
        }
    }

    /// The messages of a step, oldest first.
    #[must_use]
    pub fn messages(&self, step: &StepName) -> Vec<Message> {
        self.lock().steps.get(step).map(|entries| entries.messages.clone()).unwrap_or_default()
    }

    /// The decorators of a step.
    #[must_use]
    pub fn decorators(&self, step: &StepName) -> BTreeMap<String, Decorator> {
        self.lock().steps.get(step).map(|entries| entries.decorators.clone()).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Run> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn caller(&self) -> Result<StepName, StoreError> {
        self.caller.clone().ok_or_else(|| StoreError::Refused {
            doing: "write to the journal".to_owned(),
            problem: "it belongs to no step".to_owned(),
        })
    }

    /// Writes what the step chose to store, as long as there is room: `text` is how many bytes it
    /// takes beside its key.
    fn write_chosen(
        &self,
        kind: Kind,
        name: &str,
        text: usize,
        change: impl FnOnce(&mut Entries),
    ) -> Result<(), StoreError> {
        let caller = self.caller()?;
        let size = key_length(kind.part(), name)? + text;
        let mut guard = self.lock();
        let run = &mut *guard;
        let entries = run.steps.entry(caller).or_default();
        let entry = (kind, name.to_owned());
        let others = run.chosen - entries.sizes.get(&entry).copied().unwrap_or_default();
        if others + size > MAX_CHOSEN {
            return Err(StoreError::TooLarge { doing: "write to the journal".to_owned(), size });
        }
        entries.sizes.insert(entry, size);
        run.chosen = others + size;
        change(entries);
        Ok(())
    }

    fn write(&self, change: impl FnOnce(&mut Entries)) -> Result<(), StoreError> {
        change(self.lock().steps.entry(self.caller()?).or_default());
        Ok(())
    }
}

impl Entries {
    fn output(&self, name: &str) -> Option<Output> {
        let value = self.outputs.get(name)?.clone();
        Some(Output { value, sensitive: self.sensitive.get(name).copied() })
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn output(&self, step: &StepName, name: &str) -> Result<Option<Output>, StoreError> {
        Ok(self.lock().steps.get(step).and_then(|entries| entries.output(name)))
    }

    async fn outputs(&self) -> Result<BTreeMap<StepName, BTreeMap<String, Output>>, StoreError> {
        let named = |entries: &Entries| {
            let names = entries.outputs.keys();
            names.filter_map(|name| Some((name.clone(), entries.output(name)?))).collect()
        };
        let run = self.lock();
        Ok(run.steps.iter().map(|(step, entries)| (step.clone(), named(entries))).collect())
    }

    async fn set_output(&self, name: &str, value: Value) -> Result<(), StoreError> {
        // Whether it is sensitive may be said later.
        key_length(Kind::Metadata.part(), name)?;
        let text = value.to_json().len();
        self.write_chosen(Kind::Output, name, text, |entries| {
            entries.outputs.insert(name.to_owned(), value);
        })
    }

    async fn set_output_sensitive(&self, name: &str, sensitive: bool) -> Result<(), StoreError> {
        self.write_chosen(Kind::Metadata, name, r#"{"Sensitive":false}"#.len(), |entries| {
            entries.sensitive.insert(name.to_owned(), sensitive);
        })
    }

    async fn state(&self, name: &str) -> Result<Option<Value>, StoreError> {
        let caller = self.caller.as_ref();
        let run = self.lock();
        Ok(caller.and_then(|caller| run.steps.get(caller)?.state.get(name).cloned()))
    }

    async fn status(&self, step: &StepName) -> Result<Option<StepStatus>, StoreError> {
        Ok(self.lock().steps.get(step).and_then(|entries| entries.status.clone()))
    }

    async fn set_status(&self, status: StepStatus) -> Result<(), StoreError> {
        self.write(|entries| entries.status = Some(status))
    }

    async fn add_message(&self, message: Message) -> Result<(), StoreError> {
        let name = self.messages(&self.caller()?).len().to_string();
        let expression = match &message.source {
            MessageSource::WhenEvaluation { expression }
            | MessageSource::SpecValidation { expression } => expression.to_json().len(),
            MessageSource::Log => 0,
        };
        let text = message.details.len() + expression;
        self.write_chosen(Kind::Message, &name, text, |entries| entries.messages.push(message))
    }

    async fn set_decorator(&self, name: &str, decorator: Decorator) -> Result<(), StoreError> {
        let Decorator::Link { description, uri } = &decorator;
        let texts = [name, description, uri].map(|text| Value::from(text).to_json().len());
        let text =
            r#"{"link":{"description":,"uri":},"name":}"#.len() + texts.iter().sum::<usize>();
        self.write_chosen(Kind::Decorator, name, text, |entries| {
            entries.decorators.insert(name.to_owned(), decorator);
        })
    }
}

/// Secrets and connections in memory.
#[derive(Clone, Debug, Default)]
pub struct MemorySecrets {
    secrets: BTreeMap<String, Arc<SecretValue>>,
    connections: BTreeMap<String, BTreeMap<String, Arc<SecretValue>>>,
}

impl MemorySecrets {
    /// Adds a secret.
    #[must_use]
    pub fn with_secret(mut self, name: &str, value: Value) -> Self {
        self.secrets.insert(name.to_owned(), Arc::new(SecretValue::new(Box::new(value))));
        self
    }

    /// Adds a connection, whose value is an object of fields.
    #[must_use]
    pub fn with_connection(mut self, kind: &str, name: &str, fields: Value) -> Self {
        let named = self.connections.entry(kind.to_owned()).or_default();
        named.insert(name.to_owned(), Arc::new(SecretValue::new(Box::new(fields))));
        self
    }
}

impl MemorySecrets {
    /// The same with these in addition; where both have a name, `later` counts.
    #[must_use]
    pub fn merged_with(mut self, later: Self) -> Self {
        self.secrets.extend(later.secrets);
        for (kind, named) in later.connections {
            self.connections.entry(kind).or_default().extend(named);
        }
        self
    }
}

fn copy(value: &SecretValue) -> SecretValue {
    SecretValue::new(Box::new(value.expose_secret().clone()))
}

#[async_trait]
impl SecretStore for MemorySecrets {
    async fn secret(&self, name: &str) -> Result<Option<SecretValue>, StoreError> {
        Ok(self.secrets.get(name).map(|value| copy(value)))
    }

    async fn secrets(&self) -> Result<BTreeMap<String, SecretValue>, StoreError> {
        Ok(self.secrets.iter().map(|(name, value)| (name.clone(), copy(value))).collect())
    }

    async fn connection(&self, kind: &str, name: &str) -> Result<Option<SecretValue>, StoreError> {
        Ok(self.connections.get(kind).and_then(|named| named.get(name)).map(|value| copy(value)))
    }

    async fn connections(
        &self,
    ) -> Result<BTreeMap<String, BTreeMap<String, SecretValue>>, StoreError> {
        let copies = |named: &BTreeMap<String, Arc<SecretValue>>| {
            named.iter().map(|(name, value)| (name.clone(), copy(value))).collect()
        };
        Ok(self.connections.iter().map(|(kind, named)| (kind.clone(), copies(named))).collect())
    }
}
