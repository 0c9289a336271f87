//! The evaluator: pure, synchronous, total.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::environment::{Environment, Known, Wanted};
use super::error::{Cause, Error, Frame};
use super::function::{self, Argument};
use super::reference::{Collection, Reference};
use super::syntax::{Arguments, Expr, Part, Start, Template};
use super::tree::{self, Node};
use crate::value::{self, Map, TransferError, Value};

/// A value, and whether all of it could be resolved. What could not stands in it as it was
/// written (`expressions.md` §9).
#[derive(Clone, Debug)]
pub(crate) struct Partial {
    pub(crate) value: Value,
    pub(crate) complete: bool,
}

impl Partial {
    pub(crate) fn complete(value: Value) -> Self {
        Self { value, complete: true }
    }

    pub(crate) fn unresolved(value: Value) -> Self {
        Self { value, complete: false }
    }
}

/// Where a path has got to: in a tree, of which only what lies on the path is evaluated, or in
/// data, which is never evaluated again.
#[derive(Clone, Debug)]
pub(crate) enum Cursor<'t> {
    Tree(&'t Node),
    Data(Value),
}

/// What names mean: at the root of a template, in a document, or in the value left of a pipe.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'t> {
    pub(crate) root: Option<&'t Cursor<'t>>,
    pub(crate) functions: bool,
}

impl Scope<'_> {
    pub(crate) const TEMPLATE: Scope<'static> = Scope { root: None, functions: true };
}

pub(crate) struct Evaluator<'e> {
    pub(crate) environment: &'e Environment,
    /// References that were met, and whether they resolved. Calls such as `coalesce` take some
    /// back.
    pub(crate) met: Vec<(Reference, bool)>,
    /// What the environment did not know; never taken back, since knowing it may change the rest.
    pub(crate) wanted: BTreeSet<Wanted>,
}

impl<'e> Evaluator<'e> {
    pub(crate) fn new(environment: &'e Environment) -> Self {
        Self { environment, met: Vec::new(), wanted: BTreeSet::new() }
    }

