//! Following paths. What is not there is nothing, not an error; what lies in data is data.

use std::sync::Arc;

use super::{JsonPath, Origin, Piece, Step};
use crate::expr::error::{Cause, Error};
use crate::expr::evaluate::{Cursor, Evaluator, Partial, select};
use crate::expr::operator::{Infix, number, truth};
use crate::expr::tree::Node;
use crate::value::{Map, Number, Value};

/// Evaluates a query over a document.
pub(in crate::expr) fn run(
    evaluator: &mut Evaluator<'_>,
    query: &JsonPath,
    document: &Node,
) -> Result<Partial, Error> {
    let document = Cursor::Tree(document);
    let place = Place { document: &document, current: &document };
    place.value(evaluator, query).map(Partial::complete)
}

/// Writes a template over a document.
pub(in crate::expr) fn run_template(
    evaluator: &mut Evaluator<'_>,
    pieces: &[Piece],
    document: &Node,
) -> Result<Partial, Error> {
    let mut out = Vec::new();
    write(evaluator, pieces, &Cursor::Tree(document), &mut out)?;
    Ok(Partial::complete(Value::from_bytes(&out)))
}

fn write(
    evaluator: &mut Evaluator<'_>,
    pieces: &[Piece],
    document: &Cursor<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let place = Place { document, current: document };
    for piece in pieces {
        evaluator.budget.step()?;
        let before = out.len();
        match piece {
            Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
            Piece::Value(value) => {
                let value = place.value(evaluator, value)?;
                evaluator.budget.value(&value, 0)?;
                write_value(&value, out);
            }
            Piece::Range(items, body) => {
                for item in place.items(evaluator, items)? {
                    crate::stack::grow(|| write(evaluator, body, &item, out))?;
                }
                continue;
            }
        }
        evaluator.budget.text(out.len() - before)?;
    }
    Ok(())
}

/// A list prints its items with blanks between them, null prints nothing.
fn write_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => {}
        Value::List(items) => {
            let items: Vec<_> = items.iter().map(Value::to_general_text).collect();
            out.extend(items.join(&b' '));
        }
        other => out.extend(other.to_general_text()),
    }
}

/// What `$` and `@` mean.
#[derive(Clone, Copy)]
struct Place<'p, 't> {
    document: &'p Cursor<'t>,
    current: &'p Cursor<'t>,
}

