//! Secrets do not appear on screens.

use relay_core::{MemorySecrets, SecretStore as _, Value};
use secrecy::{ExposeSecret as _, SecretString};

/// What stands in the place of a secret.
const MASK: &str = "***";
/// Shorter ones would hide half of everything.
const SHORTEST: usize = 4;

/// The texts that are hidden: all secrets and connections, also the lines of longer ones.
pub(crate) struct Masks {
    /// Longest first.
    texts: Vec<SecretString>,
}

impl Masks {
    /// Everything in a store.
    pub(crate) async fn of(secrets: &MemorySecrets) -> Result<Self, String> {
        let mut texts: Vec<String> = Vec::new();
        let mut add = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            let lines = text.lines().map(str::trim).chain([text.as_ref()]);
            texts.extend(lines.filter(|line| line.chars().count() >= SHORTEST).map(str::to_owned));
        };
        let failed = |error: relay_core::StoreError| error.to_string();
        for secret in secrets.secrets().await.map_err(failed)?.values() {
            secret.expose_secret().for_each_string(&mut add);
        }
        for named in secrets.connections().await.map_err(failed)?.values() {
            for connection in named.values() {
                connection.expose_secret().for_each_string(&mut add);
            }
        }
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Ok(Self { texts: texts.into_iter().map(SecretString::from).collect() })
    }

    /// The value with all of them hidden, in keys too.
    pub(crate) fn apply(&self, value: &Value) -> Value {
        match value {
            Value::Text(text) => self.text(text).into(),
            Value::Bytes(bytes) => {
                let text = String::from_utf8_lossy(bytes);
                let masked = self.text(&text);
                if masked == text { value.clone() } else { masked.into() }
            }
            Value::List(items) => Value::list(items.iter().map(|item| self.apply(item))),
            Value::Map(map) => {
                let members = map.iter().map(|(key, member)| (self.text(key), self.apply(member)));
                Value::map(members)
            }
            other => other.clone(),
        }
    }

    fn text(&self, text: &str) -> String {
        let texts = self.texts.iter();
        texts.fold(text.to_owned(), |text, secret| text.replace(secret.expose_secret(), MASK))
    }
}
