//! The parser.

use std::sync::Arc;

use winnow::stream::{LocatingSlice, Location as _, Stream as _};

use super::{JsonPath, Origin, Piece, Step};
use crate::expr::error::{Cause, Error};
use crate::expr::limits::Limits;
use crate::expr::operator::{INFIX, Infix, Prefix};
use crate::expr::parse::token::{
    advance, eat, number, peek, space, span, starts_name, string, unexpected,
};
use crate::expr::parse::{Depth, Input, Parsed};
use crate::value::Value;

/// How many operators one expression may chain at one level.
const MAX_CHAIN: usize = 4096;

/// Parses a whole text as a query.
pub(in crate::expr) fn expression(source: &str, limits: &Limits) -> Parsed<JsonPath> {
    let mut input = LocatingSlice::new(source);
    let parsed = query(&mut input, Depth::top(limits))?;
    space(&mut input)?;
    if input.is_empty() { Ok(parsed) } else { Err(unexpected(&input, "an operator or the end")) }
}

/// Parses text with `{…}` in it.
pub(in crate::expr) fn template(source: &str, limits: &Limits) -> Parsed<Vec<Piece>> {
    let mut input = LocatingSlice::new(source);
    let (pieces, _) = pieces(&mut input, None, Depth::top(limits))?;
    Ok(pieces)
}

/// A query may be a path without its `$`.
fn query(input: &mut Input<'_>, depth: Depth) -> Parsed<JsonPath> {
    space(input)?;
    match peek(input) {
        Some('.' | '[' | '(') => Ok(JsonPath::Path(Origin::Document, steps(input, depth)?)),
        _ => whole(input, depth),
    }
}

fn whole(input: &mut Input<'_>, depth: Depth) -> Parsed<JsonPath> {
    depth.check()?;
    crate::stack::grow(|| binary(input, 0, depth))
}

fn infix(input: &Input<'_>) -> Option<(&'static str, Infix, u16)> {
    let found = INFIX.iter().copied().find(|(symbol, _, _)| input.starts_with(symbol))?;
    let bits = matches!(
        found.1,
        Infix::BitAnd | Infix::BitOr | Infix::BitXor | Infix::ShiftLeft | Infix::ShiftRight
    );
    (!bits).then_some(found)
}

fn binary(input: &mut Input<'_>, minimum: u16, depth: Depth) -> Parsed<JsonPath> {
    let mut left = unary(input, depth)?;
    for _ in 0..MAX_CHAIN {
        space(input)?;
        let Some((symbol, operator, precedence)) = infix(input).filter(|op| op.2 >= minimum) else {
            return Ok(left);
        };
        advance(input, symbol.len());
        let right = binary(input, precedence + 1, depth)?;
        left = match (&left, &right) {
            (JsonPath::Literal(l), JsonPath::Literal(r)) => {
                JsonPath::Literal(super::evaluate::apply(operator, l, r)?)
            }
            _ => JsonPath::Infix(operator, Box::new(left), Box::new(right)),
        };
    }
    Err(Cause::Limit { what: "operators in a row", limit: MAX_CHAIN }.into())
}

fn unary(input: &mut Input<'_>, depth: Depth) -> Parsed<JsonPath> {
    depth.check()?;
    space(input)?;
    let operator = match peek(input) {
        Some('-') => Prefix::Negate,
        Some('!') => Prefix::Not,
        _ => return primary(input, depth),
    };
    advance(input, 1);
    let operand = crate::stack::grow(|| unary(input, depth.deeper()))?;
    Ok(match &operand {
        JsonPath::Literal(value) => JsonPath::Literal(operator.apply(value)?),
        _ => JsonPath::Prefix(operator, Box::new(operand)),
    })
}

fn primary(input: &mut Input<'_>, depth: Depth) -> Parsed<JsonPath> {
    match peek(input) {
        Some('$') => {
            advance(input, 1);
            Ok(JsonPath::Path(Origin::Document, steps(input, depth)?))
        }
        Some('@') => {
            advance(input, 1);
            Ok(JsonPath::Path(Origin::Current, steps(input, depth)?))
        }
        Some('(') => {
            advance(input, 1);
            let inner = whole(input, depth.deeper())?;
            close(input, ")")?;
            Ok(inner)
        }
        Some('[') => list(input, depth),
        Some('{') => object(input, depth),
        Some('\'' | '"' | '`') => string(input).map(JsonPath::Literal),
        Some(c) if c.is_ascii_digit() || c == '.' => {
            number(input).map(|number| JsonPath::Literal(Value::from(number)))
        }
        Some(c) if starts_name(c) => Ok(match name(input)? {
            "true" => JsonPath::Literal(Value::Bool(true)),
            "false" => JsonPath::Literal(Value::Bool(false)),
            other => {
                let bare = JsonPath::Name(other.into());
                // What follows a bare name does not make it a path.
                steps(input, depth)?;
                bare
            }
        }),
        _ => Err(unexpected(input, "a JSONPath such as `$.name`, or a value")),
    }
}

fn close(input: &mut Input<'_>, token: &str) -> Parsed<()> {
    space(input)?;
    if eat(input, token) {
        Ok(())
    } else {
        Err(unexpected(input, &format!("`{token}` or an operator")))
    }
}

/// Names hold slashes here.
fn name<'s>(input: &mut Input<'s>) -> Parsed<&'s str> {
    span(input, |c| c.is_alphanumeric() || matches!(c, '_' | '-' | '/'))
}

