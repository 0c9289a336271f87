//! The expression language (`expressions.md`): data in which some strings and objects are active.
//!
//! A tree is parsed once into an [`Expression`]. Evaluating it is a pure function of the tree and
//! an [`Environment`] of known values; [`Expression::resolve`] drives it against stores. A value
//! that came out of a reference is data, and is never evaluated again.
//!
//! | module | holds |
//! | --- | --- |
//! | `parse`, `syntax`, `print` | templates and expressions: text to syntax tree and back |
//! | `tree` | whole trees: JSON data to nodes |
//! | `evaluate`, `operator`, `pattern`, `function` | the evaluator |
//! | `query`, `jsonpath` | the query languages of `GET /spec` |
//! | `markdown` | what `convertMarkdown` writes |
//! | `limits` | budgets |
//! | `typed` | evaluating into a type |
//! | `resolver`, `environment`, `reference` | where values come from |
//! | `mention` | what a tree mentions, for static checks |
//! | `condition` | what the value of a `when` says |

mod condition;
mod environment;
mod error;
mod evaluate;
mod function;
mod jsonpath;
mod limits;
mod markdown;
mod mention;
mod operator;
mod parse;
mod pattern;
mod print;
mod query;
mod reference;
mod resolver;
mod syntax;
mod tree;
mod typed;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::de::DeserializeOwned;

pub use condition::Decision;
pub use environment::{Environment, Wanted};
pub use error::{Cause, Error, Frame};
pub use limits::Limits;
pub use mention::Mention;
pub use query::{Language, Query, UnknownLanguage};
pub use reference::{Collection, Reference, References};
pub use resolver::{ResolveError, Resolver, StoreResolver};

use self::evaluate::{Evaluator, Partial};
use self::tree::Node;
use crate::value::Value;

/// A parsed tree. Cheap to clone, and shared between threads.
///
/// ```
/// use relay_core::Value;
/// use relay_core::expr::{Environment, Expression, Reference};
///
/// let tree = Expression::parse(&Value::from("${parameters.count + 1}"));
/// let mut environment = Environment::new(jiff::Timestamp::UNIX_EPOCH);
/// environment.insert(Reference::Parameter { name: "count".into() }, Some(Value::from(2)));
///
/// let evaluation = tree.evaluate(&environment).result?;
/// assert_eq!(evaluation.value, Value::from(3));
/// assert!(evaluation.is_complete());
/// # Ok::<(), relay_core::expr::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Expression(Arc<Node>);

/// What evaluating once came to.
#[derive(Clone, Debug)]
pub struct Attempt<T = Value> {
    /// The value, or what is wrong with the tree.
    pub result: Result<Evaluation<T>, Error>,
    /// What the environment did not know. Knowing it may change the result, an error included.
    pub wanted: BTreeSet<Wanted>,
}

/// A value, and the references that went into it.
#[derive(Clone, PartialEq)]
pub struct Evaluation<T = Value> {
    /// The value; what could not be resolved stands in it as it was written.
    pub value: T,
    /// The references that were found.
    pub resolved: References,
    /// The references that were not.
    pub unresolvable: References,
}

/// Names the references, and no value: what came of secrets is secret.
impl<T> fmt::Debug for Evaluation<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evaluation")
            .field("resolved", &self.resolved)
            .field("unresolvable", &self.unresolvable)
            .finish_non_exhaustive()
    }
}

impl<T> Evaluation<T> {
    /// Whether everything was resolved.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.unresolvable.is_empty()
    }
}

impl Expression {
    /// Parses a tree. Never fails: a part that is wrong is an error once evaluation reaches it.
    #[must_use]
    pub fn parse(tree: &Value) -> Self {
        Self::parse_within(tree, &Limits::default())
    }

    /// Parses a tree within these limits. What exceeds them is an error once evaluation reaches it.
    #[must_use]
    pub fn parse_within(tree: &Value, limits: &Limits) -> Self {
        Self(Arc::new(Node::parse(tree, limits)))
    }

    /// A tree that is this value and nothing active.
    #[must_use]
    pub fn data(value: Value) -> Self {
        Self(Arc::new(Node::Data(value)))
    }

    /// The tree as it was written.
    #[must_use]
    pub fn source(&self) -> Value {
        self.0.source()
    }