    pub(crate) fn node(&mut self, node: &Node) -> Result<Partial, Error> {
        crate::stack::grow(|| match node {
            Node::Data(value) => Ok(Partial::complete(value.clone())),
            Node::List(items) => {
                let mut complete = true;
                let mut values = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    let item = self.node(item).map_err(|error| error.at(&index))?;
                    complete &= item.complete;
                    values.push(item.value);
                }
                Ok(Partial { value: Value::from(values), complete })
            }
            Node::Map(members) => {
                let mut complete = true;
                let mut map = Map::new();
                for (key, member) in members {
                    let member = self.node(member).map_err(|error| error.at(key.as_ref()))?;
                    complete &= member.complete;
                    map.insert(key.clone(), member.value);
                }
                Ok(Partial { value: Value::from(map), complete })
            }
            Node::Template(template) => {
                self.template(template).map_err(|error| error.within(Frame::Template))
            }
            Node::Reference { reference, source } => Ok(match self.reference(reference) {
                Some(value) => Partial::complete(value),
                None => Partial::unresolved(source.clone()),
            }),
            Node::Event { name, .. } => {
                Err(Cause::DataResolverNotFound(name.as_deref().map(str::to_owned)).into())
            }
            Node::Encoded { encoding, data } => self.encoded(encoding, data),
            Node::Call { function, arguments } => self.json_call(function, arguments),
            Node::Broken { error, .. } => Err(error.clone()),
        })
    }

    fn encoded(&mut self, encoding: &Arc<str>, data: &Node) -> Result<Partial, Error> {
        let data = self.node(data).map_err(|error| error.at("data"))?;
        if !data.complete {
            return Ok(Partial::unresolved(tree::encoded(encoding, data.value)));
        }
        let found = data.value.kind();
        let bytes =
            data.value.as_bytes().ok_or(Cause::UnexpectedType { expected: "string", found })?;
        value::decode(encoding, bytes).map(Partial::complete).map_err(|error| {
            Error::from(match error {
                TransferError::UnknownEncoding(name) => Cause::UnknownEncoding(name),
                TransferError::BadBase64 => Cause::BadBase64,
            })
        })
    }

    fn json_call(&mut self, function: &str, arguments: &Node) -> Result<Partial, Error> {
        // One level of the arguments decides whether they are positional or keywords.
        let evaluated;
        let arguments = match arguments {
            Node::List(items) => Arguments::Positional(items.iter().map(Argument::Tree).collect()),
            Node::Map(members) => Arguments::Keyword(
                members.iter().map(|(key, node)| (key.clone(), Argument::Tree(node))).collect(),
            ),
            Node::Data(value) => {
                evaluated = value.clone();
                data_arguments(&evaluated)
            }
            active => {
                let partial = self.node(active)?;
                if partial.complete {
                    evaluated = partial.value;
                    data_arguments(&evaluated)
                } else {
                    Arguments::Positional(vec![Argument::Tree(active)])
                }
            }
        };
        function::call(self, function, &arguments, Scope::TEMPLATE)
    }

    pub(crate) fn template(&mut self, template: &Template) -> Result<Partial, Error> {
        let mut complete = true;
        let mut values = Vec::with_capacity(template.parts.len());
        for part in &template.parts {
            match part {
                Part::Text(text) => values.push(Value::Text(text.clone())),
                Part::Expr(expr) => {
                    let partial = self.expr(expr, Scope::TEMPLATE)?;
                    complete &= partial.complete;
                    values.push(partial.value);
                }
            }
        }
        if !complete {
            return Ok(Partial::unresolved(Value::Text(template.source.clone())));
        }
        join(values).map(Partial::complete)
    }

    pub(crate) fn expr(&mut self, expr: &Expr, scope: Scope<'_>) -> Result<Partial, Error> {
        crate::stack::grow(|| match expr {
            Expr::Literal(value) => Ok(Partial::complete(value.clone())),
            Expr::List(items) => {
                let mut complete = true;
                let mut values = Vec::with_capacity(items.len());
                for item in items {
                    let item = self.expr(item, scope)?;
                    complete &= item.complete;
                    values.push(item.value);
                }
                Ok(Partial { value: Value::from(values), complete })
            }
            Expr::Object(members) => self.object(members, scope),
            Expr::Prefix(operator, operand) => {
                let operand = self.expr(operand, scope)?;
                if !operand.complete {
                    return Ok(Partial::unresolved(Value::Null));
                }
                operator.apply(&operand.value).map(Partial::complete)
            }
            Expr::Infix(operator, left, right) => {
                let left = self.expr(left, scope)?;
                if left.complete
                    && let Some(decided) = operator.short_circuit(&left.value)
                {
                    return Ok(Partial::complete(decided));
                }
                let right = self.expr(right, scope)?;
                if !(left.complete && right.complete) {
                    return Ok(Partial::unresolved(Value::Null));
                }
                operator.apply(&left.value, &right.value).map(Partial::complete)
            }
            Expr::Call { function, arguments } => {
                if !scope.functions {
                    return Err(Error::from(Cause::FunctionNotFound(function.to_string()))
                        .within(Frame::Invocation(function.to_string())));
                }
                let arguments = match arguments {
                    Arguments::Positional(items) => {
                        Arguments::Positional(items.iter().map(Argument::Expr).collect())
                    }
                    Arguments::Keyword(items) => Arguments::Keyword(
                        items.iter().map(|(k, v)| (k.clone(), Argument::Expr(v))).collect(),
                    ),
                };
                let mut called = function::call(self, function, &arguments, scope)?;
                if !called.complete {
                    called.value = Value::Null;
                }
                Ok(called)
            }
            Expr::Path { root, keys } => self.path(root, keys, scope),
            Expr::Pipe(left, right) => {
                let left = self.expr(left, scope)?;
                if !left.complete {
                    return Ok(Partial::unresolved(Value::Null));
                }
                let root = Cursor::Data(left.value);
                self.expr(right, Scope { root: Some(&root), functions: scope.functions })
            }
        })
    }

    fn object(&mut self, members: &[(Expr, Expr)], scope: Scope<'_>) -> Result<Partial, Error> {
        let mut complete = true;
        let mut map = Map::new();
        for (key, member) in members {
            let key = self.expr(key, scope)?;
            let member = self.expr(member, scope)?;
            complete &= key.complete && member.complete;
            let text = key.value.to_operand_text();
            map.insert(String::from_utf8_lossy(&text).into(), member.value);
        }
        Ok(Partial { value: Value::from(map), complete })
    }

    fn path(&mut self, start: &Start, keys: &[Expr], scope: Scope<'_>) -> Result<Partial, Error> {
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            let key = self.expr(key, scope)?;
            if !key.complete {
                return Ok(Partial::unresolved(Value::Null));
            }
            values.push(key.value);
        }
        match (scope.root, start) {
            (None, Start::Root) => self.whole_root(&values),
            (None, Start::Name(name)) => self.named(name, &values),
            (Some(root), Start::Root) => self.descend(root.clone(), &values),
            (Some(root), Start::Name(name)) => {
                values.insert(0, Value::Text(name.clone()));
                self.descend(root.clone(), &values)
            }
        }
    }

    /// Follows keys through trees and data, and evaluates what is there. A container whose members
    /// are partly unresolvable is given as far as it goes; anything else unresolvable is null.
    pub(crate) fn descend(&mut self, from: Cursor<'_>, keys: &[Value]) -> Result<Partial, Error> {
        let mut passed = Vec::new();
        let in_path = |error: Error, passed: &[String]| passed.iter().rev().fold(error, Error::at);
        let mut cursor = from;
        for key in keys {
            cursor = match self.concrete(cursor).map_err(|error| in_path(error, &passed))? {
                Some(cursor) => cursor,
                None => return Ok(Partial::unresolved(Value::Null)),
            };
            let text = key_text(key).unwrap_or_else(|| format!("<{}>", key.kind()));
            passed.push(text);
            cursor = select(cursor, key).map_err(|error| in_path(error, &passed))?;
        }
        match cursor {
            Cursor::Data(value) => Ok(Partial::complete(value)),
            Cursor::Tree(node) => self.end(node).map_err(|error| in_path(error, &passed)),
        }
    }

    /// The value at the end of a path.
    pub(crate) fn end(&mut self, node: &Node) -> Result<Partial, Error> {
        let partial = self.node(node)?;
        let container = matches!(node, Node::List(_) | Node::Map(_));
        Ok(if partial.complete || container { partial } else { Partial::unresolved(Value::Null) })
    }

    /// The cursor with its topmost level evaluated; `None` when that is unresolvable.
    pub(crate) fn concrete<'t>(&mut self, cursor: Cursor<'t>) -> Result<Option<Cursor<'t>>, Error> {
        Ok(match cursor {
            Cursor::Data(_) | Cursor::Tree(Node::List(_) | Node::Map(_)) => Some(cursor),
            Cursor::Tree(node) => {
                let partial = self.node(node)?;
                partial.complete.then_some(Cursor::Data(partial.value))
            }
        })
    }

    /// A path that starts at a name of a template.
    fn named(&mut self, name: &Arc<str>, keys: &[Value]) -> Result<Partial, Error> {
        let collection = match name.as_ref() {
            "parameters" => Some(Collection::Parameters),
            "secrets" => Some(Collection::Secrets),
            "connections" => Some(Collection::Connections),
            "outputs" => Some(Collection::Outputs),
            "steps" => None,
            _ => return Err(Error::from(Cause::UnknownKey(name.to_string())).at(name.as_ref())),
        };
        let depth = match collection {
            Some(Collection::Parameters | Collection::Secrets) => 1,
            _ => 2,
        };
        let mut names = Vec::with_capacity(depth);
        for key in keys.iter().take(depth) {
            let key_name = key_text(key).ok_or_else(|| {
                Error::from(Cause::BadKeyType(key.kind())).at(&key.kind()).at(name)
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
        let passed = [name.to_string(), first.to_string(), second.to_string()];
        let reference = match collection {
            Some(Collection::Parameters) => Reference::Parameter { name: first },
            Some(Collection::Secrets) => Reference::Secret { name: first },
            Some(Collection::Connections) => Reference::Connection { kind: first, name: second },
            Some(Collection::Outputs) => Reference::Output { from: first, name: second },
            None => Reference::Status { action: first, property: second },
        };
        let Some(value) = self.reference(&reference) else {
            return Ok(Partial::unresolved(Value::Null));
        };
        let rest = keys.get(depth..).unwrap_or_default();
        self.descend(Cursor::Data(value), rest)
            .map_err(|error| passed.iter().take(depth + 1).rev().fold(error, Error::at))
    }

    /// `${$}`: all collections but the statuses.
    fn whole_root(&mut self, keys: &[Value]) -> Result<Partial, Error> {
        if let Some((first, rest)) = keys.split_first() {
            let name = key_text(first)
                .ok_or_else(|| Error::from(Cause::BadKeyType(first.kind())).at(&first.kind()))?;
            return self.named(&name.into(), rest);
        }
        let mut complete = true;
        let mut map = Map::new();
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
    fn reference(&mut self, reference: &Reference) -> Option<Value> {
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

fn data_arguments(value: &Value) -> Arguments<Argument<'_>> {
    match value {
        Value::List(items) => Arguments::Positional(items.iter().map(Argument::Data).collect()),
        Value::Map(map) => Arguments::Keyword(
            map.iter().map(|(key, value)| (key.clone(), Argument::Data(value))).collect(),
        ),
        other => Arguments::Positional(vec![Argument::Data(other)]),
    }
}

/// Joins the parts of a template from the right: an empty string is no part at all, so one
/// expression alone keeps its type.
pub(crate) fn join(values: Vec<Value>) -> Result<Value, Error> {
    let empty = |value: &Value| value.as_bytes().is_some_and(<[u8]>::is_empty);
    let mut parts: Vec<_> = values.into_iter().filter(|value| !empty(value)).collect();
    if parts.len() <= 1 {
        return Ok(parts.pop().unwrap_or_else(|| Value::from("")));
    }
    let mut bytes = Vec::new();
    for part in &parts {
        bytes.extend(part.to_template_text().ok_or(Cause::NotEncodable)?);
    }
    Ok(Value::from_bytes(&bytes))
}

/// The name that a key selects: strings as they are, numbers by their plain text.
fn key_text(key: &Value) -> Option<String> {
    match key {
        Value::Text(text) => Some(text.as_ref().to_owned()),
        Value::Number(number) => Some(number.to_plain()),
        _ => None,
    }
}

pub(crate) fn select<'t>(cursor: Cursor<'t>, key: &Value) -> Result<Cursor<'t>, Error> {
    match cursor {
        Cursor::Tree(Node::Map(map)) => {
            let name = key_text(key).ok_or(Cause::BadKeyType(key.kind()))?;
            match map.get(name.as_str()) {
                Some(node) => Ok(Cursor::Tree(node)),
                None => Err(Cause::UnknownKey(name).into()),
            }
        }
        Cursor::Tree(Node::List(items)) => items
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
        Cursor::Tree(node) => Err(Cause::NotIndexable(node.source().kind()).into()),
    }
}

fn out_of_bounds(key: &Value, length: usize) -> Error {
    Cause::IndexOutOfBounds { index: integer(key).unwrap_or(i64::MAX), length }.into()
}

#[expect(clippy::cast_possible_truncation, reason = "indexes are cut towards zero by rule")]
fn integer(key: &Value) -> Option<i64> {
    match key {
        Value::Number(number) => Some(number.as_f64() as i64),
        Value::Text(text) => text.parse::<i32>().ok().map(i64::from),
        _ => None,
    }
}

/// The position that an index means: negative ones count from the end.
fn index(key: &Value, length: usize) -> Result<usize, Error> {
    let index = integer(key).ok_or_else(|| match key {
        Value::Text(text) => Cause::BadStringIndex(text.to_string()),
        other => Cause::BadIndexType(other.kind()),
    })?;
    let bounds = || Error::from(Cause::IndexOutOfBounds { index, length });
    if index >= 0 {
        return usize::try_from(index).map_err(|_| bounds());
    }
    let back = usize::try_from(index.unsigned_abs()).map_err(|_| bounds())?;
    length.checked_sub(back).ok_or_else(bounds)
}
