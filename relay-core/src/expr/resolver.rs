//! The driver: fetches what is sure to be needed, evaluates, fetches what was missing, and evaluates
//! again until nothing new is found. Nothing is fetched twice, and what is fetched together is
//! fetched concurrently.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::try_join_all;
use jiff::Timestamp;
use secrecy::ExposeSecret as _;

use super::environment::{Environment, Wanted};
use super::error::{Cause, Error};
use super::reference::{Collection, Reference};
use super::{Attempt, Evaluation};
use crate::action::StepName;
use crate::store::{Definition, Journal, SecretStore, StoreError};
use crate::value::{Map, Value};

/// Finds what references mean.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use async_trait::async_trait;
/// use relay_core::expr::{Collection, Expression, Reference, ResolveError, Resolver};
/// use relay_core::Value;
///
/// /// Every parameter is its own name.
/// struct Echo;
///
/// #[async_trait]
/// impl Resolver for Echo {
///     async fn resolve(&self, reference: &Reference) -> Result<Option<Value>, ResolveError> {
///         Ok(match reference {
///             Reference::Parameter { name } => Some(Value::from(name.as_ref())),
///             _ => None,
///         })
///     }
///     async fn members(&self, _: &Collection) -> Result<Value, ResolveError> {
///         Ok(Value::map::<&str>([]))
///     }
/// }
///
/// let greeting = Expression::parse(&Value::from("Hello, ${parameters.you}!"));
/// let evaluation = greeting.resolve(&Echo, jiff::Timestamp::UNIX_EPOCH).await?;
/// assert_eq!(evaluation.value, Value::from("Hello, you!"));
/// # Ok(()) }
/// ```
#[async_trait]
pub trait Resolver: Send + Sync {
    /// The value of a reference; `None` when there is none (yet).
    ///
    /// # Errors
    ///
    /// When the store fails, or the reference is forbidden here.
    async fn resolve(&self, reference: &Reference) -> Result<Option<Value>, ResolveError>;

    /// All members of a kind, as an object.
    ///
    /// # Errors
    ///
    /// As for [`Resolver::resolve`].
    async fn members(&self, collection: &Collection) -> Result<Value, ResolveError>;
}

/// Why a tree could not be evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The tree is wrong.
    #[error(transparent)]
    Evaluate(#[from] Error),
    /// A store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Evaluates with everything that `resolver` finds. What is foreseen is what the first evaluation
/// would ask for.
pub(crate) async fn resolve<T: Send>(
    resolver: &dyn Resolver,
    now: Timestamp,
    foreseen: Vec<Reference>,
    evaluate: impl Fn(&Environment) -> Attempt<T> + Send + Sync,
) -> Result<Evaluation<T>, ResolveError> {
    let mut environment = Environment::new(now);
    if !foreseen.is_empty() {
        let wanted = foreseen.into_iter().map(Wanted::Reference);
        fetch(resolver, wanted, &mut environment).await?;
    }
    loop {
        let attempt = evaluate(&environment);
        // What was fetched is known, and so never wanted again: this ends.
        if attempt.wanted.is_empty() {
            return attempt.result.map_err(ResolveError::Evaluate);
        }
        fetch(resolver, attempt.wanted, &mut environment).await?;
    }
}

async fn fetch(
    resolver: &dyn Resolver,
    wanted: impl IntoIterator<Item = Wanted>,
    environment: &mut Environment,
) -> Result<(), ResolveError> {
    let fetches = wanted.into_iter().map(|wanted| async move {
        let found = match &wanted {
            Wanted::Reference(reference) => resolver.resolve(reference).await,
            Wanted::Collection(collection) => resolver.members(collection).await.map(Some),
        };
        found.map(|found| (wanted, found))
    });
    for fetched in try_join_all(fetches).await? {
        match fetched {
            (Wanted::Reference(reference), value) => environment.insert(reference, value),
            (Wanted::Collection(collection), members) => {
                environment.insert_collection(collection, members.unwrap_or_default());
            }
        }
    }
    Ok(())
}

/// Resolves references from the stores of a caller. What is `None` is forbidden.
#[derive(Clone, Debug, Default)]
pub struct StoreResolver {
    /// Where parameters are.
    pub definition: Option<Arc<dyn Definition>>,
    /// Where outputs, statuses and answers are.
    pub journal: Option<Arc<dyn Journal>>,
    /// Where secrets and connections are.
    pub secrets: Option<Arc<dyn SecretStore>>,
    /// Whether answers may be used: in conditions they may.
    pub answers: bool,
}

fn forbidden(what: &'static str) -> ResolveError {
    ResolveError::Evaluate(Cause::Rejected(what).into())
}

impl StoreResolver {
    fn journal(&self, what: &'static str) -> Result<&dyn Journal, ResolveError> {
        self.journal.as_deref().ok_or_else(|| forbidden(what))
    }

    fn secrets(&self, what: &'static str) -> Result<&dyn SecretStore, ResolveError> {
        self.secrets.as_deref().ok_or_else(|| forbidden(what))
    }

    fn definition(&self) -> Result<&dyn Definition, ResolveError> {
        self.definition.as_deref().ok_or_else(|| forbidden("parameter"))
    }
}

#[async_trait]
impl Resolver for StoreResolver {
    async fn resolve(&self, reference: &Reference) -> Result<Option<Value>, ResolveError> {
        Ok(match reference {
            Reference::Parameter { name } => self.definition()?.parameter(name).await?,
            Reference::Secret { name } => {
                let secret = self.secrets("secret")?.secret(name).await?;
                secret.map(|secret| secret.expose_secret().clone())
            }
            Reference::Connection { kind, name } => {
                let connection = self.secrets("connection")?.connection(kind, name).await?;
                connection.map(|connection| connection.expose_secret().clone())
            }
            Reference::Output { from, name } => match StepName::new(from) {
                Ok(step) => {
                    let output = self.journal("output")?.output(&step, name).await?;
                    output.map(|output| output.value)
                }
                Err(_) => None,
            },
            Reference::Status { action, property } => match StepName::new(action) {
                Ok(step) => {
                    let status = self.journal("status")?.status(&step).await?;
                    status.and_then(|status| status.property(property)).map(Value::Bool)
                }
                Err(_) => None,
            },
            Reference::Answer { name, .. } if self.answers => {
                self.journal("answer")?.state(name).await?
            }
            Reference::Answer { .. } | Reference::Data { .. } => None,
        })
    }

    async fn members(&self, collection: &Collection) -> Result<Value, ResolveError> {
        Ok(match collection {
            Collection::Parameters => Value::from(self.definition()?.parameters().await?),
            Collection::Secrets => {
                let secrets = self.secrets("secret")?.secrets().await?;
                Value::map(secrets.into_iter().map(|(k, v)| (k, v.expose_secret().clone())))
            }
            Collection::Connections => {
                let connections = self.secrets("connection")?.connections().await?;
                Value::map(connections.into_iter().map(|(kind, named)| {
                    let named = named.into_iter().map(|(k, v)| (k, v.expose_secret().clone()));
                    (kind, Value::map(named))
                }))
            }
            Collection::Data => Value::from(Map::new()),
            Collection::Outputs => {
                let mut steps: BTreeMap<Arc<str>, Value> = Map::new();
                for (step, outputs) in self.journal("output")?.outputs().await? {
                    let outputs = outputs.into_iter().map(|(name, output)| (name, output.value));
                    steps.insert(step.as_str().into(), Value::map(outputs));
                }
                Value::from(steps)
            }
        })
    }
}
