//! Numbers: integers of 64 bits, signed or not, and doubles.

use std::cmp::Ordering;
use std::fmt::Write as _;

/// A number. An integer keeps its kind until an operator converts it to a double.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// An integer that fits 64 bits with a sign.
    Int(i64),
    /// An integer beyond [`i64::MAX`]; smaller ones are always [`Number::Int`].
    Unsigned(u64),
    /// A double.
    Float(f64),
}

impl Number {
    /// The nearest double.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "rounding to the nearest double is the rule")]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Unsigned(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    /// The integer, if this is one that fits, a double such as `3.0` included.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "guarded by the range and fraction checks")]
    pub fn as_i64(self) -> Option<i64> {
        // 2^63 is the first double above the range.
        const LIMIT: f64 = 9_223_372_036_854_775_808.0;
        match self {
            Self::Int(value) => Some(value),
            Self::Unsigned(_) => None,
            Self::Float(value) => {
                (value.fract() == 0.0 && (-LIMIT..LIMIT).contains(&value)).then_some(value as i64)
            }
        }
    }

    /// Reads an integer or a double in JSON's spelling; `None` when it is out of the range of doubles.
    #[must_use]
    pub fn parse_json(text: &str) -> Option<Self> {
        if !text.contains(['.', 'e', 'E']) {
            if text == "-0" {
                return Some(Self::Float(-0.0));
            }
            if let Ok(value) = text.parse() {
                return Some(Self::Int(value));
            }
            if let Ok(value) = text.parse() {
                return Some(Self::Unsigned(value));
            }
        }
        text.parse::<f64>().ok().filter(|value| value.is_finite()).map(Self::Float)
    }

    /// Whether JSON can carry it: not infinite, and not NaN.
    #[must_use]
    pub fn is_finite(self) -> bool {
        match self {
            Self::Float(value) => value.is_finite(),
            Self::Int(_) | Self::Unsigned(_) => true,
        }
    }

    /// The JSON form (`expressions.md` §2.1): exponents below 1e-6 and from 1e21 on. `None` for
    /// infinities and NaN, which JSON cannot carry.
    #[must_use]
    pub fn to_json(self) -> Option<String> {
        match self {
            Self::Float(value) if !value.is_finite() => None,
            Self::Float(value) => Some(float_text(value, -6, 21, 1)),
            integer => Some(integer.to_plain()),
        }
    }

    /// The plain form: all digits, never an exponent.
    #[must_use]
    pub fn to_plain(self) -> String {
        match self {
            Self::Int(value) => value.to_string(),
            Self::Unsigned(value) => value.to_string(),
            Self::Float(value) => float_text(value, i32::MIN, i32::MAX, 1),
        }
    }

    /// The general form: exponents of two digits below 1e-4 and from 1e6 on, where the number is
    /// a double; integers print all their digits.
    #[must_use]
    pub fn to_general(self) -> String {
        match self {
            Self::Float(value) => float_text(value, -4, 6, 2),
            integer => integer.to_plain(),
        }
    }
}

/// By value: the integer 1 equals the double 1.0.
impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        match (*self, *other) {
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Unsigned(a), Self::Unsigned(b)) => a == b,
            (Self::Int(_), Self::Unsigned(_)) | (Self::Unsigned(_), Self::Int(_)) => false,
            (a, b) => a.as_f64() == b.as_f64(),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (*self, *other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(&b)),
            (Self::Unsigned(a), Self::Unsigned(b)) => Some(a.cmp(&b)),
            (a, b) => a.as_f64().partial_cmp(&b.as_f64()),
        }
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or(Self::Unsigned(value), Self::Int)
    }
}

/// Shortest digits that read back to the same double, with an exponent where that of the first
/// digit is below `low` or at least `high`.
fn float_text(value: f64, low: i32, high: i32, exponent_digits: usize) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value == 0.0 || (low..high).contains(&exponent) {
        return format!("{value}");
    }
    let mut text = digits.to_owned();
    let sign = if exponent < 0 { '-' } else { '+' };
    // Writing to a string does not fail.
    let _ = write!(text, "e{sign}{:0exponent_digits$}", exponent.unsigned_abs());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms_of_doubles() {
        for (value, json, plain, general) in [
            (1_000_000.0, "1000000", "1000000", "1e+06"),
            (123_456.5, "123456.5", "123456.5", "123456.5"),
            (1e21, "1e+21", "1000000000000000000000", "1e+21"),
            (0.000_01, "0.00001", "0.00001", "1e-05"),
            (1e-7, "1e-7", "0.0000001", "1e-07"),
            (1.0, "1", "1", "1"),
            (-0.0, "-0", "-0", "-0"),
            (1.5e300, "1.5e+300", &format!("{}", 1.5e300), "1.5e+300"),
        ] {
            let number = Number::Float(value);
            assert_eq!(number.to_json().as_deref(), Some(json));
            assert_eq!(number.to_plain(), plain);
            assert_eq!(number.to_general(), general);
        }
        assert_eq!(Number::Float(f64::INFINITY).to_plain(), "+Inf");
        assert_eq!(Number::Float(f64::NAN).to_json(), None);
    }

    #[test]
    fn integers_stay_exact() {
        for text in ["9007199254740993", "-9223372036854775808", "18446744073709551615"] {
            assert_eq!(Number::parse_json(text).map(Number::to_plain).as_deref(), Some(text));
        }
        assert!(matches!(Number::parse_json("18446744073709551616"), Some(Number::Float(_))));
        assert!(Number::parse_json("1e999").is_none());
    }
}
