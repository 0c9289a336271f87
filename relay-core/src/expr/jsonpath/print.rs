//! JSONPaths as text that parses to the same JSONPath.

use std::fmt::{self, Display, Write as _};

use super::{JsonPath, Origin, Piece, Step};
use crate::expr::print::{PREFIX, is_name, literal, within};
use crate::value::Value;

impl Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::stack::grow(|| match self {
            Self::Literal(value) => literal(value, f),
            Self::List(items) => {
                f.write_char('[')?;
                items.iter().try_for_each(|item| write!(f, "{item},"))?;
                f.write_char(']')
            }
            Self::Object(members) => {
                f.write_char('{')?;
                members.iter().try_for_each(|(key, member)| write!(f, "{key}: {member},"))?;
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
            Self::Name(name) => f.write_str(name),
            Self::Path(origin, steps) => {
                f.write_char(match origin {
                    Origin::Document => '$',
                    Origin::Current => '@',
                })?;
                steps.iter().try_for_each(|step| write!(f, "{step}"))
            }
        })
    }
}

impl JsonPath {
    fn binding(&self) -> u16 {
        match self {
            Self::Infix(operator, ..) => operator.binding(),
            _ => PREFIX,
        }
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Child(JsonPath::Literal(Value::Text(name))) if is_name(name, |c| c == '/') => {
                write!(f, ".{name}")
            }
            Self::Child(key) => write!(f, "[{key}]"),
            Self::Each => f.write_str("[*]"),
            Self::Descend => f.write_str(".."),
            Self::Union(keys) => {
                f.write_char('[')?;
                for (index, key) in keys.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{key}")?;
                }
                f.write_char(']')
            }
            Self::Slice { start, end, step } => {
                let bound = |bound: &Option<JsonPath>| {
                    bound.as_ref().map(ToString::to_string).unwrap_or_default()
                };
                write!(f, "[{}:{}:{}]", bound(start), bound(end), bound(step))
            }
            Self::Filter(filter) => write!(f, "[?({filter})]"),
            Self::Script(script) => write!(f, "({script})"),
        }
    }
}

impl Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Value(value) => write!(f, "{{{value}}}"),
            Self::Range(items, body) => {
                write!(f, "{{range {items}}}")?;
                body.iter().try_for_each(|piece| write!(f, "{piece}"))?;
                f.write_str("{end}")
            }
        }
    }
}
