//! Operators and the conversions of their operands (`expressions.md` §7.4 and §7.5).

use super::error::{Cause, Error};
use super::{parse, pattern as patterns};
use crate::value::{Number, Value};

/// A prefix operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prefix {
    Negate,
    Not,
    Complement,
}

/// An infix operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Infix {
    Power,
    Multiply,
    Divide,
    Remainder,
    Add,
    Subtract,
    ShiftLeft,
    ShiftRight,
    BitAnd,
    BitOr,
    BitXor,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Match,
    NotMatch,
    And,
    Or,
}

/// Operators as they are written, longest first, with their precedence.
pub(crate) const INFIX: &[(&str, Infix, u16)] = &[
    ("**", Infix::Power, 200),
    ("<<", Infix::ShiftLeft, 90),
    (">>", Infix::ShiftRight, 90),
    ("==", Infix::Equal, 40),
    ("!=", Infix::NotEqual, 40),
    ("<=", Infix::LessEqual, 40),
    (">=", Infix::GreaterEqual, 40),
    ("=~", Infix::Match, 40),
    ("!~", Infix::NotMatch, 40),
    ("&&", Infix::And, 21),
    ("||", Infix::Or, 20),
    ("*", Infix::Multiply, 150),
    ("/", Infix::Divide, 150),
    ("%", Infix::Remainder, 150),
    ("+", Infix::Add, 120),
    ("-", Infix::Subtract, 120),
    ("&", Infix::BitAnd, 60),
    ("|", Infix::BitOr, 60),
    ("^", Infix::BitXor, 60),
    ("<", Infix::Less, 40),
    (">", Infix::Greater, 40),
];

/// number(x): numbers, and strings that are wholly a number.
pub(crate) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => Some(number.as_f64()),
        Value::Text(text) => parse::number_text(text),
        _ => None,
    }
}

/// bool(x): what converts to a boolean; most strings do not.
pub(crate) fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::Null => Some(false),
        Value::Text(text) => match text.as_ref() {
            "true" | "TRUE" => Some(true),
            "false" | "FALSE" => Some(false),
            _ => number(value).map(|number| number != 0.0),
        },
        _ => number(value).map(|number| number != 0.0),
    }
}

/// text(x): everything but null.
fn text(value: &Value) -> Option<Vec<u8>> {
    (!value.is_null()).then(|| value.to_operand_text())
}

fn both<T>(left: &Value, right: &Value, convert: fn(&Value) -> Option<T>) -> Option<(T, T)> {
    Some((convert(left)?, convert(right)?))
}

#[expect(clippy::cast_possible_truncation, reason = "operands are cut to 64 bits by rule")]
fn integers(left: &Value, right: &Value) -> Option<(i64, i64)> {
    both(left, right, number).map(|(left, right)| (left as i64, right as i64))
}

#[expect(clippy::cast_precision_loss, reason = "results are doubles by rule")]
fn from_integer(value: i64) -> Value {
    Value::from(value as f64)
}

impl Prefix {
    pub(crate) fn apply(self, operand: &Value) -> Result<Value, Error> {
        let result = match self {
            Self::Negate => number(operand).map(|number| Value::from(-number)),
            Self::Not => truth(operand).map(|truth| Value::Bool(!truth)),
            Self::Complement => integers(operand, operand).map(|(value, _)| from_integer(!value)),
        };
        result.ok_or_else(|| {
            let operator = self.symbol();
            Cause::Operand { operator, left: operand.kind(), right: None }.into()
        })
    }
}

