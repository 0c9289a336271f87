//! The parser of templates and expressions (`expressions.md` §6 and §7).

pub(super) mod token;

use std::sync::Arc;

use winnow::error::ParserError;
use winnow::prelude::*;
use winnow::stream::{LocatingSlice, Location as _};
use winnow::token::any;

use super::error::{Cause, Error};
use super::limits::Limits;
use super::operator::{INFIX, Infix, Prefix};
use super::syntax::{Arguments, Expr, Part, Start, Template};
use crate::value::Value;
use token::{advance, eat, identifier, number, peek, space, span, starts_name, string, unexpected};

/// How many operators one expression may chain at one level.
const MAX_CHAIN: usize = 4096;

pub(super) type Input<'s> = LocatingSlice<&'s str>;
pub(super) type Parsed<T> = Result<T, Error>;

/// How deep the parser is, and how deep it may go.
#[derive(Clone, Copy)]
pub(super) struct Depth {
    level: usize,
    limit: usize,
}

impl Depth {
    pub(super) fn top(limits: &Limits) -> Self {
        Self { level: 0, limit: limits.nesting() }
    }

    pub(super) fn deeper(self) -> Self {
        Self { level: self.level + 1, ..self }
    }

    pub(super) fn check(self) -> Parsed<()> {
        if self.level <= self.limit {
            return Ok(());
        }
        Err(Cause::Limit { what: "levels of nesting", limit: self.limit }.into())
    }
}

impl ParserError<Input<'_>> for Error {
    type Inner = Self;

    fn from_input(input: &Input<'_>) -> Self {
        Self::syntax("unexpected text", input.current_token_start())
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}

/// Parses the text of a template.
pub(crate) fn template(source: &Arc<str>, limits: &Limits) -> Parsed<Template> {
    let depth = Depth::top(limits);
    let mut input = LocatingSlice::new(source.as_ref());
    let mut parts = Vec::new();
    let mut text = String::new();
    loop {
        text.push_str(span(&mut input, |c| c != '$')?);
        if input.is_empty() {
            break;
        }
        if input.starts_with("${") {
            let start = input.current_token_start();
            advance(&mut input, 2);
            if !text.is_empty() {
                parts.push(Part::Text(Arc::from(std::mem::take(&mut text))));
            }
            let expr = expression(&mut input, depth)?;
            if !eat(&mut input, "}") {
                return Err(if input.is_empty() {
                    Error::syntax("the `${` is not closed by `}`", start)
                } else {
                    unexpected(&input, "`}` or an operator")
                });
            }
            parts.push(Part::Expr(expr));
        } else {
            // A dollar takes the next character along, whatever it is: `$${x}` stays as it is.
            text.push('$');
            advance(&mut input, 1);
            text.extend(any::<_, Error>.parse_next(&mut input).ok());
        }
    }
    if !text.is_empty() {
        parts.push(Part::Text(text.into()));
    }
    Ok(Template { source: source.clone(), parts })
}

/// Parses a whole text as one expression.
pub(crate) fn query(source: &str, limits: &Limits) -> Parsed<Expr> {
    let mut input = LocatingSlice::new(source);
    let expr = expression(&mut input, Depth::top(limits))?;
    if input.is_empty() { Ok(expr) } else { Err(unexpected(&input, "an operator or the end")) }
}

/// The number that a text wholly is: a sign, then a number of the language or a name of infinity
/// or NaN.
pub(crate) fn number_text(text: &str) -> Option<f64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1.0, digits),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let named = ["inf", "infinity"].iter().any(|name| digits.eq_ignore_ascii_case(name));
    if named {
        return Some(sign * f64::INFINITY);
    }
    if digits.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let mut input = LocatingSlice::new(digits);
    let number = number(&mut input).ok()?;
    input.is_empty().then_some(sign * number)
}

