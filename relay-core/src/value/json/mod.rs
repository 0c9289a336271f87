//! Values as JSON: our own reader, which takes 512 levels and keeps integers, and the writer of
//! transfer JSON (`expressions.md` §3.2).

mod read;
mod serde;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Map, Value};
use read::Reader;

/// How deep lists and objects may be nested, in JSON, YAML and expressions alike.
pub const MAX_DEPTH: usize = 512;

/// Why a text is no JSON value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at byte {offset}")]
pub struct JsonError {
    problem: &'static str,
    offset: usize,
}

impl JsonError {
    /// Where the problem is, in bytes from the start of the text.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }
}

impl Value {
    /// Reads one JSON value. Of duplicate keys the last wins; a lone surrogate becomes U+FFFD;
    /// `$encoding` objects stay objects.
    ///
    /// # Errors
    ///
    /// Where the text is no JSON, holds more than one value, a number beyond the range of doubles
    /// or more than [`MAX_DEPTH`] levels.
    pub fn from_json(text: &str) -> Result<Self, JsonError> {
        let mut reader = Reader::new(text);
        let value = reader.value(0)?;
        reader.skip_space();
        match reader.peek() {
            None => Ok(value),
            Some(_) => Err(reader.error("text after the value")),
        }
    }

    /// Reads the JSON value that a text starts with, and ignores what comes after it.
    ///
    /// # Errors
    ///
    /// As for [`Value::from_json`].
    pub fn from_json_prefix(text: &str) -> Result<Self, JsonError> {
        Reader::new(text).value(0)
    }

    /// The value with every `$encoding` object replaced by the string that it encodes, at any
    /// depth: how resources and stored values are read. `data` that is no string counts as empty,
    /// but where it is a reference or a call the object stays, for evaluation to decode.
    ///
    /// # Errors
    ///
    /// Where an encoding is not known or its data is no base64, even inside what is thrown away.
    pub fn decode_transfer(self) -> Result<Self, TransferError> {
        if !self.has_encoding() {
            return Ok(self);
        }
        crate::stack::grow(|| match self {
            Self::List(items) => items
                .iter()
                .cloned()
                .map(Self::decode_transfer)
                .collect::<Result<Vec<_>, _>>()
                .map(Self::from),
            Self::Map(map) => {
                let members = map.iter().map(|(key, value)| {
                    Ok::<_, TransferError>((key.clone(), value.clone().decode_transfer()?))
                });
                let members = members.collect::<Result<Map, _>>()?;
                match (map.get("$encoding").and_then(Self::as_str), members.get("data")) {
                    (Some(_), Some(data)) if data.is_active() => Ok(Self::from(members)),
                    (Some(encoding), data) => {
                        let data = data.and_then(Self::as_bytes).unwrap_or_default();
                        decode(encoding, data)
                    }
                    (None, _) => Ok(Self::from(members)),
                }
            }
            other => Ok(other),
        })
    }

    fn has_encoding(&self) -> bool {
        crate::stack::grow(|| match self {
            Self::List(items) => items.iter().any(Self::has_encoding),
            Self::Map(map) => {
                map.get("$encoding").is_some_and(|encoding| encoding.as_str().is_some())
                    || map.values().any(Self::has_encoding)
            }
            _ => false,
        })
    }

    /// Whether an object means something to evaluation.
    fn is_active(&self) -> bool {
        self.as_map().is_some_and(|map| {
            map.keys().any(|key| matches!(key.as_ref(), "$type" | "$encoding"))
                || map.keys().any(|key| map.len() == 1 && key.starts_with("$fn."))
        })
    }

