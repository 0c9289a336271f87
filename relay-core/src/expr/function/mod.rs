//! The functions (`expressions.md` §8), in one table.

mod library;

use self::library::{
    append, concat, convert_markdown, json_marshal, json_unmarshal, merge, to_string, wrong_kind,
};
use super::error::{Cause, Error, Frame};
use super::evaluate::{Cursor, Evaluator, Partial, Scope};
use super::parse;
use super::syntax::{Arguments, Expr};
use super::tree::{self, Node};
use crate::value::Value;

/// An argument before its evaluation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Argument<'a> {
    Expr(&'a Expr),
    Tree(&'a Node),
    Data(&'a Value),
}

/// A function: how many positional arguments it takes, which keywords, and what it does.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    least: usize,
    most: Option<usize>,
    /// The slots that a keyword form must have.
    required: &'static [usize],
    /// The keywords in the order of positional arguments; empty where there is no keyword form.
    pub(crate) keywords: &'static [&'static str],
    body: Body,
}

/// Gets the arguments, some of which a keyword form may lack, and whether it is that form.
type StrictBody = fn(&mut Evaluator<'_>, &[Option<Value>], bool) -> Result<Value, Error>;

enum Body {
    /// Called with all arguments evaluated.
    Strict(StrictBody),
    Coalesce,
    Exists,
    Path,
}

const fn strict(
    name: &'static str,
    least: usize,
    most: Option<usize>,
    body: StrictBody,
) -> Function {
    Function { name, least, most, required: &[], keywords: &[], body: Body::Strict(body) }
}

pub(crate) const FUNCTIONS: &[Function] = &[
    strict("append", 2, None, append),
    Function {
        name: "coalesce",
        least: 0,
        most: None,
        required: &[],
        keywords: &[],
        body: Body::Coalesce,
    },
    strict("concat", 0, None, concat),
    Function {
        name: "convertMarkdown",
        least: 2,
        most: Some(2),
        required: &[0, 1],
        keywords: &["to", "content"],
        body: Body::Strict(convert_markdown),
    },
    strict("equals", 2, Some(2), |_, args, _| Ok(Value::Bool(args.first() == args.get(1)))),
    Function {
        name: "exists",
        least: 1,
        most: Some(1),
        required: &[],
        keywords: &[],
        body: Body::Exists,
    },
    strict("jsonMarshal", 1, Some(1), json_marshal),
    strict("jsonUnmarshal", 1, Some(1), json_unmarshal),
    Function {
        name: "merge",
        least: 0,
        most: None,
        required: &[0],
        keywords: &["objects", "mode"],
        body: Body::Strict(merge),
    },
    strict("notEquals", 2, Some(2), |_, args, _| Ok(Value::Bool(args.first() != args.get(1)))),
    strict("now", 0, Some(0), |evaluator, _, _| Ok(Value::Time(evaluator.environment.now()))),
    Function {
        name: "path",
        least: 2,
        most: Some(3),
        required: &[0, 1],
        keywords: &["object", "query", "default"],
        body: Body::Path,
    },
    strict("toString", 1, Some(1), to_string),
];

/// The function of this name.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

impl Function {
    /// Whether it takes this many positional arguments, and how many it takes in words.
    pub(crate) fn check_arity(&self, found: usize) -> Result<(), Cause> {
        if found >= self.least && self.most.is_none_or(|most| found <= most) {
            return Ok(());
        }
        let plural = |count: usize| if count == 1 { "argument" } else { "arguments" };
        let expected = match self.most {
            Some(most) if most == self.least => format!("{most} {}", plural(most)),
            Some(most) => format!("{} to {most} arguments", self.least),
            None => format!("at least {} {}", self.least, plural(self.least)),
        };
        Err(Cause::Arity { expected, found })
    }
}

/// Calls a function. An unresolvable call gives its JSON form with the arguments evaluated as far
/// as possible.
pub(crate) fn call(
    evaluator: &mut Evaluator<'_>,
    name: &str,
    arguments: Arguments<Argument<'_>>,
    scope: Scope<'_>,
) -> Result<Partial, Error> {
    dispatch(evaluator, name, arguments, scope)
        .map_err(|error| error.within(Frame::Invocation(name.to_owned())))
}

fn dispatch(
    evaluator: &mut Evaluator<'_>,
    name: &str,
    arguments: Arguments<Argument<'_>>,
    scope: Scope<'_>,
) -> Result<Partial, Error> {
    let function = find(name).ok_or_else(|| Cause::FunctionNotFound(name.to_owned()))?;
    let mut call = Call { evaluator, function, scope, slots: Vec::new(), keyword: None };
    match arguments {
        Arguments::Positional(items) => {
            function.check_arity(items.len())?;
            call.slots = items.into_iter().map(Some).collect();
        }
        Arguments::Keyword(_) if function.keywords.is_empty() => {
            return Err(Cause::KeywordNotAccepted.into());
        }
        Arguments::Keyword(items) => {
            let named = |keyword: &&str| {
                items.iter().find(|(name, _)| name.as_ref() == *keyword).map(|(_, item)| *item)
            };
            call.slots = function.keywords.iter().map(named).collect();
            call.keyword = Some(function.keywords);
        }
    }
    match function.body {
        Body::Strict(body) => call.strict(body),
        Body::Coalesce => call.coalesce(),
        Body::Exists => call.exists(),
        Body::Path => call.path(),
    }
}

struct Call<'c, 'e, 'a> {
    evaluator: &'c mut Evaluator<'e>,
    function: &'static Function,
    scope: Scope<'c>,
    slots: Vec<Option<Argument<'a>>>,
    /// The names of the slots, in the keyword form.
    keyword: Option<&'static [&'static str]>,
}

