//! Values as JSON: our own reader, which takes 512 levels and keeps integers, and the writer of
//! transfer JSON (`expressions.md` §3.2).

use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Map, Number, Value};

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
        let mut reader = Reader { bytes: text.as_bytes(), text, offset: 0 };
        let value = reader.value(0)?;
        reader.skip_space();
        match reader.peek() {
            None => Ok(value),
            Some(_) => Err(reader.error("text after the value")),
        }
    }

    /// The value with every `$encoding` object replaced by the string that it encodes: how stored
    /// values are read back.
    ///
    /// # Errors
    ///
    /// Where an encoding is not known or its data is no base64.
    pub fn decode_transfer(self) -> Result<Self, TransferError> {
        match self {
            Self::List(items) => items
                .iter()
                .cloned()
                .map(Self::decode_transfer)
                .collect::<Result<Vec<_>, _>>()
                .map(Self::from),
            Self::Map(map) => {
                if let Some(encoding) = map.get("$encoding").and_then(Self::as_str) {
                    let data = map.get("data").and_then(Self::as_str).unwrap_or_default();
                    return decode(encoding, data.as_bytes());
                }
                let members = map.iter().map(|(key, value)| {
                    Ok::<_, TransferError>((key.clone(), value.clone().decode_transfer()?))
                });
                members.collect::<Result<Map, _>>().map(Self::from)
            }
            other => Ok(other),
        }
    }

    /// Compact transfer JSON: keys sorted, strings that JSON cannot carry as `$encoding` objects,
    /// `<`, `>`, `&`, U+2028 and U+2029 escaped. Infinities and NaN, which only `decode` and
    /// arithmetic make, become null; see [`Value::first_unencodable`].
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write_json(Strings::Transfer, &mut out);
        out
    }

    /// JSON as `jsonMarshal` writes it: strings that JSON cannot carry lose what is not UTF-8.
    pub(crate) fn to_marshalled_json(&self) -> String {
        fn plain(value: &Value) -> Value {
            match value {
                Value::Bytes(bytes) => Value::from(String::from_utf8_lossy(bytes).into_owned()),
                Value::List(items) => Value::list(items.iter().map(plain)),
                Value::Map(map) => Value::map(map.iter().map(|(k, v)| (k.clone(), plain(v)))),
                other => other.clone(),
            }
        }
        let mut out = String::new();
        plain(self).write_json(Strings::Plain, &mut out);
        out
    }

    /// The path of the first number that JSON cannot carry, if there is one.
    #[must_use]
    pub fn first_unencodable(&self) -> Option<Vec<String>> {
        match self {
            Self::Number(number) => number.to_json().is_none().then(Vec::new),
            Self::List(items) => items.iter().enumerate().find_map(|(index, item)| {
                item.first_unencodable().map(|path| prefixed(index.to_string(), path))
            }),
            Self::Map(map) => map.iter().find_map(|(key, value)| {
                value.first_unencodable().map(|path| prefixed(key.to_string(), path))
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
            Self::Bytes(bytes) => write_encoded(bytes, out),
            Self::Time(time) => write_string(&time.to_string(), out),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write_json(strings, out);
                }
                out.push(']');
            }
            Self::Map(map) => {
                out.push('{');
                for (index, (key, value)) in map.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_string(key, out);
                    out.push(':');
                    value.write_json(strings, out);
                }
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
        "base64" => {
            let packed: Vec<u8> =
                data.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
            let bytes = STANDARD.decode(packed).map_err(|_| TransferError::BadBase64)?;
            Ok(Value::from_bytes(&bytes))
        }
        other => Err(TransferError::UnknownEncoding(other.to_owned())),
    }
}

fn prefixed(first: String, rest: Vec<String>) -> Vec<String> {
    std::iter::once(first).chain(rest).collect()
}

