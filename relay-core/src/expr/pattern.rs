//! Regular expressions as `=~` knows them: the syntax of RE2, in which `\d`, `\w`, `\s` and `\b`
//! are about ASCII and a class holds no other class, in terms of the `regex` crate.

use std::iter::Peekable;
use std::str::Chars;

use regex::bytes::{Regex, RegexBuilder};

use super::error::Cause;

/// How large a compiled pattern may be, in bytes: searching takes as long as that times the text.
const SIZE: usize = 1 << 20;

/// How often a repetition may ask for.
const MOST_REPEATED: u32 = 1000;

pub(super) fn compile(pattern: &str) -> Result<Regex, Cause> {
    let mut translator =
        Translator { rest: pattern.chars().peekable(), out: String::new(), last: Last::Item };
    translator.pattern().ok_or(Cause::BadRegex)?;
    RegexBuilder::new(&translator.out).size_limit(SIZE).build().map_err(|_| Cause::BadRegex)
}

/// What came last: a repetition cannot be repeated, but be made lazy once.
#[derive(Clone, Copy, PartialEq)]
enum Last {
    Item,
    Repetition,
    Lazy,
}

struct Translator<'p> {
    rest: Peekable<Chars<'p>>,
    out: String,
    last: Last,
}

impl Translator<'_> {
    fn pattern(&mut self) -> Option<()> {
        while let Some(c) = self.rest.next() {
            let mut last = Last::Item;
            match c {
                '\\' => self.escape(false)?,
                '[' => self.class()?,
                '?' if self.last == Last::Repetition => {
                    self.out.push('?');
                    last = Last::Lazy;
                }
                '*' | '+' | '?' => {
                    self.out.push(c);
                    last = self.repetition()?;
                }
                '{' => match self.counted()? {
                    Some(counted) => {
                        self.out.push_str(&counted);
                        last = self.repetition()?;
                    }
                    None => self.out.push_str("\\{"),
                },
                '(' => self.group()?,
                c => self.out.push(c),
            }
            self.last = last;
        }
        Some(())
    }

    fn repetition(&self) -> Option<Last> {
        (self.last == Last::Item).then_some(Last::Repetition)
    }

    /// `{2}`, `{2,}` or `{2,3}` after the brace; anything else is a literal brace.
    fn counted(&mut self) -> Option<Option<String>> {
        let mut ahead = self.rest.clone();
        let inner: String = ahead.by_ref().take_while(|c| *c != '}').collect();
        let (low, high) = inner.split_once(',').unwrap_or((&inner, ""));
        let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
        let closed = self.rest.clone().nth(inner.chars().count()) == Some('}');
        if !closed || low.is_empty() || !digits(low) || !digits(high) {
            return Some(None);
        }
        let few =
            |text: &str| text.is_empty() || text.parse().is_ok_and(|n: u32| n <= MOST_REPEATED);
        if !few(low) || !few(high) {
            return None;
        }
        self.rest = ahead;
        Some(Some(format!("{{{inner}}}")))
    }

    /// After `(`: flags that RE2 does not know are errors.
    fn group(&mut self) -> Option<()> {
        self.out.push('(');
        let mut ahead = self.rest.clone();
        if ahead.next() == Some('?') && !matches!(ahead.peek(), Some('P' | '<')) {
            let flags: String = ahead.take_while(|c| !matches!(c, ':' | ')')).collect();
            if !flags.chars().all(|c| "imsU-".contains(c)) {
                return None;
            }
            // The question mark is no repetition.
            self.rest.next();
            self.out.push('?');
        } else if self.rest.peek() == Some(&'?') {
            self.rest.next();
            self.out.push('?');
        }
        Some(())
    }

    fn escape(&mut self, in_class: bool) -> Option<()> {
        let c = self.rest.next()?;
        match c {
            'd' | 'D' | 's' | 'S' | 'w' | 'W' => {
                let set = match c.to_ascii_lowercase() {
                    'd' => "0-9",
                    's' => r"\t\n\x0C\r ",
                    _ => "0-9A-Za-z_",
                };
                let not = if c.is_ascii_uppercase() { "^" } else { "" };
                self.out.push_str(&format!("[{not}{set}]"));
            }
            'b' | 'B' if !in_class => self.out.push_str(&format!(r"(?-u:\{c})")),
            'A' | 'z' if !in_class => self.out.extend(['\\', c]),
            'Q' if !in_class => self.quoted(),
            'a' | 'f' | 't' | 'n' | 'r' | 'v' | 'x' | 'p' | 'P' => {
                self.out.extend(['\\', c]);
                // What follows in braces is part of it.
                if matches!(c, 'x' | 'p' | 'P') && self.rest.peek() == Some(&'{') {
                    for c in self.rest.by_ref() {
                        self.out.push(c);
                        if c == '}' {
                            break;
                        }
                    }
                }
            }
            '0'..='7' => {
                let mut code = c.to_digit(8)?;
                let mut digits = 1;
                while digits < 3
                    && let Some(digit) = self.rest.peek().and_then(|c| c.to_digit(8))
                {
                    code = code * 8 + digit;
                    digits += 1;
                    self.rest.next();
                }
                // One digit alone would refer back, which RE2 cannot.
                if digits == 1 && c != '0' {
                    return None;
                }
                self.out.push_str(&format!("\\x{{{code:x}}}"));
            }
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => {
                self.out.push_str(&regex::escape(&c.to_string()));
            }
            _ => return None,
        }
        Some(())
    }

    /// After `\Q`: literal up to `\E`.
    fn quoted(&mut self) {
        while let Some(c) = self.rest.next() {
            if c == '\\' && self.rest.peek() == Some(&'E') {
                self.rest.next();
                return;
            }
            self.out.push_str(&regex::escape(&c.to_string()));
        }
    }

    fn class(&mut self) -> Option<()> {
        self.out.push('[');
        if self.rest.peek() == Some(&'^') {
            self.rest.next();
            self.out.push('^');
        }
        let mut first = true;
        loop {
            match self.rest.next()? {
                ']' if !first => break,
                '\\' => self.escape(true)?,
                '[' if self.rest.peek() == Some(&':') => {
                    self.out.push('[');
                    for c in self.rest.by_ref() {
                        self.out.push(c);
                        if c == ']' {
                            break;
                        }
                    }
                }
                c @ ('[' | ']' | '&' | '~') => self.out.extend(['\\', c]),
                c => self.out.push(c),
            }
            first = false;
        }
        self.out.push(']');
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_syntax_of_re2() {
        for (pattern, text, expected) in [
            ("^a.c$", "abc", Some(true)),
            (r"\d", "٣", Some(false)),
            (r"[\d_]+$", "1_2", Some(true)),
            (r"[^\D]", "x", Some(false)),
            (r"\bé", "é", Some(false)),
            ("[[a]", "[", Some(true)),
            ("[]a]", "]", Some(true)),
            ("[a&&b]", "&", Some(true)),
            ("[[:alpha:]]", "x", Some(true)),
            ("a{", "a{", Some(true)),
            ("^a{2,3}$", "aaa", Some(true)),
            ("a{,2}", "a{,2}", Some(true)),
            ("a{1001}", "", None),
            (r"^\x41\102$", "AB", Some(true)),
            (r"\1", "", None),
            (r"\_\-\<", "_-<", Some(true)),
            (r"\Qa.b\E+", "a.bb", Some(true)),
            (r"\pL\p{Greek}", "aα", Some(true)),
            ("(?i)ABC", "abc", Some(true)),
            ("(?P<name>x)(?:y)", "xy", Some(true)),
            ("(?x) a", "a", None),
            ("(?=a)", "a", None),
            ("a**", "a", None),
            ("a*?b+?", "ab", Some(true)),
            ("(", "", None),
            (r"\", "", None),
        ] {
            let found = compile(pattern).ok().map(|regex| regex.is_match(text.as_bytes()));
            assert_eq!(found, expected, "{pattern} in {text}");
        }
    }
}
