//! The keys of the two ConfigMaps of a run, and how names are escaped in them (`operator.md` §10).
//! The operator and the metadata API both go by this module.
//!
//! A ConfigMap takes `[-._a-zA-Z0-9]` in its keys. Every other byte of a name is written `_.HH`,
//! and so is an underscore before a dot, so that any name can be read back.

use std::fmt::Write as _;

use relay_core::{Action, StoreError};

/// The longest key that an API server takes.
pub const MAX_KEY: usize = relay_core::MAX_KEY;

/// The snapshot of the workflow, in the immutable map.
pub const WORKFLOW: &str = "workflow";

const PARAMETERS: &str = "parameters.";

/// A parameter of the run.
///
/// # Errors
///
/// When the key would be too long; likewise below.
pub fn parameter(name: &str) -> Result<String, StoreError> {
    named(PARAMETERS, "", name)
}

/// The name of the parameter that a key is of.
#[must_use]
pub fn parameter_name(key: &str) -> Option<String> {
    key.strip_prefix(PARAMETERS).map(unescape)
}

/// What all keys of an action begin with.
#[must_use]
pub fn prefix(action: &Action) -> String {
    let mut prefix = String::with_capacity(128);
    let _ = write!(prefix, "{}.{}.", action.plural(), action.hash());
    prefix
}

/// The spec of an action, in the immutable map.
#[must_use]
pub fn spec(action: &Action) -> String {
    prefix(action) + "spec"
}

/// The environment of an action, in the immutable map.
#[must_use]
pub fn environment(action: &Action) -> String {
    prefix(action) + "environment"
}

/// The conditions of an action, in the immutable map.
#[must_use]
pub fn condition(action: &Action) -> String {
    prefix(action) + "condition"
}

/// The script of an action, in the immutable map; plain text.
#[must_use]
pub fn script(action: &Action) -> String {
    prefix(action) + "script"
}

/// The name of a step, in the mutable map.
#[must_use]
pub fn name(action: &Action) -> String {
    prefix(action) + "name"
}

/// The status of a step, in the mutable map.
#[must_use]
pub fn status(action: &Action) -> String {
    prefix(action) + "status"
}

/// A state of an action, in the mutable map.
///
/// # Errors
///
/// When the key would be too long; likewise below.
pub fn state(action: &Action, name: &str) -> Result<String, StoreError> {
    named(&prefix(action), "state.", name)
}

/// An output of a step, in the mutable map.
pub fn output(action: &Action, name: &str) -> Result<String, StoreError> {
    output_of(&prefix(action), name)
}

/// What is known about an output of a step, in the mutable map.
pub fn output_metadata(action: &Action, name: &str) -> Result<String, StoreError> {
    output_metadata_of(&prefix(action), name)
}

/// A decorator of a step, in the mutable map.
pub fn decorator(action: &Action, name: &str) -> Result<String, StoreError> {
    named(&prefix(action), "decorator.", name)
}

/// A message about a step, in the mutable map.
pub fn message(action: &Action, id: &str) -> Result<String, StoreError> {
    named(&prefix(action), "message.", id)
}

/// An output of the step whose keys begin so.
pub(crate) fn output_of(prefix: &str, name: &str) -> Result<String, StoreError> {
    named(prefix, "output.", name)
}

/// What is known about an output of the step whose keys begin so.
pub(crate) fn output_metadata_of(prefix: &str, name: &str) -> Result<String, StoreError> {
    named(prefix, "metadata.output.", name)
}

fn named(prefix: &str, part: &str, name: &str) -> Result<String, StoreError> {
    let mut key = String::with_capacity(prefix.len() + part.len() + name.len());
    key.push_str(prefix);
    key.push_str(part);
    escape(name, &mut key);
    if key.len() <= MAX_KEY {
        return Ok(key);
    }
    Err(StoreError::Refused {
        doing: format!("name an entry {name:.40}…"),
        problem: format!("the name is too long to be stored (more than {MAX_KEY} with its prefix)"),
    })
}

fn escape(name: &str, escaped: &mut String) {
    let mut bytes = name.bytes().peekable();
    while let Some(byte) = bytes.next() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if plain && !(byte == b'_' && bytes.peek() == Some(&b'.')) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "_.{byte:02x}");
        }
    }
}

/// The name that was escaped.
pub(crate) fn unescape(escaped: &str) -> String {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((before, after)) = rest.split_once("_.") {
        bytes.extend_from_slice(before.as_bytes());
        let byte = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            // Written by somebody else: taken as it is.
            None => {
                bytes.extend_from_slice(b"_.");
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_be_read_back() {
        for (name, escaped) in [
            ("plain-Name_1.x", "plain-Name_1.x"),
            ("my param", "my_.20param"),
            ("a/b", "a_.2fb"),
            ("ä", "_.c3_.a4"),
            ("a_.20b", "a_.5f.20b"),
            ("_", "_"),
            ("__.", "__.5f."),
        ] {
            assert_eq!(named("", "", name).unwrap(), escaped);
            assert_eq!(unescape(escaped), name);
        }
    }

    #[test]
    fn long_names_are_refused() {
        assert!(parameter(&"x".repeat(300)).is_err());
    }
}
