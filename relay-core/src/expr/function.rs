//! The functions (`expressions.md` §8), in one table.

use std::sync::Arc;

use super::error::{Cause, Error, Frame};
use super::evaluate::{Cursor, Evaluator, Partial, Scope};
use super::markdown;
use super::parse;
use super::syntax::{Arguments, Expr};
use super::tree::{self, Node};
use crate::value::{Map, Value, ValueKind};

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
    strict("toString", 1, Some(1), |_, args, _| {
        let value = argument(args, 0);
        let text = value.to_plain_text().ok_or_else(|| {
            wrong_kind("scalar", value.kind()).within(Frame::Argument("1".to_owned()))
        })?;
        Ok(Value::from_bytes(&text))
    }),
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
    arguments: &Arguments<Argument<'_>>,
    scope: Scope<'_>,
) -> Result<Partial, Error> {
    dispatch(evaluator, name, arguments, scope)
        .map_err(|error| error.within(Frame::Invocation(name.to_owned())))
}

fn dispatch(
    evaluator: &mut Evaluator<'_>,
    name: &str,
    arguments: &Arguments<Argument<'_>>,
    scope: Scope<'_>,
) -> Result<Partial, Error> {
    let function = find(name).ok_or_else(|| Cause::FunctionNotFound(name.to_owned()))?;
    let mut call = Call { evaluator, function, scope, slots: Vec::new(), keyword: None };
    match arguments {
        Arguments::Positional(items) => {
            function.check_arity(items.len())?;
            call.slots = items.iter().copied().map(Some).collect();
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
            return Ok(self.unresolved_path(object, query.value));
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
            Ok(_) => Ok(self.unresolved_path(object, query.value)),
            Err(error) if error.is_missing() && self.slot(2).is_some() => {
                self.evaluator.met.truncate(before);
                let default = self.required(2)?;
                let default = self.evaluate(2, default)?;
                if default.complete {
                    return Ok(default);
                }
                Ok(self.unresolved_path(object, query.value))
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
    fn unresolved_path(&self, object: Argument<'_>, query: Value) -> Partial {
        let source = |argument: Argument<'_>| match argument {
            Argument::Tree(node) => node.source(),
            Argument::Data(value) => value.clone(),
            Argument::Expr(_) => Value::Null,
        };
        let default = self.slot(2).map(source);
        self.unresolved(vec![Some(source(object)), Some(query), default])
    }
}

fn argument(values: &[Option<Value>], slot: usize) -> &Value {
    const NULL: &Value = &Value::Null;
    values.get(slot).and_then(Option::as_ref).unwrap_or(NULL)
}

fn wrong_kind(expected: &'static str, found: ValueKind) -> Error {
    Cause::UnexpectedType { expected, found }.into()
}

fn append(_: &mut Evaluator<'_>, args: &[Option<Value>], _: bool) -> Result<Value, Error> {
    let first = argument(args, 0);
    let items = first
        .as_list()
        .ok_or_else(|| wrong_kind("list", first.kind()).within(Frame::Argument("1".to_owned())))?;
    Ok(Value::list(items.iter().cloned().chain(args.iter().skip(1).flatten().cloned())))
}

fn concat(_: &mut Evaluator<'_>, args: &[Option<Value>], _: bool) -> Result<Value, Error> {
    let mut bytes = Vec::new();
    for (slot, value) in args.iter().flatten().enumerate() {
        bytes.extend(value.to_plain_text().ok_or_else(|| {
            wrong_kind("scalar", value.kind()).within(Frame::Argument((slot + 1).to_string()))
        })?);
    }
    Ok(Value::from_bytes(&bytes))
}

fn convert_markdown(
    evaluator: &mut Evaluator<'_>,
    args: &[Option<Value>],
    keyword: bool,
) -> Result<Value, Error> {
    let names = if keyword { ["to", "content"] } else { ["1", "2"] };
    let text = |slot: usize| {
        let value = argument(args, slot);
        value.as_bytes().map(String::from_utf8_lossy).ok_or_else(|| {
            let name = names.get(slot).copied().unwrap_or_default();
            wrong_kind("string", value.kind()).within(Frame::Argument(name.to_owned()))
        })
    };
    let (format, content) = (text(0)?, text(1)?);
    let converted = match format.as_ref() {
        "html" => markdown::to_html(&content),
        "jira" => markdown::to_jira(&content),
        _ => return Err(Cause::ConvertType.into()),
    };
    evaluator.budget.text(converted.len())?;
    Ok(Value::from(converted))
}

fn json_marshal(_: &mut Evaluator<'_>, args: &[Option<Value>], _: bool) -> Result<Value, Error> {
    let value = argument(args, 0);
    if let Some(path) = value.first_unencodable() {
        let error = path.iter().rev().fold(Error::from(Cause::NotEncodable), Error::at);
        return Err(error.within(Frame::Argument("1".to_owned())));
    }
    Ok(Value::from(value.to_marshalled_json()))
}

fn json_unmarshal(_: &mut Evaluator<'_>, args: &[Option<Value>], _: bool) -> Result<Value, Error> {
    let value = argument(args, 0);
    let within = |error: Error| error.within(Frame::Argument("1".to_owned()));
    let bytes = value.as_bytes().ok_or_else(|| within(wrong_kind("string", value.kind())))?;
    Value::from_json(&String::from_utf8_lossy(bytes))
        .map_err(|error| within(Cause::BadJson(error.to_string()).into()))
}

fn merge(_: &mut Evaluator<'_>, args: &[Option<Value>], keyword: bool) -> Result<Value, Error> {
    let mut merged = Map::new();
    if !keyword {
        for (slot, value) in args.iter().flatten().enumerate() {
            let map = value.as_map().ok_or_else(|| {
                wrong_kind("object", value.kind()).within(Frame::Argument((slot + 1).to_string()))
            })?;
            merge_into(&mut merged, map, true);
        }
        return Ok(Value::from(merged));
    }
    let objects =
        args.first().and_then(Option::as_ref).ok_or(Cause::ArgumentNotFound("objects"))?;
    let deep = match args.get(1).and_then(Option::as_ref) {
        None => true,
        Some(mode) => {
            let within = |error: Error| error.within(Frame::Argument("mode".to_owned()));
            match mode.as_str() {
                Some("deep") => true,
                Some("shallow") => false,
                Some(_) => {
                    return Err(within(Cause::UnexpectedValue("\"deep\" or \"shallow\"").into()));
                }
                None => return Err(within(wrong_kind("string", mode.kind()))),
            }
        }
    };
    let within = |error: Error| error.within(Frame::Argument("objects".to_owned()));
    let items = objects.as_list().ok_or_else(|| within(wrong_kind("list", objects.kind())))?;
    for (index, item) in items.iter().enumerate() {
        let map = item
            .as_map()
            .ok_or_else(|| within(wrong_kind("object", item.kind()).within(Frame::Item(index))))?;
        merge_into(&mut merged, map, deep);
    }
    Ok(Value::from(merged))
}

fn merge_into(target: &mut Map, source: &Map, deep: bool) {
    for (key, value) in source {
        let merged = match (target.get(key), value) {
            (Some(Value::Map(old)), Value::Map(new)) if deep => {
                let mut both = Arc::unwrap_or_clone(old.clone());
                merge_into(&mut both, new, true);
                Value::from(both)
            }
            _ => value.clone(),
        };
        target.insert(key.clone(), merged);
    }
}