fn write_encoded(bytes: &[u8], out: &mut String) {
    let _ = write!(out, r#"{{"$encoding":"base64","data":"{}"}}"#, STANDARD.encode(bytes));
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    offset: usize,
}

impl Reader<'_> {
    fn error(&self, problem: &'static str) -> JsonError {
        JsonError { problem, offset: self.offset }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.offset).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.offset += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.offset += usize::from(found);
        found
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, JsonError> {
        if self.bytes.get(self.offset..).is_some_and(|rest| rest.starts_with(word.as_bytes())) {
            self.offset += word.len();
            return Ok(value);
        }
        Err(self.error("not a JSON value"))
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        if depth > MAX_DEPTH {
            return Err(self.error("nested more than 512 levels deep"));
        }
        self.skip_space();
        match self.peek() {
            None => Err(self.error("the text ends where a value should be")),
            Some(b'n') => self.word("null", Value::Null),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'"') => Ok(Value::Text(self.string()?.into())),
            Some(b'[') => self.list(depth),
            Some(b'{') => self.object(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => Err(self.error("not a JSON value")),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.offset += 1;
        let mut items = Vec::new();
        self.skip_space();
        if self.take(b']') {
            return Ok(Value::from(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.skip_space();
            if self.take(b']') {
                return Ok(Value::from(items));
            }
            if !self.take(b',') {
                return Err(self.error("expected `,` or `]`"));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.offset += 1;
        let mut map = Map::new();
        self.skip_space();
        if self.take(b'}') {
            return Ok(Value::from(map));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.error("expected a key"));
            }
            let key: Arc<str> = self.string()?.into();
            self.skip_space();
            if !self.take(b':') {
                return Err(self.error("expected `:`"));
            }
            map.insert(key, self.value(depth + 1)?);
            self.skip_space();
            if self.take(b'}') {
                return Ok(Value::from(map));
            }
            if !self.take(b',') {
                return Err(self.error("expected `,` or `}`"));
            }
        }
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.offset;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.offset += 1;
        }
        if self.offset == start { Err(self.error("expected a digit")) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.offset;
        self.take(b'-');
        if self.take(b'0') {
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return Err(self.error("a number with a leading zero"));
            }
        } else {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _signed = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        self.text
            .get(start..self.offset)
            .and_then(Number::parse_json)
            .map(Value::Number)
            .ok_or(JsonError { problem: "a number out of range", offset: start })
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.offset += 1;
        let mut out = String::new();
        loop {
            let start = self.offset;
            while !matches!(self.peek(), None | Some(b'"' | b'\\' | 0..=0x1f)) {
                self.offset += 1;
            }
            out.push_str(self.text.get(start..self.offset).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.offset += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    self.offset += 1;
                    out.push(self.escape()?);
                }
                Some(_) => return Err(self.error("a control character in a string")),
                None => return Err(self.error("the text ends inside a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let escape = self.peek().ok_or_else(|| self.error("the text ends inside a string"))?;
        self.offset += 1;
        Ok(match escape {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = self.hex4()?;
                if (0xd800..0xdc00).contains(&high)
                    && self.bytes.get(self.offset..self.offset + 2) == Some(b"\\u")
                {
                    let before = self.offset;
                    self.offset += 2;
                    let low = self.hex4()?;
                    if (0xdc00..0xe000).contains(&low) {
                        let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                        return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    self.offset = before;
                }
                char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return Err(self.error("an unknown escape in a string")),
        })
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.get(self.offset..self.offset + 4);
        let code = digits
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or_else(|| self.error("expected four hexadecimal digits"))?;
        self.offset += 4;
        Ok(code)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::{SerializeMap as _, SerializeSeq as _};
        let encoded = |serializer: S, bytes: &[u8]| {
            let mut map = serializer.serialize_map(Some(2))?;
            map.serialize_entry("$encoding", "base64")?;
            map.serialize_entry("data", &STANDARD.encode(bytes))?;
            map.end()
        };
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(Number::Int(value)) => serializer.serialize_i64(*value),
            Self::Number(Number::Unsigned(value)) => serializer.serialize_u64(*value),
            // `3.0` and `3` are one number; JSON writers would print the former as `3.0`.
            Self::Number(number @ Number::Float(value)) => match number.as_i64() {
                Some(integer) if *value != 0.0 => serializer.serialize_i64(integer),
                _ => serializer.serialize_f64(*value),
            },
            Self::Text(text) if text.contains('\0') => encoded(serializer, text.as_bytes()),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => encoded(serializer, bytes),
            Self::Time(time) => serializer.collect_str(time),
            Self::List(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items.iter() {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
            Self::Map(map) => {
                serializer.collect_map(map.iter().map(|(key, value)| (key.as_ref(), value)))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl<'de> serde::de::Visitor<'de> for Visitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(Number::Int(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(Number::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::from_bytes(value))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::from(items))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((key, value)) = access.next_entry::<String, Value>()? {
            map.insert(key.into(), value);
        }
        Ok(Value::from(map))
    }
}

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
