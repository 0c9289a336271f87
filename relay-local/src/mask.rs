//! Secrets in what is shown (`design.md` decision 10).

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, MatchKind};
use relay_core::{SecretStore, StoreError, Value};
use relay_model::v1beta1::RunStatus;
use secrecy::ExposeSecret as _;

/// What stands in the place of a secret.
const MASK: &str = "***";
/// Shorter values would mask half of every text.
const MIN_LENGTH: usize = 4;

/// Finds the values of secrets and connections in text.
pub(crate) struct Masks {
    finder: Option<AhoCorasick>,
    longest: usize,
}

impl std::fmt::Debug for Masks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Masks").finish_non_exhaustive()
    }
}

impl Masks {
    /// Masks for all that a store holds.
    pub(crate) async fn of(store: &dyn SecretStore) -> Result<Self, StoreError> {
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
    pub(crate) fn text(&self, text: &str) -> String {
        match &self.finder {
            _ if self.longest == 0 => text.to_owned(),
            Some(finder) => finder.replace_all(text, &vec![MASK; finder.patterns_len()]),
            None => MASK.to_owned(),
        }
    }

    fn value(&self, value: &Value) -> Value {
        match value {
            Value::Text(text) => Value::from(self.text(text)),
            Value::Bytes(bytes) if self.longest > 0 => {
                Value::from(self.text(&String::from_utf8_lossy(bytes)))
            }
            Value::List(items) => Value::list(items.iter().map(|item| self.value(item))),
            Value::Map(map) => {
                Value::map(map.iter().map(|(key, value)| (self.text(key), self.value(value))))
            }
            other => other.clone(),
        }
    }

    /// Masks what a status shows of outputs and says in messages.
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
            }
        }
    }
}

/// Every string in a value, whole and line by line, as it is and as JSON writes it.
fn collect(value: &Value, words: &mut BTreeSet<Vec<u8>>) {
    value.for_each_string(&mut |bytes| {
        let whole = std::iter::once(bytes);
        for part in whole.chain(bytes.split(|byte| *byte == b'\n')) {
            let part = part.strip_suffix(b"\r").unwrap_or(part);
            if part.len() < MIN_LENGTH {
                continue;
            }
            words.insert(part.to_vec());
            if let Ok(text) = std::str::from_utf8(part) {
                let json = Value::from(text).to_json();
                words.insert(json.trim_matches('"').as_bytes().to_vec());
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use relay_core::MemorySecrets;
    use relay_model::v1beta1::{OutputStatus, StepStatus};

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
