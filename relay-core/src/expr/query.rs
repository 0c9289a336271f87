//! Queries over a tree (`expressions.md` §10).

use std::sync::Arc;

use super::error::{Cause, Error};
use super::evaluate::{Cursor, Evaluator, Partial, Scope, join, select};
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

/// A parsed query, for [`Expression::resolve_query`](super::Expression::resolve_query).
#[derive(Clone, Debug)]
pub struct Query(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Path(Expr),
    PathTemplate(Template),
    JsonPath(Vec<Step>),
    JsonPathTemplate(Vec<Piece>),
}

#[derive(Clone, Debug)]
enum Piece {
    Text(Arc<str>),
    Path(Vec<Step>),
}

#[derive(Clone, Debug)]
enum Step {
    Key(Value),
    Each,
}

impl Query {
    /// Parses a query.
    ///
    /// # Errors
    ///
    /// A syntax error of its language.
    pub fn parse(language: Language, text: &str) -> Result<Self, Error> {
        Ok(Self(match language {
            Language::Path => Kind::Path(parse::query(text)?),
            Language::PathTemplate => Kind::PathTemplate(parse::template(text)?),
            Language::JsonPath => {
                if !text.starts_with(['$', '@', '.', '[']) {
                    return Err(Error::syntax("a JSONPath starts with `$`", 0));
                }
                Kind::JsonPath(steps(text, 0)?)
            }
            Language::JsonPathTemplate => Kind::JsonPathTemplate(pieces(text)?),
        }))
    }

    pub(crate) fn run(
        &self,
        evaluator: &mut Evaluator<'_>,
        document: &Node,
    ) -> Result<Partial, Error> {
        let root = Cursor::Tree(document);
        let scope = Scope { root: Some(&root), functions: false };
        match &self.0 {
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
                Ok(Partial { value: join(values)?, complete })
            }
            Kind::JsonPath(steps) => {
                let found = follow(evaluator, root, steps)?;
                let complete = found.complete;
                let many = steps.iter().any(|step| matches!(step, Step::Each));
                let mut values = found.values;
                let value =
                    if many { Value::from(values) } else { values.pop().unwrap_or_default() };
                Ok(Partial { value, complete })
            }
            Kind::JsonPathTemplate(pieces) => {
                let mut complete = true;
                let mut bytes = Vec::new();
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => bytes.extend_from_slice(text.as_bytes()),
                        Piece::Path(steps) => {
                            let found = follow(evaluator, root.clone(), steps)?;
                            complete &= found.complete;
                            write_texts(&found.values, &mut bytes);
                        }
                    }
                }
                Ok(Partial { value: Value::from_bytes(&bytes), complete })
            }
        }
    }
}

/// A list prints its items with blanks between them, nothing prints nothing.
fn write_texts(values: &[Value], out: &mut Vec<u8>) {
    let mut texts: Vec<Vec<u8>> = Vec::new();
    for value in values {
        match value {
            Value::Null => {}
            Value::List(items) => texts.extend(items.iter().map(Value::to_general_text)),
            other => texts.push(other.to_general_text()),
        }
    }
    out.extend(texts.join(&b' '));
}

/// What a path found, and whether all that lay on it was resolved.
struct Found {
    values: Vec<Value>,
    complete: bool,
}

/// Missing keys and steps into scalars find nothing and are no errors.
fn follow(evaluator: &mut Evaluator<'_>, root: Cursor<'_>, steps: &[Step]) -> Result<Found, Error> {
    let nothing = |complete| Found { values: Vec::new(), complete };
    let Some((step, rest)) = steps.split_first() else {
        let partial = match root {
            Cursor::Data(value) => Partial::complete(value),
            Cursor::Tree(node) => evaluator.end(node)?,
        };
        let values = if partial.value.is_null() { Vec::new() } else { vec![partial.value] };
        return Ok(Found { values, complete: partial.complete });
    };
    let Some(cursor) = evaluator.concrete(root)? else {
        return Ok(nothing(false));
    };
    let members = match step {
        Step::Key(key) => match select(cursor, key) {
            Ok(member) => vec![member],
            Err(error) if is_nothing(&error) => return Ok(nothing(true)),
            Err(error) => return Err(error),
        },
        Step::Each => members(cursor),
    };
    let mut found = nothing(true);
    for member in members {
        let inner = follow(evaluator, member, rest)?;
        found.complete &= inner.complete;
        found.values.extend(inner.values);
    }
    Ok(found)
}