    /// A member, if the tree is an object at its top.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Self> {
        match self.0.as_ref() {
            Node::Map(members, _) => {
                tree::member(members, key).map(|node| Self(Arc::new(node.clone())))
            }
            Node::Data(value) => value.get(key).map(|value| Self::data(value.clone())),
            _ => None,
        }
    }

    /// Everything that the tree mentions, in the order of writing, and what is wrong with it as
    /// far as that needs no values.
    #[must_use]
    pub fn mentions(&self) -> Vec<Mention> {
        let mut found = Vec::new();
        mention::in_node(&self.0, &mut found);
        found
    }

    /// Evaluates the whole tree with what is known.
    #[must_use]
    pub fn evaluate(&self, environment: &Environment) -> Attempt {
        attempt(environment, |evaluator| evaluator.node(&self.0))
    }

    /// Evaluates this many levels of lists and objects, and leaves what lies below as it was
    /// written: at depth 1 a reference, call, encoding or template at the top is evaluated, a list
    /// or object is not.
    #[must_use]
    pub fn evaluate_to_depth(&self, depth: usize, environment: &Environment) -> Attempt {
        attempt(environment, |evaluator| evaluator.node_to_depth(&self.0, depth))
    }

    /// Evaluates into a type with what is known: only the fields that the type has are evaluated,
    /// and what cannot be resolved takes the zero value of its type (of an enumeration, its first
    /// variant). The references that were met on the way are reported.
    ///
    /// ```
    /// use relay_core::Value;
    /// use relay_core::expr::{Environment, Expression};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Release {
    ///     title: String,
    ///     copies: u32,
    /// }
    ///
    /// let tree = Value::from_json(
    ///     r#"{"title": "${'Re' + 'lay'}", "copies": "${parameters.copies}", "more": "${broken("}"#,
    /// )?;
    /// let environment = Environment::new(jiff::Timestamp::UNIX_EPOCH);
    /// let release = Expression::parse(&tree).evaluate_into::<Release>(&environment).result?;
    /// assert_eq!((release.value.title.as_str(), release.value.copies), ("Relay", 0));
    /// assert!(!release.is_complete());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn evaluate_into<T: DeserializeOwned>(&self, environment: &Environment) -> Attempt<T> {
        attempt_as(environment, |evaluator| {
            T::deserialize(typed::Tree { evaluator, node: &self.0 })
        })
    }

    /// Evaluates a query over the tree with what is known. Only what the query touches is
    /// evaluated.
    #[must_use]
    pub fn evaluate_query(&self, query: &Query, environment: &Environment) -> Attempt {
        attempt(environment, |evaluator| query.run(evaluator, &self.0))
    }

    /// Evaluates the whole tree, fetching what it refers to.
    ///
    /// # Errors
    ///
    /// When the tree is wrong or a store fails. References that are not found are no error.
    pub async fn resolve(
        &self,
        resolver: &dyn Resolver,
        now: Timestamp,
    ) -> Result<Evaluation, ResolveError> {
        let foreseen = self.0.foreseen();
        let evaluate = |environment: &Environment| self.evaluate(environment);
        resolver::resolve(resolver, now, foreseen, evaluate).await
    }

    /// Evaluates into a type, as [`Expression::evaluate_into`] does, fetching what its fields refer
    /// to.
    ///
    /// # Errors
    ///
    /// As for [`Expression::resolve`].
    pub async fn resolve_into<T: DeserializeOwned + Send>(
        &self,
        resolver: &dyn Resolver,
        now: Timestamp,
    ) -> Result<Evaluation<T>, ResolveError> {
        let evaluate = |environment: &Environment| self.evaluate_into(environment);
        resolver::resolve(resolver, now, Vec::new(), evaluate).await
    }

    /// Evaluates this many levels, as [`Expression::evaluate_to_depth`] does, fetching what they
    /// refer to.
    ///
    /// # Errors
    ///
    /// As for [`Expression::resolve`].
    pub async fn resolve_to_depth(
        &self,
        depth: usize,
        resolver: &dyn Resolver,
        now: Timestamp,
    ) -> Result<Evaluation, ResolveError> {
        let evaluate = |environment: &Environment| self.evaluate_to_depth(depth, environment);
        resolver::resolve(resolver, now, Vec::new(), evaluate).await
    }

    /// Evaluates a query over the tree, fetching what it refers to.
    ///
    /// # Errors
    ///
    /// As for [`Expression::resolve`].
    pub async fn resolve_query(
        &self,
        query: &Query,
        resolver: &dyn Resolver,
        now: Timestamp,
    ) -> Result<Evaluation, ResolveError> {
        let evaluate = |environment: &Environment| self.evaluate_query(query, environment);
        resolver::resolve(resolver, now, Vec::new(), evaluate).await
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source()).finish()
    }
}

impl From<Value> for Expression {
    fn from(tree: Value) -> Self {
        Self::parse(&tree)
    }
}

/// The names of all functions.
pub fn function_names() -> impl Iterator<Item = &'static str> {
    function::FUNCTIONS.iter().map(|function| function.name)
}

fn attempt(
    environment: &Environment,
    run: impl FnOnce(&mut Evaluator<'_>) -> Result<Partial, Error>,
) -> Attempt {
    attempt_as(environment, |evaluator| {
        let partial = run(evaluator)?;
        evaluator.budget.value(&partial.value, 0)?;
        Ok(partial.value)
    })
}

fn attempt_as<T>(
    environment: &Environment,
    run: impl FnOnce(&mut Evaluator<'_>) -> Result<T, Error>,
) -> Attempt<T> {
    let mut evaluator = Evaluator::new(environment);
    let result = run(&mut evaluator);
    let met = std::mem::take(&mut evaluator.met);
    let result = result.map(|value| {
        let (mut resolved, mut unresolvable) = (Vec::with_capacity(met.len()), Vec::new());
        for (reference, found) in met {
            if found { &mut resolved } else { &mut unresolvable }.push(reference);
        }
        Evaluation { value, resolved: resolved.into(), unresolvable: unresolvable.into() }
    });
    Attempt { result, wanted: evaluator.wanted }
}
