//! Budgets: no tree, however it is written, takes more than so many steps or so much memory.

use super::error::{Cause, Error};
use crate::value::{MAX_DEPTH, Value};

/// How much parsing and evaluating one tree may take. What exceeds a limit is an error that names
/// it. Budgets count steps and sizes, never time: the same tree fails everywhere or nowhere.
///
/// ```
/// use relay_core::Value;
/// use relay_core::expr::{Environment, Expression, Limits};
///
/// let limits = Limits { steps: 100, ..Limits::default() };
/// let environment = Environment::new(jiff::Timestamp::UNIX_EPOCH).with_limits(limits);
/// let long = Value::from(vec![Value::from("${now()}"); 200]);
/// let error = Expression::parse(&long).evaluate(&environment).result.unwrap_err();
/// assert_eq!(error.cause().kind(), "limit");
/// assert!(error.to_string().contains("100 steps"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Levels of nesting of a tree, of an expression and of what is computed. More than
    /// [`MAX_DEPTH`] counts as that, for deeper values could not be written and read again.
    pub nesting: usize,
    /// Values in a tree with those of its expressions, and values in everything computed while
    /// evaluating it once.
    pub nodes: usize,
    /// Steps of evaluating once: visits of a part of a tree, of an expression or of a path.
    pub steps: usize,
    /// Bytes of text in a tree, and in everything computed while evaluating it once.
    pub text: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { nesting: MAX_DEPTH, nodes: 4_000_000, steps: 1_000_000, text: 64 << 20 }
    }
}

impl Limits {
    pub(crate) fn nesting(&self) -> usize {
        self.nesting.min(MAX_DEPTH)
    }

    /// Whether a text of this many bytes is allowed.
    pub(crate) fn check_text(&self, bytes: usize) -> Result<(), Error> {
        if bytes <= self.text {
            return Ok(());
        }
        Err(Cause::Limit { what: "bytes of text", limit: self.text }.into())
    }

    /// Whether a level of nesting is allowed.
    pub(crate) fn check_nesting(&self, depth: usize) -> Result<(), Error> {
        if depth <= self.nesting() {
            return Ok(());
        }
        Err(Cause::Limit { what: "levels of nesting", limit: self.nesting() }.into())
    }
}

/// What is left of the limits.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    pub(crate) limits: Limits,
    nodes: usize,
    steps: usize,
    text: usize,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, nodes: limits.nodes, steps: limits.steps, text: limits.text }
    }

    /// One step of work.
    pub(crate) fn step(&mut self) -> Result<(), Error> {
        self.steps(1)
    }

    pub(crate) fn steps(&mut self, count: usize) -> Result<(), Error> {
        match self.steps.checked_sub(count) {
            Some(left) => self.steps = left,
            None => return Err(Cause::Limit { what: "steps", limit: self.limits.steps }.into()),
        }
        Ok(())
    }

    pub(crate) fn text(&mut self, bytes: usize) -> Result<(), Error> {
        match self.text.checked_sub(bytes) {
            Some(left) => self.text = left,
            None => {
                let what = "bytes of text";
                return Err(Cause::Limit { what, limit: self.limits.text }.into());
            }
        }
        Ok(())
    }

    pub(crate) fn node(&mut self) -> Result<(), Error> {
        match self.nodes.checked_sub(1) {
            Some(left) => self.nodes = left,
            None => return Err(Cause::Limit { what: "values", limit: self.limits.nodes }.into()),
        }
        Ok(())
    }

    /// How much text is left.
    pub(crate) fn text_left(&self) -> usize {
        self.text
    }

    /// Everything in a value: what is shared within it counts as often as it is there, so nothing
    /// that walks over it afterwards can take longer than the budget allows.
    pub(crate) fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        match value {
            Value::List(items) => {
                self.limits.check_nesting(depth)?;
                self.node()?;
                crate::stack::grow(|| items.iter().try_for_each(|item| self.value(item, depth + 1)))
            }
            Value::Map(map) => {
                self.limits.check_nesting(depth)?;
                self.node()?;
                crate::stack::grow(|| {
                    map.iter().try_for_each(|(key, member)| {
                        self.text(key.len())?;
                        self.value(member, depth + 1)
                    })
                })
            }
            scalar => {
                self.node()?;
                self.text(scalar.as_bytes().map_or(0, <[u8]>::len))
            }
        }
    }
}