fn steps(input: &mut Input<'_>, depth: Depth) -> Parsed<Vec<Step>> {
    let mut steps = Vec::new();
    loop {
        let before = input.checkpoint();
        space(input)?;
        match peek(input) {
            Some('[') => steps.push(bracket(input, depth)?),
            Some('(') => steps.push(script(input, depth)?),
            Some('.') => {
                advance(input, 1);
                if eat(input, ".") {
                    steps.push(Step::Descend);
                    match peek(input) {
                        Some('*') => {
                            advance(input, 1);
                            steps.push(Step::Each);
                        }
                        Some(c) if starts_name(c) => steps.push(child(name(input)?)),
                        _ => {}
                    }
                    continue;
                }
                space(input)?;
                steps.push(match peek(input) {
                    Some('*') => {
                        advance(input, 1);
                        Step::Each
                    }
                    Some(c) if starts_name(c) => child(name(input)?),
                    Some(c) if c.is_ascii_digit() => child(span(input, |c| c.is_ascii_digit())?),
                    _ => return Err(unexpected(input, "a name, an index or `*`")),
                });
            }
            _ => {
                input.reset(&before);
                return Ok(steps);
            }
        }
    }
}

fn child(name: &str) -> Step {
    Step::Child(JsonPath::Literal(Value::from(name)))
}

fn script(input: &mut Input<'_>, depth: Depth) -> Parsed<Step> {
    advance(input, 1);
    let script = whole(input, depth.deeper())?;
    close(input, ")")?;
    Ok(Step::Script(script))
}

fn bracket(input: &mut Input<'_>, depth: Depth) -> Parsed<Step> {
    let start = input.current_token_start();
    advance(input, 1);
    space(input)?;
    if eat(input, "*") {
        close(input, "]")?;
        return Ok(Step::Each);
    }
    if eat(input, "?") {
        space(input)?;
        if peek(input) != Some('(') {
            return Err(unexpected(input, "`(` after `?`"));
        }
        let filter = whole(input, depth.deeper())?;
        close(input, "]")?;
        return Ok(Step::Filter(filter));
    }
    let first = bound(input, depth)?;
    space(input)?;
    if eat(input, ":") {
        let end = bound(input, depth)?;
        space(input)?;
        let step = if eat(input, ":") { bound(input, depth)? } else { None };
        close(input, "]")?;
        return Ok(Step::Slice { start: first, end, step });
    }
    let Some(first) = first else {
        return Err(Error::syntax("the `[…]` is empty", start));
    };
    if eat(input, "]") {
        return Ok(Step::Child(first));
    }
    let mut keys = vec![first];
    while eat(input, ",") {
        keys.push(whole(input, depth.deeper())?);
        space(input)?;
    }
    close(input, "]")?;
    Ok(Step::Union(keys))
}

/// A bound of a slice, which may be left out.
fn bound(input: &mut Input<'_>, depth: Depth) -> Parsed<Option<JsonPath>> {
    space(input)?;
    match peek(input) {
        Some(':' | ']') => Ok(None),
        _ => whole(input, depth.deeper()).map(Some),
    }
}

fn list(input: &mut Input<'_>, depth: Depth) -> Parsed<JsonPath> {
    advance(input, 1);
    let mut items = Vec::new();
    loop {
        space(input)?;
        if eat(input, "]") {
            return Ok(JsonPath::List(items));
        }
        if !eat(input, ",") {
            items.push(whole(input, depth.deeper())?);
        }
    }
}

fn object(input: &mut Input<'_>, depth: Depth) -> Parsed<JsonPath> {
    advance(input, 1);
    let mut members = Vec::new();
    loop {
        space(input)?;
        if eat(input, "}") {
            return Ok(JsonPath::Object(members));
        }
        if eat(input, ",") {
            continue;
        }
        let key = whole(input, depth.deeper())?;
        close(input, ":")?;
        members.push((key, whole(input, depth.deeper())?));
    }
}

/// The pieces up to the end or, within a range that opened at `range`, up to its `{end}`.
fn pieces(input: &mut Input<'_>, range: Option<usize>, depth: Depth) -> Parsed<(Vec<Piece>, bool)> {
    depth.check()?;
    let mut pieces = Vec::new();
    loop {
        let text = span(input, |c| c != '{')?;
        if !text.is_empty() {
            pieces.push(Piece::Text(Arc::from(text)));
        }
        let start = input.current_token_start();
        if !eat(input, "{") {
            return match range {
                None => Ok((pieces, false)),
                Some(open) => Err(Error::syntax("the `{range}` has no `{end}`", open)),
            };
        }
        space(input)?;
        let before = input.checkpoint();
        match keyword(input)? {
            Some("end") if range.is_some() => {
                close(input, "}")?;
                return Ok((pieces, true));
            }
            Some("end") => return Err(Error::syntax("the `{end}` has no `{range}`", start)),
            Some("range") => {
                let items = query(input, depth.deeper())?;
                close(input, "}")?;
                let deeper = depth.deeper();
                let (body, _) = crate::stack::grow(|| self::pieces(input, Some(start), deeper))?;
                pieces.push(Piece::Range(items, body));
            }
            Some("true" | "false") | None => {
                input.reset(&before);
                if peek(input) == Some('{') {
                    return Err(unexpected(input, "a JSONPath"));
                }
                let value = query(input, depth.deeper())?;
                close(input, "}")?;
                pieces.push(Piece::Value(value));
            }
            Some(_) => {
                input.reset(&before);
                return Err(unexpected(input, "a JSONPath such as `.name`"));
            }
        }
    }
}

fn keyword<'s>(input: &mut Input<'s>) -> Parsed<Option<&'s str>> {
    if peek(input).is_some_and(starts_name) { name(input).map(Some) } else { Ok(None) }
}
