//! Where an error sits.

use relay_core::expr::{Cause, Error, Frame};
use relay_core::yaml::{Location, Node};

use super::Input;

/// An error, and where it sits.
pub(super) struct Place {
    pub(super) kind: &'static str,
    pub(super) message: String,
    pub(super) path: Vec<String>,
    /// In a file.
    pub(super) location: Option<(String, Location)>,
    /// In a line of text: the line, and the column from 0.
    pub(super) line: Option<(String, usize)>,
}

impl Place {
    pub(super) fn new(error: &Error) -> Self {
        let keys = error.frames().filter_map(|frame| match frame {
            Frame::Path(key) => Some(key.clone()),
            _ => None,
        });
        Self {
            kind: error.cause().kind(),
            message: error.to_string(),
            path: keys.collect(),
            location: None,
            line: None,
        }
    }

    pub(super) fn find(error: &Error, input: &Input) -> Self {
        match (&input.text, &input.document) {
            (Some((text, before)), _) => Self::of_text(error, text, *before),
            (None, Some((file, node))) => {
                let written = locate(node, error);
                let line = match written.as_scalar() {
                    Some(text) => caret(error, text, 0),
                    None => None,
                };
                let location = Some((file.clone(), written.location));
                Self { location, line, ..Self::new(error) }
            }
            (None, None) => Self::new(error),
        }
    }

    pub(super) fn of_text(error: &Error, text: &str, before: usize) -> Self {
        Self { line: caret(error, text, before), ..Self::new(error) }
    }
}

/// The line of a text in which a syntax error sits, and its column.
fn caret(error: &Error, text: &str, before: usize) -> Option<(String, usize)> {
    let Cause::Syntax { offset, .. } = error.cause() else { return None };
    // Of a query that stands in an argument the place is another.
    if !matches!(error.frames().last(), None | Some(Frame::Template)) {
        return None;
    }
    let offset = offset.saturating_sub(before).min(text.len());
    let (head, tail) = text.split_at_checked(offset)?;
    let start = head.rsplit('\n').next().unwrap_or_default();
    let end = tail.split('\n').next().unwrap_or_default();
    Some((format!("{start}{end}"), start.chars().count()))
}

/// The innermost node of a document that an error's path leads to.
fn locate<'n>(document: &'n Node, error: &Error) -> &'n Node {
    let mut node = document;
    for frame in error.frames() {
        let next = match frame {
            Frame::Path(key) | Frame::Argument(key) => member(node, key, frame),
            Frame::Invocation(_) => Some(node),
            _ => None,
        };
        match next {
            Some(next) => node = next,
            None => break,
        }
    }
    node
}

fn member<'n>(node: &'n Node, key: &str, frame: &Frame) -> Option<&'n Node> {
    let from = usize::from(matches!(frame, Frame::Argument(_)));
    match node.as_sequence() {
        Some(items) => items.get(key.parse::<usize>().ok()?.checked_sub(from)?),
        None => node.get(key).or_else(|| (from == 1 && key == "1").then_some(node)),
    }
}
