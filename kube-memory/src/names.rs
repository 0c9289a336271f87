//! What names, labels and finalizers may look like.
//!
//! Each function answers with the sentences of the broken rules; none means the text is fine.

use std::sync::LazyLock;

use regex::Regex;

static SUBDOMAIN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$").ok()
});
static LABEL: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$").ok());
static LABEL_1035: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^[a-z]([-a-z0-9]*[a-z0-9])?$").ok());
static QUALIFIED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$").ok());

/// Which rule a kind's names follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameRule {
    /// Most kinds.
    Subdomain,
    /// Namespaces.
    Label,
    /// Services.
    Label1035,
    /// Roles and their bindings: anything that fits into a path.
    PathSegment,
}

impl NameRule {
    /// The broken rules of `name`.
    pub(crate) fn check(self, name: &str) -> Vec<String> {
        match self {
            Self::Subdomain => with_limit(name, 253, subdomain),
            Self::Label => with_limit(name, 63, label),
            Self::Label1035 => label_1035(name),
            Self::PathSegment => path_segment(name),
        }
    }
}

pub(crate) fn subdomain(text: &str) -> Vec<String> {
    let mut broken = length(text, 253);
    if !fits(&SUBDOMAIN, text) {
        broken.push(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
             '-' or '.', and must start and end with an alphanumeric character (e.g. \
             'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
                .into(),
        );
    }
    broken
}

pub(crate) fn label(text: &str) -> Vec<String> {
    let mut broken = length(text, 63);
    if !fits(&LABEL, text) && fits(&SUBDOMAIN, text) {
        broken.push("must not contain dots".into());
    } else if !fits(&LABEL, text) {
        broken.push(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or \
             '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or \
             '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
                .into(),
        );
    }
    broken
}

/// The key of a label, an annotation or a finalizer: an optional prefix and a name.
pub(crate) fn label_key(text: &str) -> Vec<String> {
    const SHAPE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must \
                         start and end with an alphanumeric character (e.g. 'MyName',  or \
                         'my.name',  or '123-abc', regex used for validation is \
                         '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    let mut broken = Vec::new();
    let name = match text.split_once('/') {
        None => text,
        Some((_, rest)) if rest.contains('/') => {
            return vec![format!(
                "a valid label key {SHAPE} with an optional DNS subdomain prefix and '/' (e.g. \
                 'example.com/MyName')"
            )];
        }
        Some((prefix, name)) => {
            if prefix.is_empty() {
                broken.push("prefix part must be non-empty".into());
            } else {
                broken.extend(subdomain(prefix).into_iter().map(|s| format!("prefix part {s}")));
            }
            name
        }
    };
    if name.is_empty() {
        broken.push("name part must be non-empty".into());
    } else {
        broken.extend(length(name, 63).into_iter().map(|s| format!("name part {s}")));
    }
    if !fits(&QUALIFIED, name) {
        broken.push(format!("name part {SHAPE}"));
    }
    broken
}

pub(crate) fn label_value(text: &str) -> Vec<String> {
    let mut broken = length(text, 63);
    if !text.is_empty() && !fits(&QUALIFIED, text) {
        broken.push(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', \
             '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  \
             or 'my_value',  or '12345', regex used for validation is \
             '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
                .into(),
        );
    }
    broken
}

/// A key of a `ConfigMap` or a `Secret`.
pub(crate) fn data_key(text: &str) -> Vec<String> {
    let mut broken = with_limit(text, 253, |text| length(text, 253));
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || !text.chars().all(fine) {
        broken.push(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. \
             'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is \
             '[-._a-zA-Z0-9]+')"
                .into(),
        );
    }
    if text == "." {
        broken.push("must not be '.'".into());
    } else if text == ".." {
        broken.push("must not be '..'".into());
    } else if text.starts_with("..") {
        broken.push("must not start with '..'".into());
    }
    broken
}

fn label_1035(text: &str) -> Vec<String> {
    let mut broken = length(text, 63);
    if !fits(&LABEL_1035, text) {
        broken.push(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start \
             with an alphabetic character, and end with an alphanumeric character (e.g. \
             'my-name',  or 'abc-123', regex used for validation is \
             '[a-z]([-a-z0-9]*[a-z0-9])?')"
                .into(),
        );
    }
    broken
}

fn path_segment(text: &str) -> Vec<String> {
    if text == "." || text == ".." {
        return vec![format!("may not be '{text}'")];
    }
    ['/', '%']
        .into_iter()
        .filter(|c| text.contains(*c))
        .map(|c| format!("may not contain '{c}'"))
        .collect()
}

/// Names of objects count in characters, where all else counts in bytes.
fn with_limit(name: &str, limit: usize, check: fn(&str) -> Vec<String>) -> Vec<String> {
    let mut broken = check(name);
    if name.len() > limit
        && let Some(first) = broken.first_mut()
    {
        *first = format!("must be no more than {limit} characters");
    }
    broken
}

fn length(text: &str, limit: usize) -> Vec<String> {
    if text.len() > limit {
        vec![format!("must be no more than {limit} bytes")]
    } else {
        Vec::new()
    }
}

fn fits(pattern: &Option<Regex>, text: &str) -> bool {
    pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
}
