//! Sample mode (`metadata-api.md` §7.3): runs, secrets and triggers from files, kept in memory, for
//! those who write steps. Each step and trigger presents a token.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use relay_core::{Claims, Hs256Key, TokenSigner as _};
//! use relay_metadata::sample::Sample;
//! use relay_metadata::{Router, TokenAuthenticator};
//!
//! let file = "runs: {'1': {steps: {default: {spec: {greeting: hello}}}}}";
//! let sample = Sample::from_yaml(file).map_err(|problems| problems[0].clone())?;
//!
//! let key = Arc::new(Hs256Key::generate());
//! for action in sample.actions() {
//!     let _token = key.sign(&Claims::for_action(&action)).await?;
//! }
//! let router = Router::new(Arc::new(TokenAuthenticator::new(key, Arc::new(sample.callers()))));
//! # drop(router);
//! # Ok(()) }
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use relay_core::yaml::{self, Node, Problem, ProblemKind, Tag};
use relay_core::{
    Action, Event, EventSink, Expression, LogMessage, LogSink, Map, MemoryDefinition,
    MemoryJournal, MemorySecrets, RunId, StepName, StoreError, Stores, TriggerName, Value,
};

/// What the files hold.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    secrets: MemorySecrets,
    runs: BTreeMap<RunId, BTreeMap<StepName, Step>>,
    triggers: BTreeSet<TriggerName>,
}

#[derive(Clone, Debug)]
struct Step {
    definition: MemoryDefinition,
    image: Option<String>,
    outputs: Map,
    state: Map,
}

impl Sample {
    /// Reads a file. All parts may be left out, and unknown ones say nothing.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the text, with places and without values.
    pub fn from_yaml(text: &str) -> Result<Self, Vec<Problem>> {
        let stream = yaml::read(text);
        let mut reader = Reader(stream.problems);
        let sample = match stream.documents.first() {
            Some(root) => reader.sample(&root.with_dates_as_text()),
            None => Self::default(),
        };
        if reader.0.is_empty() { Ok(sample) } else { Err(reader.0) }
    }

    /// The same with another file on top: where both have a name, `later` counts. Runs are replaced
    /// as a whole.
    #[must_use]
    pub fn merged_with(mut self, later: Self) -> Self {
        self.runs.extend(later.runs);
        self.triggers.extend(later.triggers);
        Self { secrets: self.secrets.merged_with(later.secrets), ..self }
    }

    /// All steps and triggers: runs and steps by name, then triggers.
    pub fn actions(&self) -> impl Iterator<Item = Action> {
        let steps = self.runs.iter().flat_map(|(run, steps)| {
            steps.keys().map(|name| Action::step(run.clone(), name.clone()))
        });
        steps.chain(self.triggers.iter().map(|name| Action::Trigger { name: name.clone() }))
    }

    /// What each of them may use (`metadata-api.md` §5). The steps of a run share its outputs and
    /// statuses, all share the secrets; triggers have secrets and events and nothing else.
    #[must_use]
    pub fn callers(self) -> HashMap<Action, Stores> {
        let shared = Stores {
            secrets: Some(Arc::new(self.secrets)),
            events: Some(Arc::new(LoggedEvents)),
            ..Stores::default()
        };
        let mut callers = HashMap::new();
        for (run, steps) in self.runs {
            let journal = MemoryJournal::new();
            for (name, step) in steps {
                let own = journal.for_step(name.clone());
                step.outputs.into_iter().for_each(|(name, value)| own.put_output(&name, value));
                step.state.into_iter().for_each(|(name, value)| own.set_state(&name, value));
                let stores = Stores {
                    definition: Some(Arc::new(step.definition)),
                    journal: Some(Arc::new(own)),
                    logs: Some(Arc::new(NoLogs)),
                    image: step.image,
                    ..shared.clone()
                };
                callers.insert(Action::step(run.clone(), name), stores);
            }
        }
        for name in self.triggers {
            callers.insert(Action::Trigger { name }, shared.clone());
        }
        callers
    }
}

/// Reads a file and collects what is wrong with it.
struct Reader(Vec<Problem>);

impl Reader {
    fn sample(&mut self, root: &Node) -> Sample {
        self.entries(root, "the file");
        let secrets = MemorySecrets::from_document(root, &mut self.0);
        let runs = self.section(root, "runs");
        let runs = runs
            .into_iter()
            .filter_map(|(key, run)| {
                let steps = self.run(run);
                Some((self.name(key)?, steps))
            })
            .collect();
        let triggers = self.section(root, "triggers");
        let triggers = triggers.into_iter().filter_map(|(key, _)| self.name(key)).collect();
        Sample { secrets, runs, triggers }
    }