    /// Compact transfer JSON: keys sorted, strings that JSON cannot carry as `$encoding` objects,
    /// `<`, `>`, `&`, U+2028 and U+2029 escaped. Infinities and NaN, which only `decode` and
    /// arithmetic make, become null; see [`Value::first_unencodable`].
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(match self {
            Self::List(_) | Self::Map(_) => 256,
            _ => 0,
        });
        self.append_json(&mut out);
        out
    }

    /// Writes the same behind what `out` holds already.
    pub fn append_json(&self, out: &mut String) {
        self.write_json(Strings::Transfer, out);
    }

    /// Writes JSON in which all strings are strings, behind what `out` holds already: U+0000 is
    /// escaped, and each byte that is not UTF-8 is U+FFFD.
    pub fn append_plain_json(&self, out: &mut String) {
        self.write_json(Strings::Plain, out);
    }

    /// JSON as `jsonMarshal` writes it: of strings that JSON cannot carry, each byte that is not
    /// UTF-8 is an escaped U+FFFD.
    pub(crate) fn to_marshalled_json(&self) -> String {
        let mut out = String::new();
        self.write_json(Strings::Plain, &mut out);
        out
    }

    /// The path of the first number that JSON cannot carry, if there is one.
    #[must_use]
    pub fn first_unencodable(&self) -> Option<Vec<String>> {
        match self {
            Self::Number(number) => (!number.is_finite()).then(Vec::new),
            Self::List(items) => crate::stack::grow(|| {
                items.iter().enumerate().find_map(|(index, item)| {
                    item.first_unencodable().map(|path| prefixed(index.to_string(), path))
                })
            }),
            Self::Map(map) => crate::stack::grow(|| {
                map.iter().find_map(|(key, value)| {
                    value.first_unencodable().map(|path| prefixed(key.to_string(), path))
                })
            }),
            _ => None,
        }
    }

    fn write_json(&self, strings: Strings, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(number) => {
                out.push_str(&number.to_json().unwrap_or_else(|| "null".to_owned()));
            }
            Self::Text(text) if strings == Strings::Transfer && text.contains('\0') => {
                write_encoded(text.as_bytes(), out);
            }
            Self::Text(text) => write_string(text, out),
            Self::Bytes(bytes) if strings == Strings::Transfer => write_encoded(bytes, out),
            Self::Bytes(bytes) => write_lossy(bytes, out),
            Self::Time(time) => write_string(&time.to_string(), out),
            Self::List(items) => {
                out.push('[');
                crate::stack::grow(|| {
                    for (index, item) in items.iter().enumerate() {
                        if index > 0 {
                            out.push(',');
                        }
                        item.write_json(strings, out);
                    }
                });
                out.push(']');
            }
            Self::Map(map) => {
                out.push('{');
                crate::stack::grow(|| {
                    for (index, (key, value)) in map.iter().enumerate() {
                        if index > 0 {
                            out.push(',');
                        }
                        write_string(key, out);
                        out.push(':');
                        value.write_json(strings, out);
                    }
                });
                out.push('}');
            }
        }
    }
}

/// How strings are written that hold U+0000.
#[derive(Clone, Copy, PartialEq)]
enum Strings {
    Transfer,
    Plain,
}

/// Why encoded bytes cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// Neither `base64` nor the empty name.
    #[error("unknown encoding {0:?}")]
    UnknownEncoding(String),
    /// The data is no base64 of the standard alphabet with padding.
    #[error("the data is no base64")]
    BadBase64,
}

/// Decodes the data of an `$encoding` object (`expressions.md` §3).
pub(crate) fn decode(encoding: &str, data: &[u8]) -> Result<Value, TransferError> {
    match encoding {
        "" => Ok(Value::from_bytes(data)),
        "base64" => decode_base64(data).map(|bytes| Value::from_bytes(&bytes)),
        other => Err(TransferError::UnknownEncoding(other.to_owned())),
    }
}

/// Transfer text, the form of secrets in stores (`expressions.md` §3.3): text as it is, and other
/// bytes as `base64:` with base64. Text that itself starts so is encoded too.
///
/// ```
/// use relay_core::value::{decode_transfer_text, encode_transfer_text};
///
/// assert_eq!(encode_transfer_text(b"plain"), "plain");
/// assert_eq!(encode_transfer_text(&[0xff, 0]), "base64:/wA=");
/// assert_eq!(decode_transfer_text("base64:/wA=").unwrap(), [0xff, 0]);
/// ```
#[must_use]
pub fn encode_transfer_text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') && !text.starts_with(TRANSFER_PREFIX) => text.to_owned(),
        _ => format!("{TRANSFER_PREFIX}{}", STANDARD.encode(bytes)),
    }
}

