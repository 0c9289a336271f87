//! The JSON form in which values travel: text as text, other bytes as base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// How deep lists and maps may be nested, here as everywhere in Relay.
pub const DEEPEST: usize = 512;

/// The value that carries `bytes`: a string if they are UTF-8 without NUL, otherwise
/// `{"$encoding":"base64","data":…}`.
///
/// ```
/// use relay_tools::client::transfer;
///
/// assert_eq!(transfer::encode(b"text"), "text");
/// assert_eq!(transfer::encode(b"\xff")["data"], "/w==");
/// ```
pub fn encode(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Value::from(text),
        _ => serde_json::json!({"$encoding": "base64", "data": STANDARD.encode(bytes)}),
    }
}

/// The bytes of a string or of an `$encoding` object; `None` for everything else, and for an
/// object whose encoding is unknown or whose data does not decode.
pub fn decode(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Object(members) => {
            let data = members.get("data")?.as_str()?;
            match members.get("$encoding")?.as_str()? {
                "base64" => STANDARD.decode(data).ok(),
                "" => Some(data.as_bytes().to_vec()),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Reads JSON with integers kept exact and nesting limited to [`DEEPEST`].
///
/// # Errors
/// The reason, which never repeats the text.
pub fn parse(json: &[u8]) -> Result<Value, String> {
    if depth(json) > DEEPEST {
        return Err(format!("nested deeper than {DEEPEST} levels"));
    }
    let mut reader = serde_json::Deserializer::from_slice(json);
    reader.disable_recursion_limit();
    serde::Deserialize::deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| error.to_string())
}

// Counted before parsing: the parser recurses, and its own limit of 128 is too low for us.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    let (mut quoted, mut escaped) = (false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
