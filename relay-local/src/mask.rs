//! Secrets in what is shown (`design.md` decision 10).

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, MatchKind};
use relay_core::{SecretStore, StoreError, Value};
use relay_model::v1beta1::{MessageSourceStatus, RunStatus, SpecValidation, WhenEvaluation};
use secrecy::ExposeSecret as _;

/// What stands in the place of a secret.
const MASK: &str = "***";
/// Shorter values would mask half of every text.
const MIN_LENGTH: usize = 4;

/// Finds the values of secrets and connections, to put `***` in their place wherever something is
/// shown. Words of fewer than four characters are left alone.
pub struct Masks {
    finder: Option<AhoCorasick>,
    longest: usize,
}

impl std::fmt::Debug for Masks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Masks").finish_non_exhaustive()
    }
}

/// Masks nothing.
impl Default for Masks {
    fn default() -> Self {
        Self::new(BTreeSet::new())
    }
}

impl Masks {
    /// Masks for all that a store holds.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn of(store: &dyn SecretStore) -> Result<Self, StoreError> {
        let mut words = BTreeSet::new();
        for secret in store.secrets().await?.values() {
            collect(secret.expose_secret(), &mut words);
        }
        for connection in store.connections().await?.values().flat_map(|named| named.values()) {
            collect(connection.expose_secret(), &mut words);
        }
        Ok(Self::new(words))
    }

    fn new(words: BTreeSet<Vec<u8>>) -> Self {
        let longest = words.iter().map(Vec::len).max().unwrap_or_default();
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(words);
        // Only sets of gigabytes cannot be built; then everything is masked.
        Self { finder: finder.ok(), longest }
    }

    /// How many bytes the longest masked word has.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// The greatest place up to this one that lies within no masked word.
    pub(crate) fn whole_until(&self, bytes: &[u8], place: usize) -> usize {
        let mut found = self.finder.iter().flat_map(|finder| finder.find_iter(bytes));
        let across = found.find(|word| word.start() < place && word.end() > place);
        across.map_or(place, |word| word.start())
    }

    /// The text with every secret in it replaced.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        match &self.finder {
            _ if self.longest == 0 => text.to_owned(),
            Some(finder) => finder.replace_all(text, &vec![MASK; finder.patterns_len()]),
            None => MASK.to_owned(),
        }
    }

    /// The value with every secret in it replaced, in keys too.
    #[must_use]
    pub fn value(&self, value: &Value) -> Value {
        match value {
            Value::Text(text) => Value::from(self.text(text)),
            Value::Bytes(bytes) if self.longest > 0 => {
                Value::from(self.text(&String::from_utf8_lossy(bytes)))
            }
            Value::List(items) => Value::list(items.iter().map(|item| self.value(item))),
            Value::Map(map) => {
                Value::map(map.iter().map(|(key, value)| (self.text(key), self.value(value))))
            }
            Value::Null => Value::Null,
            scalar => {
                let shown = scalar.to_json();
                if self.text(&shown) == shown { scalar.clone() } else { Value::from(MASK) }
            }
        }
    }

    /// Masks all in a status that steps have a say in: outputs, messages, decorators.
    pub(crate) fn status(&self, status: &mut RunStatus) {
        if self.longest == 0 {
            return;
        }
        let mask = |text: &mut Option<String>| {
            if let Some(text) = text {
                *text = self.text(text);
            }
        };
        status.conditions.iter_mut().for_each(|condition| mask(&mut condition.message));
        for step in &mut status.steps {
            step.conditions.iter_mut().for_each(|condition| mask(&mut condition.message));
            for output in &mut step.outputs {
                output.name = self.text(&output.name);
                output.value = self.value(&output.value);
            }
            for message in &mut step.messages {
                message.details = self.text(&message.details);
                mask(&mut message.short);
                self.source(&mut message.source);
            }
            for decorator in &mut step.decorators {
                decorator.name = self.text(&decorator.name);
                if let Some(link) = &mut decorator.link {
                    link.description = self.text(&link.description);
                    link.uri = self.text(&link.uri);
                }
            }
        }
    }

    fn source(&self, source: &mut MessageSourceStatus) {
        let MessageSourceStatus { when_evaluation, spec_validation, log } = source;
        if let Some(WhenEvaluation { path, expression }) = when_evaluation {
            *path = self.text(path);
            *expression = self.value(expression);
        }
        if let Some(SpecValidation { path, expression, schema }) = spec_validation {
            *path = self.text(path);
            *expression = self.value(expression);
            *schema = self.value(schema);
        }
        if let Some(log) = log {
            let members = std::mem::take(log).into_iter();
            *log = members.map(|(key, value)| (self.text(&key), self.value(&value))).collect();
        }
    }
}

