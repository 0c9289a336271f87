//! The query of a request line.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// The parameters `q` and `lang`. Of several with one name the first counts; what cannot be decoded
/// counts as absent.
#[derive(Debug, Default)]
pub(crate) struct Query {
    /// What is asked of the tree.
    pub(crate) text: Option<String>,
    /// The language of the question.
    pub(crate) language: Option<String>,
}

impl Query {
    /// Reads the part of a URI behind its question mark.
    pub(crate) fn parse(query: &str) -> Self {
        let mut parsed = Self::default();
        for pair in query.split('&').filter(|pair| !pair.contains(';')) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                continue;
            };
            let slot = match name.as_str() {
                "q" => &mut parsed.text,
                "lang" => &mut parsed.language,
                _ => continue,
            };
            slot.get_or_insert(value);
        }
        parsed
    }
}

fn decode(encoded: &str) -> Option<String> {
    if !escapes_are_whole(encoded) {
        return None;
    }
    let spaced = encoded.replace('+', " ");
    percent_decode(spaced.as_bytes()).decode_utf8().ok().map(Cow::into_owned)
}

/// Whether each `%` has two hexadecimal digits behind it.
pub(crate) fn escapes_are_whole(encoded: &str) -> bool {
    encoded.split('%').skip(1).all(|escape| {
        let mut digits = escape.bytes().take(2);
        let is_digit = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
        is_digit(digits.next()) && is_digit(digits.next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters() {
        for (query, text, language) in [
            ("", None, None),
            ("q=a.b&lang=path", Some("a.b"), Some("path")),
            ("q=a+b%2Bc", Some("a b+c"), None),
            ("q=first&q=second", Some("first"), None),
            ("q", Some(""), None),
            ("q=%ZZ&q=whole", Some("whole"), None),
            ("q=%4&lang=%FF", None, None),
            ("q=a;lang=path&lang=jsonpath", None, Some("jsonpath")),
            ("other=1", None, None),
        ] {
            let parsed = Query::parse(query);
            assert_eq!(parsed.text.as_deref(), text, "{query}");
            assert_eq!(parsed.language.as_deref(), language, "{query}");
        }
    }
}