/// What a path leads to.
enum Found<'t> {
    Nothing,
    One(Cursor<'t>),
    Many(Vec<Cursor<'t>>),
}

impl<'t> Place<'_, 't> {
    fn value(self, evaluator: &mut Evaluator<'_>, expr: &'t JsonPath) -> Result<Value, Error> {
        evaluator.budget.step()?;
        crate::stack::grow(|| match expr {
            JsonPath::Literal(value) => Ok(value.clone()),
            JsonPath::List(items) => {
                let items = items.iter().map(|item| self.value(evaluator, item));
                let value = Value::from(items.collect::<Result<Vec<_>, _>>()?);
                evaluator.budget.value(&value, 0)?;
                Ok(value)
            }
            JsonPath::Object(members) => {
                let mut map = Map::new();
                for (key, member) in members {
                    let key = self.value(evaluator, key)?;
                    evaluator.budget.value(&key, 0)?;
                    let key = String::from_utf8_lossy(&key.to_operand_text()).into();
                    map.insert(key, self.value(evaluator, member)?);
                }
                let value = Value::from(map);
                evaluator.budget.value(&value, 0)?;
                Ok(value)
            }
            JsonPath::Prefix(operator, operand) => operator.apply(&self.value(evaluator, operand)?),
            JsonPath::Infix(operator, left, right) => {
                let left = self.value(evaluator, left)?;
                if let Some(decided) = operator.short_circuit(&left) {
                    return Ok(decided);
                }
                let right = self.value(evaluator, right)?;
                evaluator.budget.value(&left, 0)?;
                evaluator.budget.value(&right, 0)?;
                apply(*operator, &left, &right)
            }
            JsonPath::Name(_) => Err(Cause::NotAPath.into()),
            JsonPath::Path(..) => {
                let end = |evaluator: &mut Evaluator<'_>, cursor| {
                    evaluator.end(cursor).map(|partial| partial.value)
                };
                match self.find(evaluator, expr)? {
                    Found::Nothing => Ok(Value::Null),
                    Found::One(cursor) => end(evaluator, cursor),
                    Found::Many(cursors) => {
                        let values = cursors.into_iter().map(|cursor| end(evaluator, cursor));
                        values.collect::<Result<Vec<_>, _>>().map(Value::from)
                    }
                }
            }
        })
    }

    /// What a path leads to; anything else than a path leads to its value.
    fn find(self, evaluator: &mut Evaluator<'_>, expr: &'t JsonPath) -> Result<Found<'t>, Error> {
        match expr {
            JsonPath::Path(origin, steps) => {
                let from = match origin {
                    Origin::Document => self.document,
                    Origin::Current => self.current,
                };
                match evaluator.concrete(from.clone())? {
                    Some(from) => self.follow(evaluator, from, steps),
                    None => Ok(Found::Nothing),
                }
            }
            other => self.value(evaluator, other).map(|value| Found::One(Cursor::Data(value))),
        }
    }

    /// The items that a range goes over.
    fn items(
        self,
        evaluator: &mut Evaluator<'_>,
        expr: &'t JsonPath,
    ) -> Result<Vec<Cursor<'t>>, Error> {
        match self.find(evaluator, expr)? {
            Found::Nothing => Ok(Vec::new()),
            Found::Many(cursors) => Ok(cursors),
            Found::One(cursor) => Ok(match cursor {
                Cursor::Tree(Node::List(..)) | Cursor::Data(Value::List(_)) => members(&cursor),
                _ => Vec::new(),
            }),
        }
    }

    /// Goes on from a place that is concrete.
    fn follow(
        self,
        evaluator: &mut Evaluator<'_>,
        from: Cursor<'t>,
        steps: &'t [Step],
    ) -> Result<Found<'t>, Error> {
        let Some((step, rest)) = steps.split_first() else {
            return Ok(Found::One(from));
        };
        evaluator.budget.step()?;
        let here = Place { document: self.document, current: &from };
        let many = match step {
            Step::Child(key) => {
                let found = here.child(evaluator, key)?;
                return self.go_on(evaluator, found, rest);
            }
            Step::Script(script) => {
                let found = dropped(here.value(evaluator, script))?;
                return self.go_on(evaluator, found.map(Cursor::Data), rest);
            }
            Step::Each => each(evaluator, &from)?,
            Step::Descend => {
                let mut all = Vec::new();
                descend(evaluator, from.clone(), &mut all)?;
                all
            }
            Step::Union(keys) => {
                let mut found = Vec::new();
                for key in keys {
                    match here.child(evaluator, key) {
                        Err(error) if matches!(error.cause(), Cause::NotAPath) => {}
                        child => found.extend(child?),
                    }
                }
                found
            }
            Step::Slice { start, end, step } => match here.slice(evaluator, start, end, step)? {
                Some(items) => items,
                None => return Ok(Found::Nothing),
            },
            Step::Filter(filter) => {
                let mut kept = each(evaluator, &from)?;
                let mut failed = Ok(());
                kept.retain(|item| {
                    let item = Place { document: self.document, current: item };
                    match item.value(evaluator, filter) {
                        Ok(value) => truth(&value).unwrap_or(false),
                        Err(error) => {
                            if matches!(error.cause(), Cause::Limit { .. }) {
                                failed = Err(error);
                            }
                            false
                        }
                    }
                });
                failed?;
                kept
            }
        };
        let mut found = Vec::with_capacity(many.len());
        for cursor in many {
            match crate::stack::grow(|| self.follow(evaluator, cursor, rest))? {
                Found::Nothing => {}
                Found::One(cursor) => found.push(cursor),
                Found::Many(cursors) => found.extend(cursors),
            }
        }
        Ok(Found::Many(found))
    }

    fn go_on(
        self,
        evaluator: &mut Evaluator<'_>,
        found: Option<Cursor<'t>>,
        rest: &'t [Step],
    ) -> Result<Found<'t>, Error> {
        match found {
            Some(cursor) => crate::stack::grow(|| self.follow(evaluator, cursor, rest)),
            None => Ok(Found::Nothing),
        }
    }

    /// The member of the current item, made concrete; nothing where it is missing or unresolvable.
    fn child(
        self,
        evaluator: &mut Evaluator<'_>,
        key: &'t JsonPath,
    ) -> Result<Option<Cursor<'t>>, Error> {
        let Some(key) = dropped(self.value(evaluator, key))? else {
            return Ok(None);
        };
        match select(self.current.clone(), &key) {
            Ok(member) => evaluator.concrete(member),
            Err(_) => Ok(None),
        }
    }

    /// The items of a slice of a list. Of objects there are none, of scalars not even a list.
    fn slice(
        self,
        evaluator: &mut Evaluator<'_>,
        start: &'t Option<JsonPath>,
        end: &'t Option<JsonPath>,
        step: &'t Option<JsonPath>,
    ) -> Result<Option<Vec<Cursor<'t>>>, Error> {
        let mut bound = |bound: &'t Option<JsonPath>, default: i64| match bound {
            None => Ok(Some(default)),
            Some(bound) => {
                let value = dropped(self.value(evaluator, bound))?;
                Ok::<_, Error>(value.as_ref().and_then(integer))
            }
        };
        let bounds = (bound(start, 0)?, bound(end, i64::MAX)?, bound(step, 1)?);
        let (Some(start), Some(end), Some(step)) = bounds else {
            return Ok(None);
        };
        let items = match self.current {
            Cursor::Tree(Node::List(..)) | Cursor::Data(Value::List(_)) => members(self.current),
            Cursor::Tree(Node::Map(..)) | Cursor::Data(Value::Map(_)) => {
                return Ok(Some(Vec::new()));
            }
            _ => return Ok(None),
        };
        let length = items.len();
        let place = |bound: i64| {
            let from_end = usize::try_from(bound.unsigned_abs()).unwrap_or(usize::MAX);
            if bound < 0 { length.saturating_sub(from_end) } else { length.min(from_end) }
        };
        let (start, end) = (place(start), place(end));
        let mut range: Vec<_> = items.into_iter().take(end).skip(start).collect();
        if step < 0 {
            range.reverse();
        }
        let stride = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX).max(1);
        let mut found = Vec::new();
        for item in range.into_iter().step_by(stride) {
            found.extend(evaluator.concrete(item)?);
        }
        Ok(Some(found))
    }
}

