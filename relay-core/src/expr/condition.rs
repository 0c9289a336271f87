//! What the value of a `when` says (`expressions.md` §11.1).

use super::Evaluation;
use crate::value::{Value, ValueKind};

/// What conditions come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// All are true.
    Satisfied,
    /// One is false, whatever else is unresolved.
    NotSatisfied,
    /// None is false, and something is not known yet.
    Unresolved,
    /// One is no boolean.
    TypeError(ValueKind),
}

impl Evaluation {
    /// Reads the value as conditions: one boolean, or a list of them that is decided by its first
    /// `false`. Nothing is converted.
    #[must_use]
    pub fn decide(&self) -> Decision {
        let single = std::slice::from_ref(&self.value);
        for condition in self.value.as_list().unwrap_or(single) {
            match condition {
                Value::Bool(true) => {}
                Value::Bool(false) => return Decision::NotSatisfied,
                other if self.is_complete() => return Decision::TypeError(other.kind()),
                _ => {}
            }
        }
        if self.is_complete() { Decision::Satisfied } else { Decision::Unresolved }
    }
}