fn members(cursor: Cursor<'_>) -> Vec<Cursor<'_>> {
    match cursor {
        Cursor::Tree(Node::List(items)) => items.iter().map(Cursor::Tree).collect(),
        Cursor::Tree(Node::Map(map)) => map.values().map(Cursor::Tree).collect(),
        Cursor::Data(Value::List(items)) => items.iter().cloned().map(Cursor::Data).collect(),
        Cursor::Data(Value::Map(map)) => map.values().cloned().map(Cursor::Data).collect(),
        _ => Vec::new(),
    }
}

fn is_nothing(error: &Error) -> bool {
    matches!(
        error.cause(),
        Cause::UnknownKey(_)
            | Cause::IndexOutOfBounds { .. }
            | Cause::NotIndexable(_)
            | Cause::BadStringIndex(_)
            | Cause::BadIndexType(_)
            | Cause::BadKeyType(_)
    )
}

fn pieces(text: &str) -> Result<Vec<Piece>, Error> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        if !before.is_empty() {
            pieces.push(Piece::Text(before.into()));
        }
        let offset = text.len() - after.len();
        let end = closing_brace(after)
            .ok_or_else(|| Error::syntax("the `{` is not closed by `}`", offset - 1))?;
        let (path, tail) = after.split_at(end);
        if !path.starts_with(['$', '@', '.', '[']) {
            return Err(Error::syntax("expected a JSONPath such as `.name`", offset));
        }
        pieces.push(Piece::Path(steps(path, offset)?));
        rest = tail.strip_prefix('}').unwrap_or(tail);
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.into()));
    }
    Ok(pieces)
}

/// Where the brace is that ends a part, strings aside.
fn closing_brace(text: &str) -> Option<usize> {
    let mut quote = None;
    text.char_indices().find_map(|(index, c)| {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '}') => return Some(index),
            _ => {}
        }
        None
    })
}

/// The steps of a JSONPath: names, indexes, quoted keys and `*`.
fn steps(path: &str, offset: usize) -> Result<Vec<Step>, Error> {
    let mut steps = Vec::new();
    let mut rest = path.strip_prefix(['$', '@']).unwrap_or(path);
    let name_end = |text: &str| {
        text.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | '*')))
            .unwrap_or(text.len())
    };
    while !rest.is_empty() {
        let here = offset + path.len() - rest.len();
        if let Some(after) = rest.strip_prefix('.') {
            let (name, tail) = after.split_at(name_end(after));
            steps.push(match name {
                "" if steps.is_empty() && tail.is_empty() => return Ok(steps),
                "" => return Err(Error::syntax("expected a name after `.`", here)),
                "*" => Step::Each,
                name => Step::Key(Value::from(name)),
            });
            rest = tail;
        } else if let Some(after) = rest.strip_prefix('[') {
            let (inner, tail) = after
                .split_once(']')
                .ok_or_else(|| Error::syntax("the `[` is not closed by `]`", here))?;
            steps.push(match inner.trim() {
                "*" => Step::Each,
                inner => match parse::query(inner)? {
                    Expr::Literal(key) => Step::Key(key),
                    _ => return Err(Error::syntax("expected an index or a quoted key", here)),
                },
            });
            rest = tail;
        } else {
            return Err(Error::syntax("expected `.` or `[`", here));
        }
    }
    Ok(steps)
}
