//! Structural schemas: what an object of a kind may hold, and how its parts merge.

mod defaults;
mod path;
mod prune;
mod read;
mod validate;

pub(crate) use read::texts;

use regex::Regex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// The schema of one value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schema {
    pub(crate) shape: Shape,
    pub(crate) nullable: bool,
    /// Unknown fields stay.
    pub(crate) preserve: bool,
    /// The value is an object of the API itself: it has `apiVersion`, `kind` and `metadata`.
    pub(crate) embedded: bool,
    pub(crate) properties: BTreeMap<String, Arc<Self>>,
    pub(crate) additional: Additional,
    pub(crate) items: Option<Arc<Self>>,
    pub(crate) required: Vec<String>,
    pub(crate) default: Option<Value>,
    pub(crate) list: ListType,
    /// The whole map has one owner.
    pub(crate) atomic: bool,
    /// How a strategic merge patch merges this list; an empty key merges plain values.
    pub(crate) patch_key: Option<String>,
    pub(crate) rules: Rules,
}

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Shape {
    /// Anything goes.
    #[default]
    Any,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    IntOrString,
}

/// What a map may hold beside its named properties.
#[derive(Debug, Clone, Default)]
pub(crate) enum Additional {
    /// Nothing: other fields are dropped.
    #[default]
    None,
    /// Values of any shape.
    Any,
    /// Values of one schema.
    Of(Arc<Schema>),
}

/// How the items of a list are told apart.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum ListType {
    /// They are not: the list is one value.
    #[default]
    Atomic,
    /// By their value.
    Set,
    /// By these fields.
    Map(Vec<String>),
}

/// The checks of one value beyond its type.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    pub(crate) allowed: Vec<Value>,
    pub(crate) pattern: Option<Regex>,
    pub(crate) format: Option<String>,
    /// The bound, and whether the bound itself is excluded.
    pub(crate) minimum: Option<(f64, bool)>,
    pub(crate) maximum: Option<(f64, bool)>,
    pub(crate) multiple_of: Option<f64>,
    pub(crate) min_length: Option<u64>,
    pub(crate) max_length: Option<u64>,
    pub(crate) min_items: Option<u64>,
    pub(crate) max_items: Option<u64>,
    pub(crate) min_properties: Option<u64>,
    pub(crate) max_properties: Option<u64>,
    pub(crate) unique: bool,
    pub(crate) all_of: Vec<Schema>,
    pub(crate) any_of: Vec<Schema>,
    pub(crate) one_of: Vec<Schema>,
    pub(crate) not: Option<Box<Schema>>,
}

/// The schema that knows nothing.
static ANY: LazyLock<Schema> = LazyLock::new(Schema::default);

impl Schema {
    /// The schema of a field, or of a map's value.
    pub(crate) fn field(&self, name: &str) -> &Self {
        match (self.properties.get(name), &self.additional) {
            (Some(schema), _) | (None, Additional::Of(schema)) => schema,
            (None, _) => &ANY,
        }
    }

    /// The schema of a list's items.
    pub(crate) fn item(&self) -> &Self {
        self.items.as_deref().unwrap_or(&ANY)
    }

    /// How this schema treats a list. Lists without a schema are one value.
    pub(crate) fn list_type(&self) -> &ListType {
        &self.list
    }
}