    fn run(&mut self, run: &Node) -> BTreeMap<StepName, Step> {
        self.entries(run, "a run");
        let parameters = self.values(run, "parameters");
        let steps = self.section(run, "steps");
        steps
            .into_iter()
            .filter_map(|(key, step)| {
                let step = self.step(step, &parameters);
                Some((self.name(key)?, step))
            })
            .collect()
    }

    fn step(&mut self, step: &Node, parameters: &Map) -> Step {
        self.entries(step, "a step");
        let conditions = step.get("conditions").map(|conditions| self.tree(conditions));
        let image = step.get("image").filter(|image| !image.is_null());
        Step {
            definition: MemoryDefinition {
                spec: self.expressions(step, "spec"),
                environment: self.expressions(step, "env"),
                conditions: conditions
                    .filter(|tree| !tree.is_null())
                    .map(|tree| Expression::parse(&tree)),
                parameters: parameters.clone(),
            },
            image: image.and_then(|image| {
                let text = image.as_scalar().map(|text| (**text).to_owned());
                if text.is_none() {
                    self.wrong(image, "`image` is text");
                }
                text
            }),
            outputs: self.values(step, "outputs"),
            state: self.values(step, "state"),
        }
    }

    /// A map of expressions; `None` where it is missing or null.
    fn expressions(&mut self, step: &Node, name: &str) -> Option<Expression> {
        let body = step.get(name).filter(|body| !body.is_null())?;
        if body.as_mapping().is_none() || matches!(body.tag, Some(Tag::Local(_))) {
            self.wrong(body, &format!("`{name}` is a map"));
        }
        Some(Expression::parse(&self.tree(body)))
    }

    /// A map of values, in which nothing is an expression.
    fn values(&mut self, node: &Node, name: &str) -> Map {
        let entries = self.section(node, name);
        entries
            .into_iter()
            .filter_map(|(key, value)| {
                let tree = self.tree(value);
                let value = tree.clone().decode_transfer().unwrap_or(tree);
                let Some(name) = key.as_scalar() else {
                    self.wrong(key, "a name is text");
                    return None;
                };
                Some((Arc::clone(name), value))
            })
            .collect()
    }

    fn tree(&mut self, node: &Node) -> Value {
        let tree = node.to_tree(&mut self.0);
        if tree.first_unencodable().is_some() {
            self.wrong(node, "infinities and NaN cannot be sent as JSON");
        }
        tree
    }

    fn section<'n>(&mut self, node: &'n Node, name: &str) -> Vec<(&'n Node, &'n Node)> {
        match node.get(name) {
            Some(body) => self.entries(body, &format!("`{name}`")),
            None => Vec::new(),
        }
    }

    /// The entries of a map; none of null.
    fn entries<'n>(&mut self, node: &'n Node, what: &str) -> Vec<(&'n Node, &'n Node)> {
        if let Some(entries) = node.as_mapping() {
            return entries.iter().map(|(key, value)| (key, value)).collect();
        }
        if !node.is_null() {
            self.wrong(node, &format!("{what} is a map"));
        }
        Vec::new()
    }

    fn name<N: FromStr<Err: fmt::Display>>(&mut self, key: &Node) -> Option<N> {
        let Some(text) = key.as_scalar() else {
            self.wrong(key, "a name is text");
            return None;
        };
        match text.parse() {
            Ok(name) => Some(name),
            Err(error) => {
                self.wrong(key, &format!("{error}"));
                None
            }
        }
    }

    fn wrong(&mut self, node: &Node, text: &str) {
        let (kind, location) = (ProblemKind::BadShape, node.location);
        self.0.push(Problem { kind, location, text: text.to_owned(), anchor: None });
    }
}

/// Writes events to the log, whole: there is nobody else to show them to.
#[derive(Debug)]
struct LoggedEvents;

#[async_trait]
impl EventSink for LoggedEvents {
    async fn emit(&self, event: Event) -> Result<(), StoreError> {
        let data = Value::from(event.data).to_json();
        tracing::info!(%data, key = event.key.as_deref().unwrap_or_default(), "received event");
        Ok(())
    }
}

/// Takes output and keeps nothing of it.
#[derive(Debug)]
struct NoLogs;

#[async_trait]
impl LogSink for NoLogs {
    async fn create(&self, _: &str) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    async fn append(&self, _: &str, _: LogMessage) -> Result<Option<String>, StoreError> {
        Ok(None)
    }
}
