//! A `when` on one line.

use std::fmt::{self, Write as _};

use relay_core::Value;

/// As long as a condition may become.
const LONGEST: usize = 60;

/// Below this nothing is shown: it would not fit anyway.
const DEEPEST: usize = 8;

/// A condition in the words of the expression language, cut where it gets long.
pub(super) fn short(when: &Value) -> String {
    let whole = match when {
        // All of them have to hold.
        Value::List(items) => items.iter().map(top).collect::<Vec<_>>().join(" and "),
        when => top(when),
    };
    let mut words = whole.split_whitespace().collect::<Vec<_>>().join(" ");
    // What is left of them steers terminals.
    words = words.replace(char::is_control, "\u{fffd}");
    if let Some((end, _)) = words.char_indices().nth(LONGEST) {
        words.truncate(end);
        words.pop();
        words.push('…');
    }
    words
}

/// A condition by itself: a template without its braces.
fn top(value: &Value) -> String {
    match value.as_str() {
        Some(text) => template(text).unwrap_or(text).to_owned(),
        None => tree(value, 0).to_string(),
    }
}

/// What is in a text that is one template and nothing else.
fn template(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("${")?.strip_suffix('}')?;
    (!inner.contains("${")).then_some(inner)
}

/// Tags and their JSON forms, as one would write them in a template.
fn tree(value: &Value, depth: usize) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        if depth > DEEPEST {
            return f.write_char('…');
        }
        match value {
            Value::Text(text) => match template(text) {
                Some(inner) => f.write_str(inner),
                None => write!(f, "'{text}'"),
            },
            Value::List(items) => {
                f.write_char('[')?;
                list(items, depth, f)?;
                f.write_char(']')
            }
            Value::Map(_) if value.get("$type").is_some() => reference(value, f),
            Value::Map(map) => match map.first_key_value() {
                Some((key, arguments)) if map.len() == 1 && key.starts_with("$fn.") => {
                    call(key.trim_start_matches("$fn."), arguments, depth, f)
                }
                _ => f.write_str("{…}"),
            },
            value => f.write_str(&value.to_json()),
        }
    })
}

fn list(items: &[Value], depth: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        write!(f, "{comma}{}", tree(item, depth + 1))?;
    }
    Ok(())
}

fn call(name: &str, arguments: &Value, depth: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let operator = match name {
        "equals" => Some("=="),
        "notEquals" => Some("!="),
        _ => None,
    };
    match (operator, arguments) {
        (Some(operator), Value::List(items)) if let [left, right] = &**items => {
            write!(f, "{} {operator} {}", tree(left, depth + 1), tree(right, depth + 1))
        }
        (_, Value::List(items)) => {
            write!(f, "{name}(")?;
            list(items, depth, f)?;
            f.write_char(')')
        }
        (_, arguments) => write!(f, "{name}({})", tree(arguments, depth + 1)),
    }
}

fn reference(value: &Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (group, fields): (_, &[_]) = match value.get("$type").and_then(Value::as_str) {
        Some("Parameter") => ("parameters", &["name"]),
        Some("Secret") => ("secrets", &["name"]),
        Some("Connection") => ("connections", &["type", "name"]),
        Some("Output") => ("outputs", &["from", "name"]),
        Some("Answer") => ("answers", &["askRef", "name"]),
        Some("Data") => ("event", &["query"]),
        _ => return f.write_str("{…}"),
    };
    f.write_str(group)?;
    for field in fields.iter().filter_map(|field| value.get(field)?.as_str()) {
        let plain = field.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
        let quote = if plain { "" } else { "'" };
        write!(f, ".{quote}{field}{quote}")?;
    }
    Ok(())
}
