//! Tokens (`expressions.md` §7.1): space and comments, names, numbers, strings.

use winnow::prelude::*;
use winnow::stream::Location as _;
use winnow::token::{any, take_until, take_while};

use super::{Input, Parsed};
use crate::expr::error::Error;
use crate::value::Value;

/// The characters up to the first that is not accepted.
pub(in crate::expr) fn span<'s>(
    input: &mut Input<'s>,
    accepts: impl Fn(char) -> bool,
) -> Parsed<&'s str> {
    take_while(0.., accepts).parse_next(input)
}

pub(in crate::expr) fn advance(input: &mut Input<'_>, bytes: usize) {
    input.next_slice(bytes);
}

pub(in crate::expr) fn eat(input: &mut Input<'_>, token: &str) -> bool {
    let found = input.starts_with(token);
    if found {
        advance(input, token.len());
    }
    found
}

pub(in crate::expr) fn peek(input: &Input<'_>) -> Option<char> {
    input.chars().next()
}

pub(in crate::expr) fn unexpected(input: &Input<'_>, expected: &str) -> Error {
    let offset = input.current_token_start();
    let problem = match peek(input) {
        Some(found) => format!("expected {expected}, found `{found}`"),
        None => format!("expected {expected}, but the text ends"),
    };
    Error::syntax(problem, offset)
}

/// White space and comments.
pub(in crate::expr) fn space(input: &mut Input<'_>) -> Parsed<()> {
    loop {
        span(input, |c| matches!(c, ' ' | '\t' | '\r' | '\n'))?;
        if input.starts_with("//") {
            span(input, |c| c != '\n')?;
        } else if input.starts_with("/*") {
            let start = input.current_token_start();
            (take_until::<_, _, Error>(0.., "*/"), "*/")
                .parse_next(input)
                .map_err(|_| Error::syntax("the comment is not closed by `*/`", start))?;
        } else {
            return Ok(());
        }
    }
}

pub(in crate::expr) fn starts_name(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

pub(in crate::expr) fn identifier<'s>(input: &mut Input<'s>) -> Parsed<&'s str> {
    let continues = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    take_while(1.., continues).parse_next(input)
}

/// Digits with single underscores between them, which are left out of the result.
fn digits(input: &mut Input<'_>, radix: u32, out: &mut String) -> Parsed<()> {
    let start = input.current_token_start();
    let text = span(input, |c| c.is_digit(radix) || c == '_')?;
    if text.starts_with('_') || text.ends_with('_') || text.contains("__") {
        return Err(Error::syntax("an underscore has to stand between two digits", start));
    }
    out.extend(text.chars().filter(|c| *c != '_'));
    Ok(())
}

pub(in crate::expr) fn number(input: &mut Input<'_>) -> Parsed<f64> {
    let start = input.current_token_start();
    if input.starts_with("0x") || input.starts_with("0X") {
        return hex_float(input);
    }
    let mut text = String::new();
    digits(input, 10, &mut text)?;
    if eat(input, ".") {
        text.push('.');
        digits(input, 10, &mut text)?;
    }
    if !text.contains(|c: char| c.is_ascii_digit()) {
        return Err(Error::syntax("expected a digit", start));
    }
    if peek(input).is_some_and(|c| matches!(c, 'e' | 'E')) {
        exponent(input, &mut text)?;
    }
    // `0b1` and `0o7` are no numbers here, and would not mean what they look like.
    if text == "0" && peek(input).is_some_and(|c| matches!(c, 'b' | 'B' | 'o' | 'O')) {
        return Err(Error::syntax("a number of this base needs an exponent such as `p0`", start));
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(Error::syntax("the number is out of range", start)),
    }
}

fn exponent(input: &mut Input<'_>, text: &mut String) -> Parsed<()> {
    let start = input.current_token_start();
    advance(input, 1);
    text.push('e');
    if eat(input, "-") {
        text.push('-');
    } else {
        eat(input, "+");
    }
    let before = text.len();
    digits(input, 10, text)?;
    if text.len() == before {
        return Err(Error::syntax("the exponent has no digits", start));
    }
    Ok(())
}