/// The bytes of a transfer text.
///
/// # Errors
///
/// [`TransferError::BadBase64`] where `base64:` is not followed by that.
pub fn decode_transfer_text(text: &str) -> Result<Vec<u8>, TransferError> {
    match text.strip_prefix(TRANSFER_PREFIX) {
        Some(data) => decode_base64(data.as_bytes()),
        None => Ok(text.as_bytes().to_vec()),
    }
}

const TRANSFER_PREFIX: &str = "base64:";

/// Line breaks within base64 are ignored.
fn decode_base64(data: &[u8]) -> Result<Vec<u8>, TransferError> {
    let packed: Vec<u8> =
        data.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    STANDARD.decode(packed).map_err(|_| TransferError::BadBase64)
}

fn prefixed(first: String, rest: Vec<String>) -> Vec<String> {
    std::iter::once(first).chain(rest).collect()
}

fn write_encoded(bytes: &[u8], out: &mut String) {
    let _ = write!(out, r#"{{"$encoding":"base64","data":"{}"}}"#, STANDARD.encode(bytes));
}

fn write_lossy(bytes: &[u8], out: &mut String) {
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        write_escaped(chunk.valid(), out);
        out.extend(chunk.invalid().iter().map(|_| "\\ufffd"));
    }
    out.push('"');
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    write_escaped(text, out);
    out.push('"');
}

/// Copies what needs no escape in runs: that is nearly all of it.
fn write_escaped(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(may_need_escape) {
        // The position is that of a first byte, never one inside of a character.
        let (plain, special) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(plain);
        let mut chars = special.chars();
        match chars.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(c @ ('<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}')) => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            Some(c) => out.push(c),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
}

/// Whether a character that begins with this byte may need one: `0xe2` begins U+2028 and U+2029.
fn may_need_escape(byte: u8) -> bool {
    MAY_NEED_ESCAPE.get(usize::from(byte)).copied().unwrap_or_default()
}

/// A look at a table is a third of what the comparisons take.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
static MAY_NEED_ESCAPE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = matches!(byte, 0..=0x1f | 0x22 | 0x26 | 0x3c | 0x3e | 0x5c | 0xe2);
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        for (text, written) in [
            (" null ", "null"),
            ("[1, -2.50, 1e3, true]", "[1,-2.5,1000,true]"),
            (r#"{"b": 1, "a": {"c": []}, "b": 2}"#, r#"{"a":{"c":[]},"b":2}"#),
            (r#""\u00e5\ud83d\ude00\ud83d\n""#, "\"å😀\u{fffd}\\n\""),
            (r#""a<b>&""#, r#""a\u003cb\u003e\u0026""#),
            ("\"\u{2028}a\u{2029}€\u{2027}å\"", "\"\\u2028a\\u2029€\u{2027}å\""),
            (r#""\"\\\t\r\u0001/""#, r#""\"\\\t\r\u0001/""#),
            (r#""nul\u0000""#, r#"{"$encoding":"base64","data":"bnVsAA=="}"#),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            let value = Value::from_json(text).unwrap();
            assert_eq!(value.to_json(), written);
            // serde_json refuses the lone surrogate.
            if !text.contains("ud83d\\n") {
                assert_eq!(serde_json::from_str::<Value>(text).unwrap(), value, "{text}");
            }
        }
    }

    #[test]
    fn refuses() {
        let deep = "[".repeat(600);
        for text in ["", "nul", "[1,]", "{\"a\"}", "01", "1.", "1e999", "\"\n\"", "1 2", &deep] {
            assert!(Value::from_json(text).is_err(), "{text:.20}");
        }
    }

    #[test]
    fn transfer_form_round_trips() {
        let value = Value::list([Value::from_bytes(&[0xff, 0]), Value::from("plain")]);
        let read = Value::from_json(&value.to_json()).unwrap().decode_transfer().unwrap();
        assert_eq!(read, value);
        let unknown = Value::from_json(r#"{"$encoding": "rot13", "data": "x"}"#).unwrap();
        assert_eq!(
            unknown.decode_transfer(),
            Err(TransferError::UnknownEncoding("rot13".to_owned()))
        );
    }
}
