//! Colours, where there are any, and text that may be shown on one line of a terminal.

use std::borrow::Cow;
use std::fmt::Display;

use console::{AnsiCodeIterator, Style};

/// Colours text, or leaves it as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint {
    pub(crate) colours: bool,
}

impl Paint {
    pub(crate) fn good(self, text: impl Display) -> String {
        self.apply(Style::new().green(), text)
    }

    pub(crate) fn bad(self, text: impl Display) -> String {
        self.apply(Style::new().red().bold(), text)
    }

    pub(crate) fn attention(self, text: impl Display) -> String {
        self.apply(Style::new().yellow().bold(), text)
    }

    pub(crate) fn active(self, text: impl Display) -> String {
        self.apply(Style::new().cyan(), text)
    }

    pub(crate) fn dim(self, text: impl Display) -> String {
        self.apply(Style::new().dim(), text)
    }

    /// A colour of its own for each of a few things that are told apart by their number.
    pub(crate) fn numbered(self, number: usize, text: impl Display) -> String {
        let style = match number % 5 {
            0 => Style::new().cyan(),
            1 => Style::new().magenta(),
            2 => Style::new().blue(),
            3 => Style::new().yellow(),
            _ => Style::new().green(),
        };
        self.apply(style, text)
    }

    fn apply(self, style: Style, text: impl Display) -> String {
        style.force_styling(self.colours).apply_to(text).to_string()
    }
}

/// A text from elsewhere as part of a line of ours: without line breaks and control characters.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        Cow::Owned(text.replace(char::is_control, " "))
    } else {
        Cow::Borrowed(text)
    }
}

/// A line of a program's log as a terminal may show it: with its colours, but without what would
/// move the cursor, clear the screen or speak to the terminal. Of a line that overwrote itself the
/// last state is left.
pub(crate) fn log_text(text: &str) -> Cow<'_, str> {
    if !text.contains(|c: char| c.is_control() && c != '\t') {
        return Cow::Borrowed(text);
    }
    let last = text.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default();
    let mut shown = String::with_capacity(last.len());
    let mut coloured = false;
    for (piece, is_code) in AnsiCodeIterator::new(last) {
        if !is_code {
            shown.extend(piece.chars().filter(|c| *c == '\t' || !c.is_control()));
        } else if is_colour(piece) {
            shown.push_str(piece);
            coloured = true;
        }
    }
    if coloured {
        shown.push_str("\u{1b}[0m");
    }
    Cow::Owned(shown)
}

fn is_colour(code: &str) -> bool {
    let numbers = code.strip_prefix("\u{1b}[").and_then(|rest| rest.strip_suffix('m'));
    numbers.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || ";:".contains(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_there_or_not() {
        let (with, without) = (Paint { colours: true }, Paint { colours: false });
        assert_eq!(with.good("x"), "\u{1b}[32mx\u{1b}[0m");
        assert_eq!(without.good("x"), "x");
        assert_ne!(with.numbered(0, "x"), with.numbered(1, "x"));
        assert_eq!(with.numbered(0, "x"), with.numbered(5, "x"));
    }

    #[test]
    fn a_log_cannot_disturb_the_terminal() {
        for (name, text, expected) in [
            ("plain", "a\tb ä", "a\tb ä"),
            ("colours stay and end", "\u{1b}[1;31mred", "\u{1b}[1;31mred\u{1b}[0m"),
            ("the cursor does not move", "a\u{1b}[2Ab\u{1b}[2Jc", "abc"),
            ("the title does not change", "a\u{1b}]0;title\u{7}b", "ab"),
            ("a bell", "a\u{7}b", "ab"),
            ("a line that overwrites itself", "10%\r50%\r100%", "100%"),
            ("a return at its end", "10%\r100%\r", "100%"),
            ("private modes", "\u{1b}[?25lx", "x"),
            ("C1 controls", "a\u{9b}2Jb", "ab"),
        ] {
            assert_eq!(log_text(text), expected, "{name}");
        }
        assert_eq!(one_line("a\nb\u{1b}[2J"), "a b [2J");
    }
}