impl<'a> Call<'_, '_, 'a> {
    fn frame(&self, slot: usize) -> Frame {
        Frame::Argument(match self.keyword.and_then(|names| names.get(slot)) {
            Some(name) => (*name).to_owned(),
            None => (slot + 1).to_string(),
        })
    }

    fn evaluate(&mut self, slot: usize, argument: Argument<'_>) -> Result<Partial, Error> {
        match argument {
            Argument::Expr(expr) => self.evaluator.expr(expr, self.scope),
            Argument::Tree(node) => self.evaluator.node(node),
            Argument::Data(value) => Ok(Partial::complete(value.clone())),
        }
        .map_err(|error| error.within(self.frame(slot)))
    }

    fn slot(&self, slot: usize) -> Option<Argument<'a>> {
        self.slots.get(slot).copied().flatten()
    }

    fn required(&self, slot: usize) -> Result<Argument<'a>, Error> {
        self.slot(slot).ok_or_else(|| {
            let name = self.keyword.and_then(|names| names.get(slot).copied()).unwrap_or("?");
            Error::from(Cause::ArgumentNotFound(name)).within(self.frame(slot))
        })
    }

    /// The call in JSON form, for an answer that says what is still missing.
    fn unresolved(&self, values: Vec<Option<Value>>) -> Partial {
        let arguments = match self.keyword {
            None => Value::list(values.into_iter().flatten()),
            Some(names) => Value::map(
                names.iter().zip(values).filter_map(|(name, value)| Some((*name, value?))),
            ),
        };
        Partial::unresolved(tree::call(self.function.name, arguments))
    }

    fn strict(&mut self, body: StrictBody) -> Result<Partial, Error> {
        if self.keyword.is_some() {
            for slot in self.function.required {
                self.required(*slot)?;
            }
        }
        let mut complete = true;
        let mut values = Vec::with_capacity(self.slots.len());
        for slot in 0..self.slots.len() {
            let Some(argument) = self.slot(slot) else {
                values.push(None);
                continue;
            };
            let partial = self.evaluate(slot, argument)?;
            complete &= partial.complete;
            self.evaluator.budget.value(&partial.value, 0)?;
            values.push(Some(partial.value));
        }
        if !complete {
            return Ok(self.unresolved(values));
        }
        body(self.evaluator, &values, self.keyword.is_some()).map(Partial::complete)
    }

    fn coalesce(&mut self) -> Result<Partial, Error> {
        let before = self.evaluator.met.len();
        for slot in 0..self.slots.len() {
            let argument = self.required(slot)?;
            let partial = self.evaluate(slot, argument)?;
            if partial.complete && !partial.value.is_null() {
                return Ok(partial);
            }
            // What was passed over is not reported.
            self.evaluator.met.truncate(before);
        }
        Ok(Partial::complete(Value::Null))
    }

    fn exists(&mut self) -> Result<Partial, Error> {
        let before = self.evaluator.met.len();
        let argument = self.required(0)?;
        match self.evaluate(0, argument) {
            Ok(partial) if partial.complete => Ok(Partial::complete(Value::Bool(true))),
            Ok(partial) => Ok(self.unresolved(vec![Some(partial.value)])),
            Err(error) if error.is_missing() => {
                self.evaluator.met.truncate(before);
                Ok(Partial::complete(Value::Bool(false)))
            }
            Err(error) => Err(error),
        }
    }

    fn path(&mut self) -> Result<Partial, Error> {
        let object = self.required(0)?;
        let argument = self.required(1)?;
        let written = matches!(
            argument,
            Argument::Expr(Expr::Literal(_)) | Argument::Tree(Node::Data(_)) | Argument::Data(_)
        );
        let conceal = |error: Error| if written { error } else { error.concealed() };
        let query = self.evaluate(1, argument)?;
        if !query.complete {
            return Ok(self.unresolved_path(object, query.value, None));
        }
        let in_query = |error: Error, call: &Self| error.within(call.frame(1));
        let text = query
            .value
            .as_str()
            .ok_or_else(|| in_query(wrong_kind("string", query.value.kind()), self))?;
        let expr = parse::query(text, &self.evaluator.budget.limits)
            .map_err(|error| conceal(error).within(self.frame(0)))?;
        let before = self.evaluator.met.len();
        let found = match object {
            Argument::Tree(node) => self.query(&Cursor::Tree(node), &expr, conceal),
            Argument::Data(value) => self.query(&Cursor::Data(value.clone()), &expr, conceal),
            Argument::Expr(literal @ (Expr::List(_) | Expr::Object(_))) => {
                let literal = Cursor::Literal(literal, self.scope);
                self.query(&literal, &expr, conceal)
            }
            Argument::Expr(_) => self.evaluate(0, object).and_then(|object| {
                if object.complete {
                    self.query(&Cursor::Data(object.value), &expr, conceal)
                } else {
                    Ok(Partial::unresolved(Value::Null))
                }
            }),
        };
        match found {
            Ok(partial) if partial.complete => Ok(partial),
            Ok(_) => Ok(self.unresolved_path(object, query.value, None)),
            Err(error) if error.is_missing() && self.slot(2).is_some() => {
                self.evaluator.met.truncate(before);
                let default = self.required(2)?;
                let default = self.evaluate(2, default)?;
                if default.complete {
                    return Ok(default);
                }
                let unresolved = self.unresolved_path(object, query.value, Some(default.value));
                Ok(unresolved)
            }
            Err(error) => Err(error),
        }
    }

    fn query(
        &mut self,
        document: &Cursor<'_>,
        expr: &Expr,
        conceal: impl Fn(Error) -> Error,
    ) -> Result<Partial, Error> {
        self.evaluator
            .expr(expr, Scope { root: Some(document), functions: false })
            .map_err(|error| conceal(error).within(self.frame(0)))
    }

    /// The object argument stays as it was written, since only a part of it was looked at.
    /// So does the default, unless it was.
    fn unresolved_path(
        &self,
        object: Argument<'_>,
        query: Value,
        default: Option<Value>,
    ) -> Partial {
        let source = |argument: Argument<'_>| match argument {
            Argument::Tree(node) => node.source(),
            Argument::Data(value) => value.clone(),
            Argument::Expr(_) => Value::Null,
        };
        let default = default.or_else(|| self.slot(2).map(source));
        self.unresolved(vec![Some(source(object)), Some(query), default])
    }
}
