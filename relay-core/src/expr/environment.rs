//! What is known while evaluating.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

use super::limits::Limits;
use super::reference::{Collection, Reference};
use crate::value::Value;

/// The values that evaluation may use. A reference is known, known to be missing, or not asked
/// for yet; evaluation says which ones it needed.
#[derive(Clone)]
pub struct Environment {
    references: BTreeMap<Reference, Option<Value>>,
    collections: BTreeMap<Collection, Value>,
    now: Timestamp,
    limits: Limits,
}

/// Something that evaluation needed and did not find in its environment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Wanted {
    /// One reference.
    Reference(Reference),
    /// All members of a kind.
    Collection(Collection),
}

/// Names what is known, and no value: some are secret.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("references", &self.references.keys())
            .field("collections", &self.collections.keys())
            .field("now", &self.now)
            .finish()
    }
}

pub(crate) enum Known<'e> {
    Found(&'e Value),
    Missing,
    NotAsked,
}

impl Environment {
    /// An environment that knows the time and nothing else.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            references: BTreeMap::new(),
            collections: BTreeMap::new(),
            now,
            limits: Limits::default(),
        }
    }

    /// The same, with these limits for each evaluation.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The time of `now()`.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Makes a reference known; `None` says that there is nothing.
    pub fn insert(&mut self, reference: Reference, value: Option<Value>) {
        self.references.insert(reference, value);
    }

    /// Makes a collection known: an object of its members, nested for connections and outputs.
    pub fn insert_collection(&mut self, collection: Collection, members: Value) {
        self.collections.insert(collection, members);
    }

    pub(crate) fn get(&self, reference: &Reference) -> Known<'_> {
        match self.references.get(reference) {
            Some(Some(value)) => Known::Found(value),
            Some(None) => Known::Missing,
            None => Known::NotAsked,
        }
    }

    pub(crate) fn collection(&self, collection: &Collection) -> Option<&Value> {
        self.collections.get(collection)
    }
}
