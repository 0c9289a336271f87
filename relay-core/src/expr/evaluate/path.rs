//! Paths: from names and documents to members (`expressions.md` §5 and §7.3).

use std::borrow::Cow;

use super::{Cursor, Evaluator, Named, Partial, Scope};
use crate::expr::error::{Cause, Error, Frame};
use crate::expr::syntax::{Expr, Start};
use crate::expr::tree::{self, Node};
use crate::value::{Value, ValueKind};

/// A key of a path. One that was computed may be secret, or come from one.
struct Key<'k> {
    value: Cow<'k, Value>,
    computed: bool,
}

impl<'k> Key<'k> {
    fn constant(value: &'k Value) -> Self {
        Self { value: Cow::Borrowed(value), computed: false }
    }

    fn frame(&self) -> Frame {
        let text = key_text(&self.value).unwrap_or_else(|| {
            // What is no name is shown as text, as long as that is short.
            match self.value.kind() {
                kind @ (ValueKind::List | ValueKind::Map) => format!("<{kind}>"),
                _ => String::from_utf8_lossy(&self.value.to_general_text()).into_owned(),
            }
        });
        if self.computed { Frame::Computed(text) } else { Frame::Path(text) }
    }
}

/// The error with the keys around it that were passed.
fn in_path(error: Error, passed: &[Key<'_>]) -> Error {
    passed.iter().rev().map(Key::frame).fold(error, Error::within)
}

impl Evaluator<'_> {
    /// Follows keys through names, trees and data, and evaluates what is there. A container whose
    /// members are partly unresolvable is given as far as it goes; anything else unresolvable is
    /// null, and what comes after it is not looked at.
    pub(super) fn path(
        &mut self,
        start: &Start,
        keys: &[Expr],
        scope: Scope<'_>,
    ) -> Result<Partial, Error> {
        let name;
        let mut passed = Vec::with_capacity(keys.len() + 1);
        let mut cursor = scope.root.cloned().unwrap_or(Cursor::Named(Named::Root));
        if let Start::Name(text) = start {
            name = Value::Text(text.clone());
            cursor = match self.step(cursor, Key::constant(&name), &mut passed)? {
                Some(cursor) => cursor,
                None => return Ok(Partial::unresolved(Value::Null)),
            };
        }
        for expr in keys {
            let key = match expr {
                Expr::Literal(value) => Key::constant(value),
                expr => {
                    let key = self.expr(expr, scope).map_err(|error| in_path(error, &passed))?;
                    if !key.complete {
                        return Ok(Partial::unresolved(Value::Null));
                    }
                    Key { computed: true, value: Cow::Owned(key.value) }
                }
            };
            cursor = match self.step(cursor, key, &mut passed)? {
                Some(cursor) => cursor,
                None => return Ok(Partial::unresolved(Value::Null)),
            };
        }
        self.end(cursor).map_err(|error| in_path(error, &passed))
    }

    /// One step of a path; `None` where what it starts from is unresolvable.
    fn step<'t, 'k>(
        &mut self,
        cursor: Cursor<'t>,
        key: Key<'k>,
        passed: &mut Vec<Key<'k>>,
    ) -> Result<Option<Cursor<'t>>, Error> {
        self.budget.step()?;
        let selected = match self.concrete(cursor) {
            Ok(Some(cursor)) => self.select(cursor, &key.value),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        passed.push(key);
        selected.map_err(|error| in_path(error, passed))
    }

    /// The value at the end of a path.
    pub(crate) fn end(&mut self, cursor: Cursor<'_>) -> Result<Partial, Error> {
        let (partial, container) = match cursor {
            Cursor::Data(value) => return Ok(Partial::complete(value)),
            Cursor::Named(place) => return Ok(self.whole(&place)),
            Cursor::Tree(node) => {
                (self.node(node)?, matches!(node, Node::List(..) | Node::Map(..)))
            }
            Cursor::Literal(expr, scope) => {
                (self.expr(expr, scope)?, matches!(expr, Expr::List(_) | Expr::Object(_)))
            }
        };
        Ok(if partial.complete || container { partial } else { Partial::unresolved(Value::Null) })
    }

    /// The member that a key selects; `None` where an unresolvable key of a literal may be it.
    pub(crate) fn select<'t>(
        &mut self,
        cursor: Cursor<'t>,
        key: &Value,
    ) -> Result<Option<Cursor<'t>>, Error> {
        match cursor {
            Cursor::Literal(Expr::Object(members), scope) => {
                let name = key_text(key).ok_or(Cause::BadKeyType(key.kind()))?;
                let mut found = Err(Cause::UnknownKey(name.clone()).into());
                for (known, member) in members {
                    let known = self.expr(known, scope)?;
                    if !known.complete {
                        return Ok(None);
                    }
                    if known.value.to_operand_text() == name.as_bytes() {
                        found = Ok(Some(Cursor::Literal(member, scope)));
                    }
                }
                found
            }
            Cursor::Literal(Expr::List(items), scope) => items
                .get(index(key, items.len())?)
                .map(|item| Some(Cursor::Literal(item, scope)))
                .ok_or_else(|| out_of_bounds(key, items.len())),
            Cursor::Named(place) => self.select_named(place, key).map(Some),
            cursor => select(cursor, key).map(Some),
        }
    }

    /// The cursor with its topmost level evaluated; `None` when that is unresolvable.
    pub(crate) fn concrete<'t>(&mut self, cursor: Cursor<'t>) -> Result<Option<Cursor<'t>>, Error> {
        Ok(match cursor {
            Cursor::Named(Named::Reference(reference)) => {
                self.reference(&reference).map(Cursor::Data)
            }
            Cursor::Data(_)
            | Cursor::Named(_)
            | Cursor::Tree(Node::List(..) | Node::Map(..))
            | Cursor::Literal(Expr::List(_) | Expr::Object(_), _) => Some(cursor),
            Cursor::Literal(expr, scope) => {
                let partial = self.expr(expr, scope)?;
                partial.complete.then_some(Cursor::Data(partial.value))
            }
            Cursor::Tree(node) => {
                let partial = self.node(node)?;
                partial.complete.then_some(Cursor::Data(partial.value))
            }
        })
    }
}

