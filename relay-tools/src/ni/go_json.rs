//! JSON as scripts have always got it from `ni`, which was written in Go.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::Formatter;

/// Without spaces, keys of maps sorted, and characters that mean something in HTML or JavaScript
/// written as escapes.
pub(super) fn compact(value: &impl Serialize) -> Vec<u8> {
    let mut json = Vec::new();
    let mut writer = serde_json::Serializer::with_formatter(&mut json, Go);
    // Values have text keys and the writer is memory: there is nothing that can fail.
    drop(value.serialize(&mut writer));
    json
}

struct Go;

impl Formatter for Go {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, special)) = rest.char_indices().find(|(_, c)| is_escaped(*c)) {
            let (plain, tail) = rest.split_at(at);
            write!(writer, "{plain}\\u{:04x}", u32::from(special))?;
            rest = tail.split_at(special.len_utf8()).1;
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let size = value.abs();
        if size == 0.0 || (1e-6..1e21).contains(&size) {
            return write!(writer, "{value}");
        }
        let text = format!("{value:e}");
        match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => {
                write!(writer, "{digits}e+{exponent}")
            }
            _ => writer.write_all(text.as_bytes()),
        }
    }
}

const fn is_escaped(c: char) -> bool {
    matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn values_are_written_as_go_writes_them() {
        let cases = [
            ("html", r#""<a>&""#, r#""\u003ca\u003e\u0026""#),
            ("separators", "\"\u{2028}ä\u{2029}\"", r#""\u2028ä\u2029""#),
            ("control characters", r#""\n\u0001\"""#, r#""\n\u0001\"""#),
            ("keys are sorted", r#"{"b": 1, "a": [1, 2]}"#, r#"{"a":[1,2],"b":1}"#),
            ("keys are escaped", r#"{"<": null}"#, r#"{"\u003c":null}"#),
            (
                "integers are exact",
                "[9007199254740993,18446744073709551615,-9223372036854775808]",
                "[9007199254740993,18446744073709551615,-9223372036854775808]",
            ),
            ("whole floats", "[1.0, -0.0, 100.0]", "[1,-0,100]"),
            ("large floats", "[1e20, 1e21, 1.5e300]", "[100000000000000000000,1e+21,1.5e+300]"),
            ("small floats", "[0.000001, 1e-7, 0.1]", "[0.000001,1e-7,0.1]"),
        ];
        for (name, json, expected) in cases {
            let value: Value = serde_json::from_str(json).unwrap();
            let text = String::from_utf8(compact(&value)).unwrap();
            assert_eq!(text, expected, "{name}");
        }
    }
}
