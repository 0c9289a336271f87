//! What plain scalars mean: the mix of YAML 1.1 and 1.2 that workflow files rely on
//! (`expressions.md` §4). `yes` and `on` are strings, `017` is octal.

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::{Offset, TimeZone};

use crate::value::{Number, Value};

/// The value of a scalar that is neither quoted nor tagged.
#[must_use]
pub fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Value::from(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Value::from(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Value::from(f64::NEG_INFINITY),
        _ if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) => {
            Value::from(text)
        }
        _ => number(text)
            .map(Value::Number)
            .or_else(|| timestamp(text).map(Value::Time))
            .unwrap_or_else(|| Value::from(text)),
    }
}

/// The value of a scalar with a tag of the core schema; `None` when the text does not fit it.
pub(super) fn coerce(tag: &str, text: &str) -> Option<Value> {
    match tag {
        "str" => Some(Value::from(text)),
        "null" => matches!(resolve(text), Value::Null).then_some(Value::Null),
        "bool" => Some(resolve(text)).filter(|value| value.as_bool().is_some()),
        "int" => Some(resolve(text))
            .filter(|value| matches!(value, Value::Number(Number::Int(_) | Number::Unsigned(_)))),
        "float" => match resolve(text) {
            Value::Number(number) => Some(Value::from(number.as_f64())),
            _ => None,
        },
        "timestamp" => timestamp(text).map(Value::Time),
        _ => Some(resolve(text)),
    }
}

fn number(text: &str) -> Option<Number> {
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    integer(&digits).or_else(|| float(&digits))
}

fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = if let Some(digits) = lower.strip_prefix("0x") {
        (16, digits)
    } else if let Some(digits) = lower.strip_prefix("0o") {
        (8, digits)
    } else if let Some(digits) = lower.strip_prefix("0b") {
        (2, digits)
    } else if let Some(digits) = lower.strip_prefix('0').filter(|digits| !digits.is_empty()) {
        (8, digits)
    } else {
        (10, lower.as_str())
    };
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return 0i64.checked_sub_unsigned(magnitude).map(Number::Int);
    }
    Some(magnitude.into())
}

fn float(text: &str) -> Option<Number> {
    let digits = text.trim_start_matches(['+', '-']);
    let plain = text.len() - digits.len() <= 1
        && digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'))
        && digits.contains(|c: char| c.is_ascii_digit())
        && digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if !plain {
        return None;
    }
    text.parse::<f64>().ok().map(Number::Float)
}

/// `2031-2-3`, `2031-02-03T04:05:06.5Z` and `2031-02-03 04:05:06`, which is UTC.
fn timestamp(text: &str) -> Option<Timestamp> {
    let date_end = text.find(['T', 't', ' ']).unwrap_or(text.len());
    let (date, time) = text.split_at(date_end);
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let short = |part: &str| matches!(part.len(), 1 | 2);
    if year.len() != 4 || !short(month) || !short(day) || parts.next().is_some() {
        return None;
    }
    let date = Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()?;
    if time.is_empty() {
        return TimeZone::UTC.to_timestamp(date.to_datetime(Time::midnight())).ok();
    }
    let blank = time.starts_with(' ');
    let clock = time.get(1..)?;
    let (clock, offset) = if blank {
        (clock, Offset::UTC)
    } else if let Some(clock) = clock.strip_suffix('Z') {
        (clock, Offset::UTC)
    } else {
        let at = clock.rfind(['+', '-'])?;
        let (clock, zone) = clock.split_at(at);
        let (hours, minutes) = zone.get(1..)?.split_once(':')?;
        let seconds = hours.parse::<i32>().ok()? * 3600 + minutes.parse::<i32>().ok()? * 60;
        let sign = if zone.starts_with('-') { -1 } else { 1 };
        (clock, Offset::from_seconds(sign * seconds).ok()?)
    };
    let mut parts = clock.split(':');
    let (hour, minute, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let (second, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let nanoseconds = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    let time =
        Time::new(hour.parse().ok()?, minute.parse().ok()?, second.parse().ok()?, nanoseconds);
    offset.to_timestamp(date.to_datetime(time.ok()?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars() {
        for (text, json) in [
            ("yes", "\"yes\""),
            ("on", "\"on\""),
            ("True", "true"),
            ("~", "null"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("017", "15"),
            ("08", "8"),
            ("0b11", "3"),
            ("1_000", "1000"),
            ("-5", "-5"),
            ("18446744073709551615", "18446744073709551615"),
            ("18446744073709551616", "18446744073709552000"),
            ("1.5e3", "1500"),
            ("12:30", "\"12:30\""),
            ("1.4.0", "\"1.4.0\""),
            ("-", "\"-\""),
            ("2031-02-03", "\"2031-02-03T00:00:00Z\""),
            ("2031-02-03T04:05:06.5Z", "\"2031-02-03T04:05:06.5Z\""),
            ("2031-02-03T04:05:06+01:00", "\"2031-02-03T03:05:06Z\""),
            ("2031-02-30", "\"2031-02-30\""),
        ] {
            assert_eq!(resolve(text).to_json(), json, "{text}");
        }
    }
}
