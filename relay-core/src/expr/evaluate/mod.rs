//! The evaluator: pure, synchronous, total.

mod path;

pub(crate) use path::select;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::environment::{Environment, Wanted};
use super::error::{Cause, Error, Frame};
use super::function::{self, Argument};
use super::reference::Reference;
use super::syntax::{Arguments, Expr, Part, Template};
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
