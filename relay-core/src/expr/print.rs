//! Expressions as text that parses to the same expression.

use std::fmt::{self, Display, Write as _};

use super::operator::{Infix, Prefix};
use super::parse::token::starts_name;
use super::syntax::{Arguments, Expr, Part, Start, Template};
use crate::value::Value;

/// How strongly a part of an expression binds: what is weaker than its place needs parentheses.
pub(super) const WEAKEST: u16 = 0;
pub(super) const PREFIX: u16 = 300;

impl Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            // Text keeps its dollars as they were written.
            Part::Text(text) => f.write_str(text),
            Part::Expr(expr) => write!(f, "${{{expr}}}"),
        })
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::stack::grow(|| match self {
            Self::Literal(value) => literal(value, f),
            Self::List(items) => {
                f.write_char('[')?;
                separated(items, f)?;
                f.write_char(']')
            }
            Self::Object(members) => {
                f.write_char('{')?;
                for (index, (key, member)) in members.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{key}: {member}")?;
                }
                f.write_char('}')
            }
            Self::Prefix(operator, operand) => {
                f.write_str(operator.symbol())?;
                within(operand, operand.binding() >= PREFIX, f)
            }
            Self::Infix(operator, left, right) => {
                let binding = operator.binding();
                within(left, left.binding() >= binding, f)?;
                write!(f, " {} ", operator.symbol())?;
                within(right, right.binding() > binding, f)
            }
            Self::Call { function, arguments } => {
                write!(f, "{function}(")?;
                match arguments {
                    Arguments::Positional(items) => separated(items, f)?,
                    Arguments::Keyword(items) => {
                        for (index, (name, item)) in items.iter().enumerate() {
                            let comma = if index > 0 { ", " } else { "" };
                            write!(f, "{comma}{name}: {item}")?;
                        }
                    }
                }
                f.write_char(')')
            }
            Self::Path { root, keys, .. } => {
                match root {
                    Start::Root => f.write_char('$')?,
                    Start::Name(name) => f.write_str(name)?,
                }
                keys.iter().try_for_each(|key| match key {
                    Self::Literal(Value::Text(name)) if is_name(name, |_| false) => {
                        write!(f, ".{name}")
                    }
                    key => write!(f, "[{key}]"),
                })
            }
            Self::Pipe(left, right) => {
                within(left, !matches!(**left, Self::Pipe(..)), f)?;
                write!(f, " |> {right}")
            }
        })
    }
}

impl Expr {
    fn binding(&self) -> u16 {
        match self {
            Self::Pipe(..) => WEAKEST,
            Self::Infix(operator, ..) => operator.binding(),
            _ => PREFIX,
        }
    }
}

fn separated<T: Display>(items: &[T], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    items.iter().enumerate().try_for_each(|(index, item)| {
        let comma = if index > 0 { ", " } else { "" };
        write!(f, "{comma}{item}")
    })
}

/// Writes an operand, with parentheses unless it binds strongly enough.
pub(super) fn within<T: Display>(
    operand: &T,
    binds: bool,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    if binds { write!(f, "{operand}") } else { write!(f, "({operand})") }
}

/// Whether a key can be written without quotes.
pub(super) fn is_name(text: &str, more: fn(char) -> bool) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(starts_name)
        && chars.all(|c| c.is_alphanumeric() || matches!(c, '_' | '-') || more(c))
}

pub(super) fn literal(value: &Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match value {
        Value::Null => f.write_str("null"),
        Value::Bool(value) => write!(f, "{value}"),
        Value::Number(number) => {
            let value = number.as_f64();
            // No number is written like these, but text is that becomes them.
            if value.is_nan() {
                f.write_str("-'nan'")
            } else if value.is_infinite() {
                f.write_str(if value > 0.0 { "-'-inf'" } else { "-'inf'" })
            } else {
                f.write_str(&number.to_plain())
            }
        }
        Value::Text(text) => {
            f.write_char('\'')?;
            for c in text.chars() {
                match c {
                    '\'' | '\\' => write!(f, "\\{c}")?,
                    c if c.is_ascii_control() => write!(f, "\\x{:02x}", u32::from(c))?,
                    c => f.write_char(c)?,
                }
            }
            f.write_char('\'')
        }
        Value::Bytes(bytes) => {
            f.write_char('\'')?;
            for byte in bytes.iter() {
                write!(f, "\\x{byte:02x}")?;
            }
            f.write_char('\'')
        }
        Value::Time(time) => write!(f, "'{time}'"),
        Value::List(items) => {
            f.write_char('[')?;
            for item in items.iter() {
                literal(item, f)?;
                f.write_char(',')?;
            }
            f.write_char(']')
        }
        Value::Map(map) => {
            f.write_char('{')?;
            for (key, member) in map.iter() {
                literal(&Value::Text(key.clone()), f)?;
                f.write_char(':')?;
                literal(member, f)?;
                f.write_char(',')?;
            }
            f.write_char('}')
        }
    }
}

impl Prefix {
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Negate => "-",
            Self::Not => "!",
            Self::Complement => "~",
        }
    }
}

impl Infix {
    pub(super) fn binding(self) -> u16 {
        super::operator::INFIX
            .iter()
            .find(|(_, infix, _)| *infix == self)
            .map_or(WEAKEST, |(_, _, precedence)| *precedence)
    }
}
