//! Values: what trees, parameters, outputs and secrets are made of (`expressions.md` §2).
//!
//! A [`Value`] is JSON-like data with three additions: integers keep all 64 bits, strings may be
//! bytes that are not UTF-8, and timestamps are a kind of their own. Containers are shared, so
//! cloning any value takes constant time.

mod json;
mod number;
mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use secrecy::zeroize::Zeroize;

pub(crate) use json::decode;
pub use json::{JsonError, MAX_DEPTH, TransferError, decode_transfer_text, encode_transfer_text};
pub use number::Number;

/// The members of an object, sorted by key.
pub type Map = BTreeMap<Arc<str>, Value>;

/// A secret or a connection: redacted in `Debug`, wiped when dropped.
pub type SecretValue = secrecy::SecretBox<Value>;

/// Any value of the workflow language.
///
/// ```
/// use relay_core::Value;
///
/// let value = Value::from_json(r#"{"name": "otter", "letters": 5}"#)?;
/// assert_eq!(value.get("letters").and_then(Value::as_i64), Some(5));
/// assert_eq!(value.to_json(), r#"{"letters":5,"name":"otter"}"#);
/// # Ok::<(), relay_core::JsonError>(())
/// ```
#[derive(Clone, Default, PartialEq)]
pub enum Value {
    /// Nothing; not the same as a value that could not be resolved.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer of 64 bits or a double.
    Number(Number),
    /// Text that is UTF-8.
    Text(Arc<str>),
    /// A string that is not UTF-8. Made by [`Value::from_bytes`], which prefers [`Value::Text`].
    Bytes(Arc<[u8]>),
    /// A point in time, from `now()` or a YAML date.
    Time(Timestamp),
    /// A list.
    List(Arc<[Self]>),
    /// An object, keys sorted by bytes.
    Map(Arc<Map>),
}

/// The kinds of [`Value`], by the names that messages use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueKind {
    /// `null`
    Null,
    /// `boolean`
    Bool,
    /// `number`
    Number,
    /// `string`, whether UTF-8 or not
    String,
    /// `timestamp`
    Time,
    /// `list`
    List,
    /// `object`
    Map,
}

impl fmt::Display for ValueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool => "boolean",
            Self::Number => "number",
            Self::String => "string",
            Self::Time => "timestamp",
            Self::List => "list",
            Self::Map => "object",
        })
    }
}

impl Value {
    /// A string of these bytes: text when they are UTF-8, bytes otherwise.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.into()),
            Err(_) => Self::Bytes(bytes.into()),
        }
    }

    /// An object of these members; a later duplicate wins.
    pub fn map<K: Into<Arc<str>>>(members: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Map(Arc::new(members.into_iter().map(|(k, v)| (k.into(), v)).collect()))
    }

    /// A list of these items.
    pub fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self::List(items.into_iter().collect())
    }

    /// Which kind of value this is.
    #[must_use]
    pub fn kind(&self) -> ValueKind {
        match self {
            Self::Null => ValueKind::Null,
            Self::Bool(_) => ValueKind::Bool,
            Self::Number(_) => ValueKind::Number,
            Self::Text(_) | Self::Bytes(_) => ValueKind::String,
            Self::Time(_) => ValueKind::Time,
            Self::List(_) => ValueKind::List,
            Self::Map(_) => ValueKind::Map,
        }
    }

    /// The member of an object; `None` for other kinds.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_map().and_then(|map| map.get(key))
    }

    /// The members, if this is an object.
    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The items, if this is a list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The text, if this is a string that is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes, if this is a string.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text.as_bytes()),
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The boolean, without any conversion.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The integer, if this is a number that is one.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    /// Whether this is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Calls `visit` with the text of every string in this value, keys excluded. The masking of
    /// secrets in logs is built on this.
    pub fn for_each_string(&self, visit: &mut dyn FnMut(&[u8])) {
        crate::stack::grow(|| match self {
            Self::List(items) => items.iter().for_each(|item| item.for_each_string(visit)),
            Self::Map(map) => map.values().for_each(|value| value.for_each_string(visit)),
            _ => {
                if let Some(bytes) = self.as_bytes() {
                    visit(bytes);
                }
            }
        });
    }
}

/// Prints transfer JSON. Values are data of users: nothing here knows which of them are secret, so
/// secrets travel as [`SecretValue`].
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}

impl Zeroize for Value {
    fn zeroize(&mut self) {
        match self {
            Self::Text(text) => {
                if let Some(text) = Arc::get_mut(text) {
                    text.zeroize();
                }
            }
            Self::Bytes(bytes) => {
                if let Some(bytes) = Arc::get_mut(bytes) {
                    bytes.zeroize();
                }
            }
            Self::List(items) => {
                if let Some(items) = Arc::get_mut(items) {
                    items.iter_mut().for_each(Zeroize::zeroize);
                }
            }
            Self::Map(map) => {
                if let Some(map) = Arc::get_mut(map) {
                    map.values_mut().for_each(Zeroize::zeroize);
                }
            }
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Time(_) => {}
        }
        *self = Self::Null;
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Number(Number::Int(value))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Number(Number::Float(value))
    }
}

impl From<Number> for Value {
    fn from(value: Number) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value.into())
    }
}

impl From<Vec<Self>> for Value {
    fn from(value: Vec<Self>) -> Self {
        Self::List(value.into())
    }
}

impl From<Map> for Value {
    fn from(value: Map) -> Self {
        Self::Map(Arc::new(value))
    }
}