/// A hexadecimal number, which needs a binary exponent: `0x1.8p3` is 12.
fn hex_float(input: &mut Input<'_>) -> Parsed<f64> {
    let start = input.current_token_start();
    advance(input, 2);
    let (mut whole, mut fraction, mut exponent_text) =
        (String::new(), String::new(), String::new());
    digits(input, 16, &mut whole)?;
    if eat(input, ".") {
        digits(input, 16, &mut fraction)?;
    }
    let marked = eat(input, "p") || eat(input, "P");
    if !marked || (whole.is_empty() && fraction.is_empty()) {
        return Err(Error::syntax("a hexadecimal number needs an exponent such as `p0`", start));
    }
    if eat(input, "-") {
        exponent_text.push('-');
    } else {
        eat(input, "+");
    }
    digits(input, 10, &mut exponent_text)?;
    let exponent: i32 = exponent_text
        .parse()
        .map_err(|_| Error::syntax("the exponent is no number in range", start))?;
    let mantissa = whole.chars().chain(fraction.chars()).filter_map(|digit| digit.to_digit(16));
    let mantissa = mantissa.fold(0.0, |sum: f64, digit| sum.mul_add(16.0, f64::from(digit)));
    let places = i32::try_from(fraction.len()).unwrap_or(i32::MAX).saturating_mul(4);
    let number = mantissa * 2f64.powi(exponent.saturating_sub(places));
    if number.is_finite() {
        Ok(number)
    } else {
        Err(Error::syntax("the number is out of range", start))
    }
}

pub(in crate::expr) fn string(input: &mut Input<'_>) -> Parsed<Value> {
    let start = input.current_token_start();
    let quote = any::<_, Error>.parse_next(input)?;
    let open = || Error::syntax(format!("the string is not closed by `{quote}`"), start);
    if quote == '`' {
        let text = span(input, |c| c != '`')?;
        let value = Value::from(text.replace('\r', ""));
        return if eat(input, "`") { Ok(value) } else { Err(open()) };
    }
    let mut bytes = Vec::new();
    loop {
        let text = span(input, |c| c != quote && c != '\\' && c != '\n')?;
        bytes.extend_from_slice(text.as_bytes());
        if eat(input, "\\") {
            escape(input, quote, &mut bytes)?;
        } else if peek(input) == Some(quote) {
            advance(input, 1);
            return Ok(Value::from_bytes(&bytes));
        } else {
            return Err(open());
        }
    }
}

fn escape(input: &mut Input<'_>, quote: char, bytes: &mut Vec<u8>) -> Parsed<()> {
    let offset = input.current_token_start().saturating_sub(1);
    let bad = || Error::syntax("an unknown escape; a backslash itself is written `\\\\`", offset);
    let c = peek(input).ok_or_else(bad)?;
    let code = |input: &mut Input<'_>, count: usize, radix: u32| -> Parsed<u32> {
        let digits = input.get(..count).ok_or_else(bad)?;
        if !digits.chars().all(|c| c.is_digit(radix)) {
            return Err(bad());
        }
        let code = u32::from_str_radix(digits, radix).map_err(|_| bad())?;
        advance(input, count);
        Ok(code)
    };
    if c.is_digit(8) {
        bytes.push(u8::try_from(code(input, 3, 8)?).map_err(|_| bad())?);
        return Ok(());
    }
    advance(input, c.len_utf8());
    let simple = match c {
        'a' => b'\x07',
        'b' => b'\x08',
        'f' => b'\x0c',
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => b'\x0b',
        '\\' => b'\\',
        'x' => u8::try_from(code(input, 2, 16)?).map_err(|_| bad())?,
        'u' | 'U' => {
            let code = code(input, if c == 'u' { 4 } else { 8 }, 16)?;
            if code > 0x10_ffff {
                return Err(bad());
            }
            let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return Ok(());
        }
        '\'' if quote == '\'' => b'\'',
        '"' if quote == '"' => b'"',
        _ => return Err(bad()),
    };
    bytes.push(simple);
    Ok(())
}