/// The name that a key selects: strings as they are, numbers by their plain text.
pub(super) fn key_text(key: &Value) -> Option<String> {
    match key {
        Value::Text(text) => Some(text.as_ref().to_owned()),
        // Names are text: one that is not finds nothing.
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::Number(number) => Some(number.to_plain()),
        _ => None,
    }
}

pub(crate) fn select<'t>(cursor: Cursor<'t>, key: &Value) -> Result<Cursor<'t>, Error> {
    match cursor {
        Cursor::Tree(Node::Map(map, _)) => {
            let name = key_text(key).ok_or(Cause::BadKeyType(key.kind()))?;
            match tree::member(map, &name) {
                Some(node) => Ok(Cursor::Tree(node)),
                None => Err(Cause::UnknownKey(name).into()),
            }
        }
        Cursor::Tree(Node::List(items, _)) => items
            .get(index(key, items.len())?)
            .map(Cursor::Tree)
            .ok_or_else(|| out_of_bounds(key, items.len())),
        Cursor::Data(Value::Map(map)) => {
            let name = key_text(key).ok_or(Cause::BadKeyType(key.kind()))?;
            match map.get(name.as_str()) {
                Some(value) => Ok(Cursor::Data(value.clone())),
                None => Err(Cause::UnknownKey(name).into()),
            }
        }
        Cursor::Data(Value::List(items)) => items
            .get(index(key, items.len())?)
            .map(|value| Cursor::Data(value.clone()))
            .ok_or_else(|| out_of_bounds(key, items.len())),
        Cursor::Data(other) => Err(Cause::NotIndexable(other.kind()).into()),
        // Everything else was made data before.
        Cursor::Tree(_) | Cursor::Literal(..) | Cursor::Named(_) => {
            Err(Cause::NotIndexable(ValueKind::Null).into())
        }
    }
}

fn out_of_bounds(key: &Value, length: usize) -> Error {
    Cause::IndexOutOfBounds { index: integer(key).unwrap_or(i64::MAX), length }.into()
}

#[expect(clippy::cast_possible_truncation, reason = "indexes are cut towards zero by rule")]
fn integer(key: &Value) -> Option<i64> {
    match key {
        Value::Number(number) if number.as_f64().is_nan() => Some(i64::MAX),
        Value::Number(number) => Some(number.as_f64() as i64),
        Value::Text(text) => text.parse::<i32>().ok().map(i64::from),
        _ => None,
    }
}

/// The position that an index means: negative ones count from the end.
fn index(key: &Value, length: usize) -> Result<usize, Error> {
    let index = integer(key).ok_or_else(|| match key {
        Value::Text(_) | Value::Bytes(_) => {
            Cause::BadStringIndex(key_text(key).unwrap_or_default())
        }
        other => Cause::BadIndexType(other.kind()),
    })?;
    let bounds = || Error::from(Cause::IndexOutOfBounds { index, length });
    if index >= 0 {
        return usize::try_from(index).map_err(|_| bounds());
    }
    let back = usize::try_from(index.unsigned_abs()).map_err(|_| bounds())?;
    length.checked_sub(back).ok_or_else(bounds)
}