impl Infix {
    pub(super) fn symbol(self) -> &'static str {
        INFIX.iter().find(|(_, infix, _)| *infix == self).map_or("?", |(symbol, _, _)| symbol)
    }

    /// The result that the left operand alone decides, for `&&` and `||`.
    pub(crate) fn short_circuit(self, left: &Value) -> Option<Value> {
        match (self, truth(left)) {
            (Self::And, Some(false)) => Some(Value::Bool(false)),
            (Self::Or, Some(true)) => Some(Value::Bool(true)),
            _ => None,
        }
    }

    pub(crate) fn apply(self, left: &Value, right: &Value) -> Result<Value, Error> {
        let computed = |compute: fn(f64, f64) -> f64| {
            both(left, right, number).map(|(l, r)| Value::from(compute(l, r)))
        };
        let bits = |compute: fn(i64, i64) -> i64| {
            integers(left, right).map(|(l, r)| from_integer(compute(l, r)))
        };
        let result = match self {
            Self::Power => computed(f64::powf),
            Self::Multiply => computed(|l, r| l * r),
            Self::Divide => computed(|l, r| l / r),
            Self::Remainder => computed(|l, r| l % r),
            Self::Subtract => computed(|l, r| l - r),
            Self::Add => add(left, right),
            Self::ShiftLeft => bits(|l, r| {
                u32::try_from(r).ok().and_then(|count| l.checked_shl(count)).unwrap_or(0)
            }),
            Self::ShiftRight => bits(|l, r| {
                u32::try_from(r).ok().and_then(|count| l.checked_shr(count)).unwrap_or(l >> 63)
            }),
            Self::BitAnd => bits(|l, r| l & r),
            Self::BitOr => bits(|l, r| l | r),
            Self::BitXor => bits(|l, r| l ^ r),
            Self::Equal => Some(Value::Bool(equal(left, right))),
            Self::NotEqual => Some(Value::Bool(!equal(left, right))),
            Self::Less | Self::LessEqual | Self::Greater | Self::GreaterEqual => {
                self.compare(left, right).map(Value::Bool)
            }
            Self::Match => return matches(self.symbol(), left, right).map(Value::Bool),
            Self::NotMatch => {
                return matches(self.symbol(), left, right).map(|found| Value::Bool(!found));
            }
            Self::And => both(left, right, truth).map(|(l, r)| Value::Bool(l && r)),
            Self::Or => both(left, right, truth).map(|(l, r)| Value::Bool(l || r)),
        };
        result.ok_or_else(|| operand(self.symbol(), left, right))
    }

    fn compare(self, left: &Value, right: &Value) -> Option<bool> {
        let ordering = match (left, right) {
            (Value::Text(_) | Value::Bytes(_), Value::Text(_) | Value::Bytes(_)) => {
                left.as_bytes().partial_cmp(&right.as_bytes())
            }
            _ => match both(left, right, number) {
                Some((l, r)) => l.partial_cmp(&r),
                None => {
                    let (l, r) = both(left, right, text)?;
                    l.partial_cmp(&r)
                }
            },
        };
        // NaN compares with nothing, which is an answer and no error.
        Some(ordering.is_some_and(|ordering| match self {
            Self::Less => ordering.is_lt(),
            Self::LessEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            _ => ordering.is_ge(),
        }))
    }
}

fn operand(operator: &'static str, left: &Value, right: &Value) -> Error {
    Cause::Operand { operator, left: left.kind(), right: Some(right.kind()) }.into()
}

fn add(left: &Value, right: &Value) -> Option<Value> {
    if let (Some(l), Some(r)) = (left.as_bytes(), right.as_bytes()) {
        return Some(Value::from_bytes(&[l, r].concat()));
    }
    if let Some((l, r)) = both(left, right, number) {
        return Some(Value::from(l + r));
    }
    let (l, r) = both(left, right, text)?;
    Some(Value::from_bytes(&[l, r].concat()))
}

fn equal(left: &Value, right: &Value) -> bool {
    if let (Value::Number(l), Value::Number(r)) = (left, right) {
        return l == r;
    }
    if let (Value::Bool(l), Value::Bool(r)) = (left, right) {
        return l == r;
    }
    if let Some((l, r)) = both(left, right, number) {
        return Number::Float(l) == Number::Float(r);
    }
    if let Some((l, r)) = both(left, right, truth) {
        return l == r;
    }
    left == right
}

fn matches(operator: &'static str, left: &Value, right: &Value) -> Result<bool, Error> {
    let (haystack, pattern) =
        both(left, right, text).ok_or_else(|| operand(operator, left, right))?;
    let pattern = String::from_utf8(pattern).map_err(|_| Cause::BadRegex)?;
    Ok(patterns::compile(&pattern)?.is_match(&haystack))
}