/// Every string and number in a value, whole and line by line, with the blanks around it and
/// without, as it is and as JSON writes it; and what it holds if it is JSON itself, which steps
/// may take apart.
fn collect(value: &Value, words: &mut BTreeSet<Vec<u8>>) {
    value.for_each_string(&mut |bytes| {
        let whole = std::iter::once(bytes);
        for part in whole.chain(bytes.split(|byte| *byte == b'\n')) {
            let part = part.strip_suffix(b"\r").unwrap_or(part);
            add(part, words);
            add(part.trim_ascii(), words);
        }
        if let Ok(Ok(held)) = std::str::from_utf8(bytes).map(Value::from_json) {
            collect(&held, words);
        }
    });
    for_each_number(value, &mut |number| add(number.to_json().as_bytes(), words));
}

fn add(word: &[u8], words: &mut BTreeSet<Vec<u8>>) {
    if word.len() < MIN_LENGTH {
        return;
    }
    words.insert(word.to_vec());
    if let Ok(text) = std::str::from_utf8(word) {
        let json = Value::from(text).to_json();
        words.insert(json.trim_matches('"').as_bytes().to_vec());
    }
}

fn for_each_number(value: &Value, visit: &mut dyn FnMut(&Value)) {
    match value {
        Value::Number(_) => visit(value),
        Value::List(items) => items.iter().for_each(|item| for_each_number(item, visit)),
        Value::Map(map) => map.values().for_each(|value| for_each_number(value, visit)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use relay_core::MemorySecrets;
    use relay_model::v1beta1::{OutputStatus, StepStatus};
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn secrets_are_masked_whole_by_line_and_as_json() {
        let fields = Value::map([("url", Value::from("https://h")), ("n", 5.into())]);
        let store = MemorySecrets::default()
            .with_secret("token", "t0k3n\"value".into())
            .with_secret("lines", "first line\nx\nlast line".into())
            .with_secret("short", "abc".into())
            .with_connection("http", "api", fields);
        let masks = Masks::of(&store).await.unwrap();
        for (text, expected) in [
            ("a t0k3n\"value b", "a *** b"),
            (r#"{"k":"t0k3n\"value"}"#, r#"{"k":"***"}"#),
            ("first line", "***"),
            ("x abc 5", "x abc 5"),
            ("GET https://h/x", "GET ***/x"),
            ("first line\nx\nlast line", "***"),
        ] {
            assert_eq!(masks.text(text), expected);
        }
        assert_eq!(Masks::new(BTreeSet::new()).text("as it is"), "as it is");
    }

    #[tokio::test]
    async fn what_a_secret_holds_is_masked_too() {
        let json =
            r#" {"user": "someone", "pin": 778899, "on": true, "deep": ["{\"key\": \"k3y!\"}"]} "#;
        let store = MemorySecrets::default()
            .with_secret("json", json.into())
            .with_secret("blanks", "\t padded \n  indented\r\n  x".into())
            .with_secret("number", "1234567.50".into());
        let masks = Masks::of(&store).await.unwrap();
        for (name, text, expected) in [
            ("a member", "for someone else", "for *** else"),
            ("a number", r#"{"pin":778899}"#, r#"{"pin":***}"#),
            ("what is in JSON in JSON", "k3y!", "***"),
            ("a boolean is no secret", "true user", "true user"),
            ("all of it", json, "***"),
            ("without the blanks around it", "(padded)", "(***)"),
            ("a line without them", "(indented)", "(***)"),
            ("too short without them", "(x)", "(x)"),
            ("a number as JSON writes it", "1234567.5", "***"),
        ] {
            assert_eq!(masks.text(text), expected, "{name}");
        }
    }

    #[tokio::test]
    async fn scalars_are_masked_as_they_are_shown() {
        let store = MemorySecrets::default().with_secret("s", "123456789".into());
        let masks = Masks::of(&store).await.unwrap();
        for (name, value, expected) in [
            ("the secret as a number", Value::from(123_456_789), r#""***""#),
            ("within another number", Value::from(71_234_567_890_i64), r#""***""#),
            ("in depth", Value::list([Value::from(123_456_789), Value::Null]), r#"["***",null]"#),
            ("another number", Value::from(12_345_678), "12345678"),
            ("a boolean", Value::from(true), "true"),
        ] {
            assert_eq!(masks.value(&value).to_json(), expected, "{name}");
        }
    }

    #[tokio::test]
    async fn nothing_in_a_status_shows_a_secret() {
        let store = MemorySecrets::default().with_secret("s", "hush-hush".into());
        let tree = || json!({"hush-hush": ["in hush-hush"]});
        let mut status: RunStatus = serde_json::from_value(json!({
            "conditions": [condition()],
            "steps": [{
                "name": "a",
                "conditions": [condition()],
                "outputs": [{"name": "hush-hush", "value": tree()}],
                "messages": [{
                    "source": {
                        "whenEvaluation": {"path": "hush-hush", "expression": tree()},
                        "specValidation": {
                            "path": "hush-hush", "expression": tree(), "schema": tree(),
                        },
                        "log": tree(),
                    },
                    "severity": "Error",
                    "observationTime": "2024-01-01T00:00:00Z",
                    "short": "hush-hush",
                    "details": "hush-hush",
                }],
                "decorators": [{
                    "name": "hush-hush",
                    "link": {"description": "hush-hush", "uri": "http://x/hush-hush"},
                }],
            }],
        }))
        .unwrap();
        Masks::of(&store).await.unwrap().status(&mut status);
        let shown = serde_json::to_string(&status).unwrap();
        assert!(!shown.contains("hush-hush"), "{shown}");
        assert_eq!(shown.matches(MASK).count(), 20, "{shown}");
    }

    fn condition() -> serde_json::Value {
        json!({
            "type": "Succeeded", "status": "False", "reason": "R", "message": "of hush-hush",
            "lastTransitionTime": "2024-01-01T00:00:00Z",
        })
    }

    #[tokio::test]
    async fn outputs_are_masked_by_name_and_in_depth() {
        let store = MemorySecrets::default().with_secret("s", "hush-hush".into());
        let list =
            Value::list([Value::from("a hush-hush b"), Value::Bytes(b"hush-hush".to_vec().into())]);
        let output = OutputStatus {
            name: "hush-hush".to_owned(),
            sensitive: false,
            value: Value::map([("hush-hush", list), ("n", 1.into())]),
            omitted: None,
        };
        let step = StepStatus { outputs: vec![output], ..StepStatus::default() };
        let mut status = RunStatus { steps: vec![step], ..RunStatus::default() };
        Masks::of(&store).await.unwrap().status(&mut status);
        let OutputStatus { name, value, .. } = &status.steps[0].outputs[0];
        assert_eq!(name, "***");
        assert_eq!(value.to_json(), r#"{"***":["a *** b","***"],"n":1}"#);
    }
}