/// An expression within a path that fails leads to nothing; but a bare name is a mistake, and a
/// budget that is used up stays so.
fn dropped(result: Result<Value, Error>) -> Result<Option<Value>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.cause(), Cause::Limit { .. } | Cause::NotAPath) => Err(error),
        Err(_) => Ok(None),
    }
}

fn integer(value: &Value) -> Option<i64> {
    Number::Float(number(value)?.trunc()).as_i64()
}

fn members<'t>(cursor: &Cursor<'t>) -> Vec<Cursor<'t>> {
    match cursor {
        Cursor::Tree(Node::List(items, _)) => items.iter().map(Cursor::Tree).collect(),
        Cursor::Tree(Node::Map(members, _)) => {
            members.iter().map(|(_, member)| Cursor::Tree(member)).collect()
        }
        Cursor::Data(Value::List(items)) => items.iter().cloned().map(Cursor::Data).collect(),
        Cursor::Data(Value::Map(map)) => map.values().cloned().map(Cursor::Data).collect(),
        _ => Vec::new(),
    }
}

/// The members that can be resolved.
fn each<'t>(evaluator: &mut Evaluator<'_>, cursor: &Cursor<'t>) -> Result<Vec<Cursor<'t>>, Error> {
    let members = members(cursor);
    evaluator.budget.steps(members.len())?;
    let concrete = members.into_iter().map(|member| evaluator.concrete(member).transpose());
    concrete.flatten().collect()
}

/// The node and all that is in it, parents first.
fn descend<'t>(
    evaluator: &mut Evaluator<'_>,
    cursor: Cursor<'t>,
    all: &mut Vec<Cursor<'t>>,
) -> Result<(), Error> {
    let members = each(evaluator, &cursor)?;
    all.push(cursor);
    crate::stack::grow(|| {
        members.into_iter().try_for_each(|member| descend(evaluator, member, all))
    })
}

/// An infix operator; equality converts nothing here.
pub(super) fn apply(operator: Infix, left: &Value, right: &Value) -> Result<Value, Error> {
    match operator {
        Infix::Equal => Ok(Value::Bool(equal(left, right))),
        Infix::NotEqual => Ok(Value::Bool(!equal(left, right))),
        _ => operator.apply(left, right),
    }
}

/// Deep equality, or a list that contains the other side.
fn equal(left: &Value, right: &Value) -> bool {
    let contains = |list: &Arc<[Value]>, item: &Value| list.contains(item);
    match (left, right) {
        (Value::List(list), item) if contains(list, item) => true,
        (item, Value::List(list)) if contains(list, item) => true,
        _ => left == right,
    }
}