fn expression(input: &mut Input<'_>, depth: Depth) -> Parsed<Expr> {
    depth.check()?;
    crate::stack::grow(|| {
        let left = binary(input, 0, depth)?;
        space(input)?;
        if eat(input, "|>") {
            let right = expression(input, depth.deeper())?;
            return Ok(Expr::Pipe(Box::new(left), Box::new(right)));
        }
        Ok(left)
    })
}

fn infix(input: &Input<'_>) -> Option<(&'static str, Infix, u16)> {
    // Most often there is none: one look at the next character says so.
    if !peek(input).is_some_and(|c| "*<>=!&|/%+-^".contains(c)) || input.starts_with("|>") {
        return None;
    }
    INFIX.iter().copied().find(|(symbol, _, _)| input.starts_with(symbol))
}

/// Infix operators of at least this precedence; all are left-associative.
fn binary(input: &mut Input<'_>, minimum: u16, depth: Depth) -> Parsed<Expr> {
    let mut left = unary(input, depth)?;
    for _ in 0..MAX_CHAIN {
        space(input)?;
        let Some((symbol, operator, precedence)) = infix(input).filter(|op| op.2 >= minimum) else {
            return Ok(left);
        };
        advance(input, symbol.len());
        let right = binary(input, precedence + 1, depth)?;
        left = fold_infix(operator, left, right)?;
    }
    Err(Cause::Limit { what: "operators in a row", limit: MAX_CHAIN }.into())
}

/// Operators on literals are computed here, errors included.
fn fold_infix(operator: Infix, left: Expr, right: Expr) -> Parsed<Expr> {
    match (&left, &right) {
        (Expr::Literal(l), Expr::Literal(r)) => operator.apply(l, r).map(Expr::Literal),
        _ => Ok(Expr::Infix(operator, Box::new(left), Box::new(right))),
    }
}

fn unary(input: &mut Input<'_>, depth: Depth) -> Parsed<Expr> {
    depth.check()?;
    space(input)?;
    let operator = match peek(input) {
        Some('-') => Prefix::Negate,
        Some('!') => Prefix::Not,
        Some('~') => Prefix::Complement,
        _ => return primary(input, depth),
    };
    advance(input, 1);
    let operand = crate::stack::grow(|| unary(input, depth.deeper()))?;
    match &operand {
        Expr::Literal(value) => operator.apply(value).map(Expr::Literal),
        _ => Ok(Expr::Prefix(operator, Box::new(operand))),
    }
}

fn primary(input: &mut Input<'_>, depth: Depth) -> Parsed<Expr> {
    match peek(input) {
        Some('(') => {
            let start = input.current_token_start();
            advance(input, 1);
            let inner = expression(input, depth.deeper())?;
            space(input)?;
            if eat(input, ")") {
                Ok(inner)
            } else if input.is_empty() {
                Err(Error::syntax("the `(` is not closed by `)`", start))
            } else {
                Err(unexpected(input, "`)` or an operator"))
            }
        }
        Some('[') => list(input, depth),
        Some('{') => object(input, depth),
        Some('\'' | '"' | '`') => string(input).map(Expr::Literal),
        Some('$') => {
            advance(input, 1);
            path(input, Start::Root, depth)
        }
        Some(c) if c.is_ascii_digit() || c == '.' => {
            number(input).map(|number| Expr::Literal(Value::from(number)))
        }
        Some(c) if starts_name(c) => name_or_call(input, depth),
        _ => Err(unexpected(input, "a value")),
    }
}

fn name_or_call(input: &mut Input<'_>, depth: Depth) -> Parsed<Expr> {
    let name = identifier(input)?;
    let constant = match name {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        "null" => Some(Value::Null),
        _ => None,
    };
    if let Some(constant) = constant {
        return Ok(Expr::Literal(constant));
    }
    let before = input.checkpoint();
    space(input)?;
    if eat(input, "(") {
        let arguments = arguments(input, depth)?;
        return Ok(Expr::Call { function: name.into(), arguments });
    }
    input.reset(&before);
    path(input, Start::Name(name.into()), depth)
}

