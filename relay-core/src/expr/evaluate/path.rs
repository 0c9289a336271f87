//! Paths: from names and documents to members (`expressions.md` §5 and §7.3).

use std::borrow::Cow;
use std::sync::Arc;

use super::{Cursor, Evaluator, Partial, Scope};
use crate::expr::environment::{Known, Wanted};
use crate::expr::error::{Cause, Error, Frame};
use crate::expr::reference::{Collection, Reference};
use crate::expr::syntax::{Expr, Start};
use crate::expr::tree::{self, Node};
use crate::value::{Map, Value, ValueKind};

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
        let text = key_text(&self.value).unwrap_or_else(|| format!("<{}>", self.value.kind()));
        if self.computed { Frame::Computed(text) } else { Frame::Path(text) }
    }
}

/// The error with the keys around it that were passed.
fn in_path(error: Error, passed: &[Key<'_>]) -> Error {
    passed.iter().rev().map(Key::frame).fold(error, Error::within)
}

impl Evaluator<'_> {
    /// A path in a template that starts with this reference and has constant keys only.
    pub(super) fn constant_path(
        &mut self,
        start: &Start,
        reference: &Reference,
        keys: &[Expr],
    ) -> Result<Partial, Error> {
        let Some(value) = self.reference(reference) else {
            return Ok(Partial::unresolved(Value::Null));
        };
        let depth = match reference {
            Reference::Parameter { .. } | Reference::Secret { .. } => 1,
            _ => 2,
        };
        if keys.len() <= depth {
            return Ok(Partial::complete(value));
        }
        let constants = keys.iter().filter_map(|key| match key {
            Expr::Literal(value) => Some(Key::constant(value)),
            _ => None,
        });
        let keys: Vec<_> = constants.collect();
        let (passed, rest) = keys.split_at_checked(depth).unwrap_or_default();
        let found = self.descend(Cursor::Data(value), rest);
        found.map_err(|error| {
            let error = in_path(error, passed);
            match start {
                Start::Name(name) => error.at(name.as_ref()),
                Start::Root => error,
            }
        })
    }

    pub(super) fn path(
        &mut self,
        start: &Start,
        keys: &[Expr],
        scope: Scope<'_>,
    ) -> Result<Partial, Error> {
        let mut values = Vec::with_capacity(keys.len());
        for expr in keys {
            if let Expr::Literal(value) = expr {
                values.push(Key::constant(value));
                continue;
            }
            let key = self.expr(expr, scope)?;
            if !key.complete {
                return Ok(Partial::unresolved(Value::Null));
            }
            values.push(Key { computed: true, value: Cow::Owned(key.value) });
        }
        match (scope.root, start) {
            (None, Start::Root) => self.whole_root(&values),
            (None, Start::Name(name)) => self.named(name, &values),
            (Some(root), Start::Root) => self.descend(root.clone(), &values),
            (Some(root), Start::Name(name)) => {
                let name = Value::Text(name.clone());
                values.insert(0, Key::constant(&name));
                self.descend(root.clone(), &values)
            }
        }
    }

    /// Follows keys through trees and data, and evaluates what is there. A container whose members
    /// are partly unresolvable is given as far as it goes; anything else unresolvable is null.
    fn descend(&mut self, from: Cursor<'_>, keys: &[Key<'_>]) -> Result<Partial, Error> {
        let mut cursor = from;
        for (index, key) in keys.iter().enumerate() {
            let passed = |count: usize| keys.get(..count).unwrap_or_default();
            self.budget.step()?;
            cursor = match self.concrete(cursor).map_err(|error| in_path(error, passed(index)))? {
                Some(cursor) => cursor,
                None => return Ok(Partial::unresolved(Value::Null)),
            };
            let selected = self.select(cursor, &key.value);
            cursor = match selected.map_err(|error| in_path(error, passed(index + 1)))? {
                Some(cursor) => cursor,
                None => return Ok(Partial::unresolved(Value::Null)),
            };
        }
        self.end(cursor).map_err(|error| in_path(error, keys))
    }

    /// The value at the end of a path.
    pub(crate) fn end(&mut self, cursor: Cursor<'_>) -> Result<Partial, Error> {
        let (partial, container) = match cursor {
            Cursor::Data(value) => return Ok(Partial::complete(value)),
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
                    if known.value.to_general_text() == name.as_bytes() {
                        found = Ok(Some(Cursor::Literal(member, scope)));
                    }
                }
                found
            }
            Cursor::Literal(Expr::List(items), scope) => items
                .get(index(key, items.len())?)
                .map(|item| Some(Cursor::Literal(item, scope)))
                .ok_or_else(|| out_of_bounds(key, items.len())),
            cursor => select(cursor, key).map(Some),
        }
    }

    /// The cursor with its topmost level evaluated; `None` when that is unresolvable.
    pub(crate) fn concrete<'t>(&mut self, cursor: Cursor<'t>) -> Result<Option<Cursor<'t>>, Error> {
        Ok(match cursor {
            Cursor::Data(_)
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

    /// A path that starts at a name of a template.
    fn named(&mut self, name: &Arc<str>, keys: &[Key<'_>]) -> Result<Partial, Error> {
        let collection = match name.as_ref() {
            "parameters" => Some(Collection::Parameters),
            "secrets" => Some(Collection::Secrets),
            "connections" => Some(Collection::Connections),
            "outputs" => Some(Collection::Outputs),
            "steps" => None,
            _ => return self.source_of_data(name, keys),
        };
        let depth = match collection {
            Some(Collection::Parameters | Collection::Secrets) => 1,
            _ => 2,
        };
        let mut names = Vec::with_capacity(depth);
        for key in keys.iter().take(depth) {
            let key_name = key_text(&key.value).ok_or_else(|| {
                Error::from(Cause::BadKeyType(key.value.kind())).within(key.frame()).at(name)
            })?;
            names.push(Arc::<str>::from(key_name));
        }
        if names.len() < depth {
            return Ok(match collection {
                Some(collection) => self.collection(&collection, names.first()),
                // `${steps}` and `${steps.x}` name no status.
                None if names.is_empty() => Partial::complete(Value::from(Map::new())),
                None => Partial::complete(Value::Null),
            });
        }
        let mut names = names.into_iter();
        let (first, second) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
        let reference = match collection {
            Some(Collection::Parameters) => Reference::Parameter { name: first },
            Some(Collection::Secrets) => Reference::Secret { name: first },
            Some(Collection::Connections) => Reference::Connection { kind: first, name: second },
            Some(Collection::Outputs) => Reference::Output { from: first, name: second },
            None | Some(Collection::Data) => Reference::Status { action: first, property: second },
        };
        let Some(value) = self.reference(&reference) else {
            return Ok(Partial::unresolved(Value::Null));
        };
        let (passed, rest) = keys.split_at_checked(depth).unwrap_or_default();
        self.descend(Cursor::Data(value), rest)
            .map_err(|error| in_path(error, passed).at(name.as_ref()))
    }

    /// A path that starts at the name of a source of data. What is none is an unknown key.
    fn source_of_data(&mut self, name: &Arc<str>, keys: &[Key<'_>]) -> Result<Partial, Error> {
        match self.reference_if_known(Reference::Data { name: name.clone() }) {
            Some(data) => {
                self.descend(Cursor::Data(data), keys).map_err(|error| error.at(name.as_ref()))
            }
            None => Err(Error::from(Cause::UnknownKey(name.to_string())).at(name.as_ref())),
        }
    }

    /// `${$}`: all collections but the statuses.
    fn whole_root(&mut self, keys: &[Key<'_>]) -> Result<Partial, Error> {
        if let Some((first, rest)) = keys.split_first() {
            let name = key_text(&first.value).ok_or_else(|| {
                Error::from(Cause::BadKeyType(first.value.kind())).within(first.frame())
            })?;
            return self.named(&name.into(), rest);
        }
        let sources = self.collection(&Collection::Data, None);
        let mut complete = sources.complete;
        let mut map = sources.value.as_map().cloned().unwrap_or_default();
        for (name, collection) in [
            ("connections", Collection::Connections),
            ("outputs", Collection::Outputs),
            ("parameters", Collection::Parameters),
            ("secrets", Collection::Secrets),
        ] {
            let partial = self.collection(&collection, None);
            complete &= partial.complete;
            map.insert(name.into(), partial.value);
        }
        Ok(Partial { value: Value::from(map), complete })
    }

    /// The value of a reference, reported as met; `None` while there is none.
    pub(super) fn reference(&mut self, reference: &Reference) -> Option<Value> {
        let value = match self.environment.get(reference) {
            Known::Found(value) => Some(value.clone()),
            Known::Missing => None,
            Known::NotAsked => {
                self.wanted.insert(Wanted::Reference(reference.clone()));
                None
            }
        };
        self.met.push((reference.clone(), value.is_some()));
        value
    }

    /// The value of a reference that is an error where there is none.
    fn reference_if_known(&mut self, reference: Reference) -> Option<Value> {
        match self.environment.get(&reference) {
            Known::Found(value) => {
                let value = value.clone();
                self.met.push((reference, true));
                Some(value)
            }
            Known::Missing => None,
            Known::NotAsked => {
                self.wanted.insert(Wanted::Reference(reference));
                None
            }
        }
    }

    fn collection(&mut self, collection: &Collection, member: Option<&Arc<str>>) -> Partial {
        let Some(all) = self.environment.collection(collection) else {
            self.wanted.insert(Wanted::Collection(collection.clone()));
            return Partial::unresolved(Value::Null);
        };
        let empty = Value::from(Map::new());
        for (first, value) in all.as_map().into_iter().flatten() {
            if member.is_some_and(|member| member != first) {
                continue;
            }
            let names = value.as_map().into_iter().flatten().map(|(name, _)| name.clone());
            let (kind, from) = (first.clone(), first.clone());
            match collection {
                Collection::Parameters => {
                    self.met.push((Reference::Parameter { name: from }, true));
                }
                Collection::Secrets => self.met.push((Reference::Secret { name: from }, true)),
                Collection::Data => self.met.push((Reference::Data { name: from }, true)),
                Collection::Connections => self.met.extend(
                    names.map(|name| (Reference::Connection { kind: kind.clone(), name }, true)),
                ),
                Collection::Outputs => self.met.extend(
                    names.map(|name| (Reference::Output { from: from.clone(), name }, true)),
                ),
            }
        }
        Partial::complete(match member {
            Some(member) => all.get(member).cloned().unwrap_or(empty),
            None => all.clone(),
        })
    }
}

/// The name that a key selects: strings as they are, numbers by their plain text.
fn key_text(key: &Value) -> Option<String> {
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
        Cursor::Tree(_) | Cursor::Literal(..) => Err(Cause::NotIndexable(ValueKind::Null).into()),
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
