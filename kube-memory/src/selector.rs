//! Label and field selectors.

use crate::status::{Refusal, Result};
use serde_json::Value;

/// A conjunction of requirements on labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct LabelSelector(Vec<LabelRequirement>);

#[derive(Debug, Clone, PartialEq)]
enum LabelRequirement {
    Exists(String),
    Missing(String),
    In(String, Vec<String>),
    /// Holds too where the label is absent.
    NotIn(String, Vec<String>),
    Greater(String, i64),
    Less(String, i64),
}

/// A conjunction of requirements on fields by dotted path.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct FieldSelector(Vec<FieldRequirement>);

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FieldRequirement {
    pub(crate) path: String,
    pub(crate) value: String,
    pub(crate) equal: bool,
}

impl LabelSelector {
    /// Reads equality-based and set-based requirements.
    ///
    /// # Errors
    /// 400 where the text is no selector.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let requirements = split_outside_parentheses(text)
            .into_iter()
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(requirement)
            .collect::<Option<Vec<_>>>();
        requirements
            .map(Self)
            .ok_or_else(|| Refusal::bad_request(format!("unable to parse requirement: {text}")))
    }

    /// Whether the object's labels meet every requirement.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = object.pointer("/metadata/labels");
        self.0.iter().all(|requirement| {
            let label = |key: &str| labels.and_then(|labels| labels.get(key)?.as_str());
            let number = |key: &str| label(key).and_then(|text| text.parse::<i64>().ok());
            match requirement {
                LabelRequirement::Exists(key) => label(key).is_some(),
                LabelRequirement::Missing(key) => label(key).is_none(),
                LabelRequirement::In(key, values) => {
                    label(key).is_some_and(|found| values.iter().any(|value| value == found))
                }
                LabelRequirement::NotIn(key, values) => {
                    label(key).is_none_or(|found| values.iter().all(|value| value != found))
                }
                LabelRequirement::Greater(key, bound) => number(key).is_some_and(|n| n > *bound),
                LabelRequirement::Less(key, bound) => number(key).is_some_and(|n| n < *bound),
            }
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FieldSelector {
    /// Reads `path=value`, `path==value` and `path!=value`, separated by commas.
    ///
    /// # Errors
    /// 400 where the text is no selector.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut requirements = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (path, value, equal) = if let Some((path, value)) = part.split_once("!=") {
                (path, value, false)
            } else if let Some((path, value)) = part.split_once("==") {
                (path, value, true)
            } else if let Some((path, value)) = part.split_once('=') {
                (path, value, true)
            } else {
                return Err(Refusal::bad_request(format!(
                    "invalid selector: '{text}'; can't understand '{part}'"
                )));
            };
            requirements.push(FieldRequirement {
                path: path.to_owned(),
                value: value.to_owned(),
                equal,
            });
        }
        Ok(Self(requirements))
    }

    /// Whether the object's fields meet every requirement; an absent field is empty text.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|requirement| {
            let pointer = format!("/{}", requirement.path.replace('.', "/"));
            let found = match object.pointer(&pointer) {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            };
            (found == requirement.value) == requirement.equal
        })
    }

    /// Whether metadata is all that it looks at.
    pub(crate) fn needs_only_metadata(&self) -> bool {
        self.0.iter().all(|requirement| requirement.path.starts_with("metadata."))
    }

    pub(crate) fn requirements(&self) -> &[FieldRequirement] {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    text.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .collect()
}

fn requirement(text: &str) -> Option<LabelRequirement> {
    if let Some(key) = text.strip_prefix('!') {
        return Some(LabelRequirement::Missing(checked(key)?));
    }
    for (operator, negative) in [("!=", true), ("==", false), ("=", false)] {
        if let Some((key, value)) = text.split_once(operator) {
            let values = vec![value.trim().to_owned()];
            return Some(membership(checked(key)?, values, negative));
        }
    }
    for (operator, greater) in [('>', true), ('<', false)] {
        if let Some((key, bound)) = text.split_once(operator) {
            let (key, bound) = (checked(key)?, bound.trim().parse().ok()?);
            return Some(if greater {
                LabelRequirement::Greater(key, bound)
            } else {
                LabelRequirement::Less(key, bound)
            });
        }
    }
    if let Some((head, list)) = text.split_once('(') {
        let values = list.trim_end().strip_suffix(')')?;
        let values = values.split(',').map(|v| v.trim().to_owned()).collect();
        let (key, operator) = head.trim_end().rsplit_once(char::is_whitespace)?;
        return match operator {
            "in" => Some(membership(checked(key)?, values, false)),
            "notin" => Some(membership(checked(key)?, values, true)),
            _ => None,
        };
    }
    Some(LabelRequirement::Exists(checked(text)?))
}

fn membership(key: String, values: Vec<String>, negative: bool) -> LabelRequirement {
    if negative { LabelRequirement::NotIn(key, values) } else { LabelRequirement::In(key, values) }
}

fn checked(key: &str) -> Option<String> {
    let key = key.trim();
    crate::names::label_key(key).is_empty().then(|| key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_select() {
        let object = json!({ "metadata": { "name": "x", "labels": { "a": "1", "tier": "web" } } });
        for (selector, expected) in [
            ("a=1", true),
            ("a==1,tier=web", true),
            ("a!=1", false),
            ("b!=1", true),
            ("a", true),
            ("!a", false),
            ("!b", true),
            ("tier in (web, db)", true),
            ("tier notin (web,db)", false),
            ("other notin (x)", true),
            ("a>0", true),
            ("a<1", false),
        ] {
            let parsed = LabelSelector::parse(selector).unwrap();
            assert_eq!(parsed.matches(&object), expected, "{selector}");
        }
        assert!(LabelSelector::parse("a in web").is_err());
        let fields = FieldSelector::parse("metadata.name=x,status.phase!=Running").unwrap();
        assert!(fields.matches(&object));
    }
}
