//! The evaluator: pure, synchronous, total.

mod names;
mod path;

pub(crate) use names::Named;
pub(crate) use path::select;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::environment::{Environment, Known, Wanted};
use super::error::{Cause, Error, Frame};
use super::function::{self, Argument};
use super::limits::Budget;
use super::operator::Infix;
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
    /// Among the names of a template.
    Named(Named),
    /// A list or object literal, of which only what lies on the path is evaluated.
    Literal(&'t Expr, Scope<'t>),
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
    pub(crate) budget: Budget,
}

impl<'e> Evaluator<'e> {
    pub(crate) fn new(environment: &'e Environment) -> Self {
        let budget = Budget::new(*environment.limits());
        Self { environment, met: Vec::with_capacity(8), wanted: BTreeSet::new(), budget }
    }

    pub(crate) fn node(&mut self, node: &Node) -> Result<Partial, Error> {
        self.node_to_depth(node, usize::MAX)
    }

    /// Evaluates this many levels of lists and objects; what lies below stays as it was written.
    pub(crate) fn node_to_depth(&mut self, node: &Node, depth: usize) -> Result<Partial, Error> {
        self.budget.step()?;
        if depth == 0 {
            return Ok(Partial::complete(node.source()));
        }
        match node {
            Node::Data(value) => return Ok(Partial::complete(value.clone())),
            Node::List(..) | Node::Map(..) if depth == 1 => {
                return Ok(Partial::complete(node.source()));
            }
            _ => {}
        }
        crate::stack::grow(|| match node {
            Node::Data(value) => Ok(Partial::complete(value.clone())),
            Node::List(items, _) => {
                let mut complete = true;
                let mut values = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    let item = self.node_to_depth(item, depth - 1);
                    let item = item.map_err(|error| error.at(&index))?;
                    complete &= item.complete;
                    values.push(item.value);
                }
                Ok(Partial { value: Value::from(values), complete })
            }
            Node::Map(members, _) => {
                let mut complete = true;
                let members = members.iter().map(|(key, member)| {
                    let member = self.node_to_depth(member, depth - 1);
                    let member = member.map_err(|error| error.at(key.as_ref()))?;
                    complete &= member.complete;
                    Ok((key.clone(), member.value))
                });
                let value = Value::from(members.collect::<Result<Map, Error>>()?);
                Ok(Partial { value, complete })
            }
            Node::Template(template) => {
                self.template(template).map_err(|error| error.within(Frame::Template))
            }
            Node::Reference { reference, source } => Ok(match self.reference(reference) {
                Some(value) => Partial::complete(value),
                None => Partial::unresolved(source.clone()),
            }),
            Node::Lookup { source_name, text, query, source } => {
                self.lookup(source_name, text, query, source)
            }
            Node::Encoded { encoding, data, .. } => self
                .encoded(encoding, data)
                .map_err(|error| error.within(Frame::Encoding(encoding.to_string()))),
            Node::Call { function, arguments, .. } => self.json_call(function, arguments),
            Node::Broken { error, .. } => Err(error.clone()),
        })
    }

    /// Queries a source of data, which is never evaluated itself.
    fn lookup(
        &mut self,
        source_name: &Arc<str>,
        text: &Arc<str>,
        query: &Result<Expr, Error>,
        source: &Value,
    ) -> Result<Partial, Error> {
        let within = |error: Error| error.within(Frame::Type("Data"));
        let reference = Reference::Data { name: source_name.clone() };
        if matches!(self.environment.get(&reference), Known::Missing) {
            let name = Some(source_name.to_string()).filter(|name| !name.is_empty());
            return Err(within(Cause::DataResolverNotFound(name).into()));
        }
        let Some(data) = self.reference(&reference) else {
            return Ok(Partial::unresolved(source.clone()));
        };
        let root = Cursor::Data(data);
        let scope = Scope { root: Some(&root), functions: false };
        let found = match query {
            Ok(expr) => self.expr(expr, scope),
            Err(error) => Err(error.clone()),
        };
        found.map_err(|error| within(error.within(Frame::Query(text.to_string()))))
    }

    fn encoded(&mut self, encoding: &Arc<str>, data: &Node) -> Result<Partial, Error> {
        let data = self.node(data)?;
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
            Node::List(items, _) => {
                Arguments::Positional(items.iter().map(Argument::Tree).collect())
            }
            Node::Map(members, _) => Arguments::Keyword(
                members.iter().map(|(key, node)| (key.clone(), Argument::Tree(node))).collect(),
            ),
            Node::Data(value) => {
                evaluated = value.clone();
                data_arguments(&evaluated)
            }
            active => {
                let before = self.met.len();
                let partial = self.node(active)?;
                if partial.complete {
                    evaluated = partial.value;
                    data_arguments(&evaluated)
                } else {
                    // Whether it is reported is for the function to say.
                    self.met.truncate(before);
                    Arguments::Positional(vec![Argument::Tree(active)])
                }
            }
        };
        function::call(self, function, arguments, Scope::TEMPLATE)
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
        self.join(values).map(Partial::complete)
    }

    pub(crate) fn expr(&mut self, expr: &Expr, scope: Scope<'_>) -> Result<Partial, Error> {
        self.budget.step()?;
        if let Expr::Literal(value) = expr {
            return Ok(Partial::complete(value.clone()));
        }
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
                let value = Value::from(values);
                self.budget.value(&value, 0)?;
                Ok(Partial { value, complete })
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
                // Operators walk over their operands and join them.
                self.budget.value(&left.value, 0)?;
                self.budget.value(&right.value, 0)?;
                if matches!(operator, Infix::Match | Infix::NotMatch) {
                    // Searching takes its time with every byte.
                    let bytes = left.value.as_bytes().map_or(0, <[u8]>::len);
                    self.budget.steps(bytes / 64)?;
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
                let mut called = function::call(self, function, arguments, scope)?;
                if !called.complete {
                    called.value = Value::Null;
                }
                Ok(called)
            }
            Expr::Path { reference: Some(reference), .. } if scope.root.is_none() => {
                self.end(Cursor::Named(Named::Reference(reference.clone())))
            }
            Expr::Path { root, keys, .. } => self.path(root, keys, scope),
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
            self.budget.value(&key.value, 0)?;
            let text = key.value.to_operand_text();
            map.insert(String::from_utf8_lossy(&text).into(), member.value);
        }
        let value = Value::from(map);
        self.budget.value(&value, 0)?;
        Ok(Partial { value, complete })
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

impl Evaluator<'_> {
    /// Joins the parts of a template from the right: an empty string is no part at all, so one
    /// expression alone keeps its type.
    pub(crate) fn join(&mut self, values: Vec<Value>) -> Result<Value, Error> {
        let empty = |value: &Value| value.as_bytes().is_some_and(<[u8]>::is_empty);
        let mut parts: Vec<_> = values.into_iter().filter(|value| !empty(value)).collect();
        if parts.len() <= 1 {
            return Ok(parts.pop().unwrap_or_else(|| Value::from("")));
        }
        let mut bytes = Vec::new();
        for part in &parts {
            self.budget.value(part, 0)?;
            let before = bytes.len();
            part.write_template_text(self.budget.text_left(), &mut bytes)
                .ok_or(Cause::NotEncodable)?;
            self.budget.text(bytes.len() - before)?;
        }
        Ok(Value::from_bytes(&bytes))
    }
}
