//! Flags with `NAME=VALUE`, which can be repeated and can hold several separated by commas.

use std::collections::BTreeMap;

use super::error::NiError;

/// All pairs of a flag; the last one of a name counts. A pair with commas in it is written in
/// double quotes, and a double quote within these twice.
pub(super) fn parse(
    flag: &'static str,
    texts: &[String],
) -> Result<BTreeMap<String, String>, NiError> {
    let mut pairs = BTreeMap::new();
    for (at, item) in texts.iter().flat_map(|text| split(text)).enumerate() {
        // The text itself may be a secret.
        match item.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                pairs.insert(name.to_owned(), value.to_owned());
            }
            _ => return Err(NiError::Pair { flag, number: at + 1 }),
        }
    }
    Ok(pairs)
}

fn split(text: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let (mut quoted, mut fresh) = (false, true);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if quoted && rest.peek() == Some(&'"') => {
                rest.next();
                add(&mut items, '"');
            }
            '"' if quoted => quoted = false,
            '"' if fresh => quoted = true,
            ',' if !quoted => items.push(String::new()),
            other => add(&mut items, other),
        }
        fresh = c == ',' && !quoted;
    }
    items
}

fn add(items: &mut [String], c: char) {
    if let Some(item) = items.last_mut() {
        item.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_separated_by_commas_outside_of_quotes() {
        let cases = [
            ("one", vec!["a=b"], "a:b"),
            ("two flags", vec!["a=b", "c=d"], "a:b c:d"),
            ("two in one", vec!["a=b,c=d"], "a:b c:d"),
            ("signs in a value", vec!["a=b=c"], "a:b=c"),
            ("no value", vec!["a="], "a:"),
            ("the last one counts", vec!["a=1,a=2"], "a:2"),
            ("quoted", vec![r#""a=b,c=d",e=f"#], "a:b,c=d e:f"),
            ("quotes in quotes", vec![r#""a=""b"",c""#], r#"a:"b",c"#),
            ("quotes within", vec![r#"a="b"#], r#"a:"b"#),
        ];
        for (name, texts, expected) in cases {
            let texts: Vec<_> = texts.into_iter().map(str::to_owned).collect();
            let pairs = parse("-p", &texts).unwrap();
            let found: Vec<_> = pairs.iter().map(|(key, value)| format!("{key}:{value}")).collect();
            assert_eq!(found.join(" "), expected, "{name}");
        }
        for (name, text) in [("no sign", "a=b,canary"), ("no name", "a=b,=canary"), ("empty", "")] {
            let error = parse("-p", &[text.to_owned()]).unwrap_err().message();
            assert!(error.contains("-p") && !error.contains("canary"), "{name}: {error}");
        }
    }
}