fn path(input: &mut Input<'_>, root: Start, depth: Depth) -> Parsed<Expr> {
    let mut keys = Vec::new();
    loop {
        let before = input.checkpoint();
        space(input)?;
        if eat(input, "[") {
            keys.push(expression(input, depth.deeper())?);
            space(input)?;
            if !eat(input, "]") {
                return Err(unexpected(input, "`]` or an operator"));
            }
        } else if eat(input, ".") {
            space(input)?;
            keys.push(match peek(input) {
                Some(c) if starts_name(c) => Expr::Literal(Value::from(identifier(input)?)),
                Some(c) if c.is_ascii_digit() => {
                    let digits = span(input, |c| c.is_ascii_digit())?;
                    let index: f64 = digits.parse().map_err(|_| unexpected(input, "an index"))?;
                    Expr::Literal(Value::from(index))
                }
                _ => unary(input, depth.deeper())?,
            });
        } else {
            input.reset(&before);
            return Ok(Expr::path(root, keys));
        }
    }
}

/// The arguments of a call, after its opening parenthesis.
fn arguments(input: &mut Input<'_>, depth: Depth) -> Parsed<Arguments<Expr>> {
    space(input)?;
    if eat(input, ")") {
        return Ok(Arguments::Positional(Vec::new()));
    }
    let mut keyword = Vec::new();
    let mut positional = Vec::new();
    loop {
        space(input)?;
        match keyword_name(input)? {
            Some(name) if positional.is_empty() => {
                keyword.retain(|(known, _): &(Arc<str>, Expr)| known.as_ref() != name);
                keyword.push((Arc::from(name), expression(input, depth.deeper())?));
            }
            None if keyword.is_empty() => positional.push(expression(input, depth.deeper())?),
            _ => {
                let problem = "positional and keyword arguments do not mix";
                return Err(Error::syntax(problem, input.current_token_start()));
            }
        }
        space(input)?;
        if eat(input, ")") {
            break;
        }
        if !eat(input, ",") {
            return Err(unexpected(input, "`,` or `)`"));
        }
    }
    Ok(if keyword.is_empty() {
        Arguments::Positional(positional)
    } else {
        Arguments::Keyword(keyword)
    })
}

/// The name of a keyword argument and its colon, if that is what comes next.
fn keyword_name<'s>(input: &mut Input<'s>) -> Parsed<Option<&'s str>> {
    let before = input.checkpoint();
    if peek(input).is_some_and(starts_name) {
        let name = identifier(input)?;
        space(input)?;
        if eat(input, ":") {
            return Ok(Some(name));
        }
    }
    input.reset(&before);
    Ok(None)
}

fn list(input: &mut Input<'_>, depth: Depth) -> Parsed<Expr> {
    let start = input.current_token_start();
    advance(input, 1);
    let mut items = Vec::new();
    loop {
        space(input)?;
        if eat(input, "]") {
            return Ok(Expr::List(items));
        }
        if input.is_empty() {
            return Err(Error::syntax("the `[` is not closed by `]`", start));
        }
        if !eat(input, ",") {
            items.push(expression(input, depth.deeper())?);
        }
    }
}

fn object(input: &mut Input<'_>, depth: Depth) -> Parsed<Expr> {
    let start = input.current_token_start();
    advance(input, 1);
    let mut members = Vec::new();
    loop {
        space(input)?;
        if eat(input, "}") {
            return Ok(Expr::Object(members));
        }
        if input.is_empty() {
            return Err(Error::syntax("the `{` is not closed by `}`", start));
        }
        if eat(input, ",") {
            continue;
        }
        let key = expression(input, depth.deeper())?;
        space(input)?;
        if !eat(input, ":") {
            return Err(unexpected(input, "`:`"));
        }
        members.push((key, expression(input, depth.deeper())?));
    }
}
