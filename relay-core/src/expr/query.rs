//! Queries over a tree (`expressions.md` §10).

use std::fmt;

use super::error::Error;
use super::evaluate::{Cursor, Evaluator, Partial, Scope};
use super::jsonpath::{self, JsonPath, Piece};
use super::limits::Limits;
use super::parse;
use super::syntax::{Expr, Part, Template};
use super::tree::Node;
use crate::value::Value;

/// The languages of queries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Language {
    /// An expression over the document, without functions.
    #[default]
    Path,
    /// Text with such expressions in `${…}`.
    PathTemplate,
    /// A JSONPath.
    JsonPath,
    /// Text with JSONPaths in `{…}`, as kubectl knows it.
    JsonPathTemplate,
}

/// A language that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown query language {0:?}")]
pub struct UnknownLanguage(pub String);

impl Language {
    /// The language of this name; none, or an empty one, is [`Language::Path`].
    ///
    /// # Errors
    ///
    /// When there is no such language.
    pub fn from_name(name: Option<&str>) -> Result<Self, UnknownLanguage> {
        match name.unwrap_or_default() {
            "" | "path" => Ok(Self::Path),
            "path-template" => Ok(Self::PathTemplate),
            "jsonpath" => Ok(Self::JsonPath),
            "jsonpath-template" => Ok(Self::JsonPathTemplate),
            other => Err(UnknownLanguage(other.to_owned())),
        }
    }
}

/// A parsed query, for [`Expression::resolve_query`](super::Expression::resolve_query). Printing it
/// gives text that parses to the same query.
///
/// ```
/// use relay_core::expr::{Language, Query};
///
/// let query = Query::parse(Language::Path, "items[ 'first' ].cost*(1+tax)")?;
/// assert_eq!(query.to_string(), "items.first.cost * (1 + tax)");
/// # Ok::<(), relay_core::expr::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    kind: Kind,
    functions: bool,
}

#[derive(Clone, Debug)]
enum Kind {
    Path(Expr),
    PathTemplate(Template),
    JsonPath(JsonPath),
    JsonPathTemplate(Vec<Piece>),
}

/// However they were written.
impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Path(a), Self::Path(b)) => a == b,
            (Self::PathTemplate(a), Self::PathTemplate(b)) => a.parts == b.parts,
            (Self::JsonPath(a), Self::JsonPath(b)) => a == b,
            (Self::JsonPathTemplate(a), Self::JsonPathTemplate(b)) => a == b,
            _ => false,
        }
    }
}

impl Query {
    /// Parses a query.
    ///
    /// # Errors
    ///
    /// A syntax error of its language.
    pub fn parse(language: Language, text: &str) -> Result<Self, Error> {
        Self::parse_within(language, text, &Limits::default())
    }

    /// Parses a query within these limits.
    ///
    /// # Errors
    ///
    /// A syntax error of its language, or a limit that is exceeded.
    pub fn parse_within(language: Language, text: &str, limits: &Limits) -> Result<Self, Error> {
        limits.check_text(text.len())?;
        let kind = match language {
            Language::Path => Kind::Path(parse::query(text, limits)?),
            Language::PathTemplate => Kind::PathTemplate(parse::template(&text.into(), limits)?),
            Language::JsonPath => Kind::JsonPath(jsonpath::expression(text, limits)?),
            Language::JsonPathTemplate => Kind::JsonPathTemplate(jsonpath::template(text, limits)?),
        };
        Ok(Self { kind, functions: false })
    }

    /// The same query with or without the functions of the language, in `path` and
    /// `path-template`. Queries from outside have none.
    #[must_use]
    pub fn with_functions(self, functions: bool) -> Self {
        Self { functions, ..self }
    }

    pub(crate) fn run(
        &self,
        evaluator: &mut Evaluator<'_>,
        document: &Node,
    ) -> Result<Partial, Error> {
        let root = Cursor::Tree(document);
        let scope = Scope { root: Some(&root), functions: self.functions };
        match &self.kind {
            Kind::Path(expr) => evaluator.expr(expr, scope),
            Kind::PathTemplate(template) => {
                let mut complete = true;
                let mut values = Vec::new();
                for part in &template.parts {
                    let partial = match part {
                        Part::Text(text) => Partial::complete(Value::Text(text.clone())),
                        Part::Expr(expr) => evaluator.expr(expr, scope)?,
                    };
                    complete &= partial.complete;
                    values.push(partial.value);
                }
                Ok(Partial { value: evaluator.join(values)?, complete })
            }
            Kind::JsonPath(query) => jsonpath::run(evaluator, query, document),
            Kind::JsonPathTemplate(pieces) => jsonpath::run_template(evaluator, pieces, document),
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Path(expr) => write!(f, "{expr}"),
            Kind::PathTemplate(template) => write!(f, "{template}"),
            Kind::JsonPath(query) => write!(f, "{query}"),
            Kind::JsonPathTemplate(pieces) => pieces.iter().try_for_each(|p| write!(f, "{p}")),
        }
    }
}
