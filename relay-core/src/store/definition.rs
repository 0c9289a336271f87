use std::fmt;

use async_trait::async_trait;

use super::StoreError;
use crate::expr::Expression;
use crate::value::{Map, Value};

/// What the author wrote for one action, and the parameters of its run. Read only.
///
/// Trees come parsed, so that a store can keep them: cloning an [`Expression`] is cheap.
///
/// ```
/// use async_trait::async_trait;
/// use relay_core::{Definition, Expression, Map, StoreError, Value};
///
/// /// A step that greets the one parameter it knows.
/// #[derive(Debug)]
/// struct Greeting;
///
/// #[async_trait]
/// impl Definition for Greeting {
///     async fn spec(&self) -> Result<Option<Expression>, StoreError> {
///         Ok(Some(Expression::parse(&Value::map([("text", "Hello, ${parameters.who}".into())]))))
///     }
///     async fn environment(&self) -> Result<Option<Expression>, StoreError> { Ok(None) }
///     async fn conditions(&self) -> Result<Option<Expression>, StoreError> { Ok(None) }
///     async fn parameters(&self) -> Result<Map, StoreError> {
///         Ok(Map::from([("who".into(), "relay".into())]))
///     }
/// }
/// ```
#[async_trait]
pub trait Definition: Send + Sync + fmt::Debug {
    /// The action's `spec`; `None` when it has none.
    ///
    /// # Errors
    ///
    /// When the store fails or holds something damaged; likewise below.
    async fn spec(&self) -> Result<Option<Expression>, StoreError>;

    /// The action's `env`, a map of expressions.
    async fn environment(&self) -> Result<Option<Expression>, StoreError>;

    /// The action's conditions: one expression, or a list of them.
    async fn conditions(&self) -> Result<Option<Expression>, StoreError>;

    /// All parameters of the run. One that has neither value nor default is null.
    async fn parameters(&self) -> Result<Map, StoreError>;

    /// One parameter.
    async fn parameter(&self, name: &str) -> Result<Option<Value>, StoreError> {
        Ok(self.parameters().await?.get(name).cloned())
    }
}
