use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;

use super::StoreError;
use crate::value::SecretValue;

/// Secrets and connections in reach of one caller.
///
/// ```
/// use async_trait::async_trait;
/// use std::collections::BTreeMap;
/// use relay_core::{SecretStore, SecretValue, StoreError, Value};
///
/// /// Secrets from the environment of this process, as `SECRET_NAME`.
/// #[derive(Debug)]
/// struct Inherited;
///
/// #[async_trait]
/// impl SecretStore for Inherited {
///     async fn secret(&self, name: &str) -> Result<Option<SecretValue>, StoreError> {
///         let text = std::env::var(format!("SECRET_{}", name.to_uppercase())).ok();
///         Ok(text.map(|text| SecretValue::new(Box::new(Value::from(text)))))
///     }
///     async fn secrets(&self) -> Result<BTreeMap<String, SecretValue>, StoreError> {
///         Ok(BTreeMap::new())
///     }
///     async fn connection(&self, _: &str, _: &str) -> Result<Option<SecretValue>, StoreError> {
///         Ok(None)
///     }
///     async fn connections(
///         &self,
///     ) -> Result<BTreeMap<String, BTreeMap<String, SecretValue>>, StoreError> {
///         Ok(BTreeMap::new())
///     }
/// }
/// ```
#[async_trait]
pub trait SecretStore: Send + Sync + fmt::Debug {
    /// A secret: a string.
    ///
    /// # Errors
    ///
    /// When the store fails; likewise below. An error never holds a value.
    async fn secret(&self, name: &str) -> Result<Option<SecretValue>, StoreError>;

    /// All secrets, by name.
    async fn secrets(&self) -> Result<BTreeMap<String, SecretValue>, StoreError>;

    /// A connection: an object of fields.
    async fn connection(&self, kind: &str, name: &str) -> Result<Option<SecretValue>, StoreError>;

    /// All connections, by type and name.
    async fn connections(
        &self,
    ) -> Result<BTreeMap<String, BTreeMap<String, SecretValue>>, StoreError>;
}
