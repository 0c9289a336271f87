//! How much a run may store, whatever stores it: what a ConfigMap has room for (`metadata-api.md`
//! §6.1). A workflow that works on one machine must not be refused in a cluster.

use super::StoreError;

/// The longest key that an API server takes, in bytes.
pub const MAX_KEY: usize = 253;

/// How much of the 1 MiB of a ConfigMap steps may fill with what they choose to store, in bytes. The
/// rest is for what must never be lost, such as how they ended.
pub const MAX_CHOSEN: usize = 900 << 10;

/// What the keys of a step begin with: `steps.`, its hash, and a dot.
const PREFIX: usize = "steps.".len() + 40 + ".".len();

/// How long a name is within a key, where bytes that keys cannot have are written `_.HH`.
#[must_use]
pub fn length_in_key(name: &str) -> usize {
    let mut bytes = name.bytes().peekable();
    let mut length = 0;
    while let Some(byte) = bytes.next() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let plain = plain && !(byte == b'_' && bytes.peek() == Some(&b'.'));
        length += if plain { 1 } else { "_.HH".len() };
    }
    length
}

/// The length of the key of an entry of a step, if an API server takes it.
pub(super) fn key_length(part: &str, name: &str) -> Result<usize, StoreError> {
    let length = PREFIX + part.len() + length_in_key(name);
    if length <= MAX_KEY {
        return Ok(length);
    }
    Err(StoreError::Refused {
        doing: format!("name an entry {name:.40}…"),
        problem: format!("the name is too long to be stored (more than {MAX_KEY} with its prefix)"),
    })
}
