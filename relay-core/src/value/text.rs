//! Text forms of whole values (`expressions.md` §2.2 and §6).

use std::fmt::Write as _;

use super::{Number, Value};

impl Value {
    /// The general text form, which `jsonpath-template` prints. Strings are their bytes, objects
    /// `map[k:v]`, lists `[a b]`, null inside a structure `<nil>`; integers print all digits.
    #[must_use]
    pub(crate) fn to_general_text(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_general(Number::to_general, &mut out);
        out
    }

    /// The general text form of an operand: operators compute with doubles, so a million is
    /// `1e+06` here.
    #[must_use]
    pub(crate) fn to_operand_text(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_general(|number| Number::Float(number.as_f64()).to_general(), &mut out);
        out
    }

    fn write_general(&self, print: fn(Number) -> String, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"<nil>"),
            Self::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
            Self::Number(number) => out.extend_from_slice(print(*number).as_bytes()),
            Self::Text(text) => out.extend_from_slice(text.as_bytes()),
            Self::Bytes(bytes) => out.extend_from_slice(bytes),
            Self::Time(time) => {
                let text = time.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string();
                out.extend_from_slice(text.as_bytes());
            }
            Self::List(items) => {
                out.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(b' ');
                    }
                    crate::stack::grow(|| item.write_general(print, out));
                }
                out.push(b']');
            }
            Self::Map(map) => {
                out.extend_from_slice(b"map[");
                for (index, (key, value)) in map.iter().enumerate() {
                    if index > 0 {
                        out.push(b' ');
                    }
                    out.extend_from_slice(key.as_bytes());
                    out.push(b':');
                    crate::stack::grow(|| value.write_general(print, out));
                }
                out.push(b']');
            }
        }
    }

    /// The plain text of a scalar, for `concat` and `toString`: null is empty. `None` for lists
    /// and objects.
    #[must_use]
    pub fn to_plain_text(&self) -> Option<Vec<u8>> {
        match self {
            Self::Null => Some(Vec::new()),
            Self::Bool(value) => Some(value.to_string().into_bytes()),
            Self::Number(number) => Some(number.to_plain().into_bytes()),
            Self::Text(_) | Self::Bytes(_) => self.as_bytes().map(<[u8]>::to_vec),
            Self::Time(time) => Some(time.to_string().into_bytes()),
            Self::List(_) | Self::Map(_) => None,
        }
    }

    /// What a part of a template with other text around it becomes: strings as they are,
    /// everything else as JSON indented by tabs. `None` for infinities and NaN. Stops early, with
    /// too much, once there are more than `most` bytes.
    pub(crate) fn write_template_text(&self, most: usize, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Text(_) | Self::Bytes(_) => out.extend_from_slice(self.as_bytes()?),
            Self::Time(time) => out.extend_from_slice(time.to_string().as_bytes()),
            _ => {
                let mut text = String::new();
                self.write_indented(0, most, &mut text)?;
                out.extend_from_slice(text.as_bytes());
            }
        }
        Some(())
    }

    fn write_indented(&self, depth: usize, most: usize, out: &mut String) -> Option<()> {
        let line = |out: &mut String, depth: usize| {
            out.push('\n');
            out.extend(std::iter::repeat_n('\t', depth));
        };
        match self {
            _ if out.len() > most => {}
            Self::List(items) if !items.is_empty() => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    line(out, depth + 1);
                    crate::stack::grow(|| item.write_indented(depth + 1, most, out))?;
                }
                line(out, depth);
                out.push(']');
            }
            Self::Map(map) if !map.is_empty() => {
                out.push('{');
                for (index, (key, value)) in map.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    line(out, depth + 1);
                    let _ = write!(out, "{}: ", Self::Text(key.clone()).to_marshalled_json());
                    crate::stack::grow(|| value.write_indented(depth + 1, most, out))?;
                }
                line(out, depth);
                out.push('}');
            }
            Self::Number(number) => out.push_str(&number.to_json()?),
            scalar => out.push_str(&scalar.to_marshalled_json()),
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn general_text() {
        for (json, expected) in [
            (r#"[1, "two", 3.5]"#, "[1 two 3.5]"),
            (r#"{"k": "v", "j": 2}"#, "map[j:2 k:v]"),
            (r#"{"n": null, "b": [true]}"#, "map[b:[true] n:<nil>]"),
            ("12345678901", "12345678901"),
            ("1e6", "1e+06"),
        ] {
            let value = Value::from_json(json).unwrap();
            assert_eq!(String::from_utf8(value.to_general_text()).unwrap(), expected, "{json}");
        }
        assert_eq!(Value::from(1_000_000).to_operand_text(), b"1e+06");
    }

    #[test]
    fn template_text() {
        let value = Value::from_json(r#"{"a": [1, {}], "b": "<x>"}"#).unwrap();
        let mut text = Vec::new();
        value.write_template_text(usize::MAX, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text, "{\n\t\"a\": [\n\t\t1,\n\t\t{}\n\t],\n\t\"b\": \"\\u003cx\\u003e\"\n}");
    }
}
