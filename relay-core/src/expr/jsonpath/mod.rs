//! JSONPath and the text with JSONPaths in it that kubectl knows (`expressions.md` §10.2, §10.3).

mod evaluate;
mod parse;
mod print;

use std::sync::Arc;

pub(super) use evaluate::{run, run_template};
pub(super) use parse::{expression, template};

use super::operator::{Infix, Prefix};
use crate::value::Value;

/// An expression of JSONPath.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum JsonPath {
    Literal(Value),
    List(Vec<Self>),
    Object(Vec<(Self, Self)>),
    Prefix(Prefix, Box<Self>),
    Infix(Infix, Box<Self>, Box<Self>),
    /// A bare name, which is an error once it is evaluated.
    Name(Arc<str>),
    Path(Origin, Vec<Step>),
}

/// Where a path starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// `$`: the document.
    Document,
    /// `@`: the item that is looked at.
    Current,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Child(JsonPath),
    /// `*`
    Each,
    /// `..`: the node and all that is in it.
    Descend,
    /// `[a, b]`
    Union(Vec<JsonPath>),
    Slice {
        start: Option<JsonPath>,
        end: Option<JsonPath>,
        step: Option<JsonPath>,
    },
    Filter(JsonPath),
    /// `(…)`: goes on from the value of the expression.
    Script(JsonPath),
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Text(Arc<str>),
    Value(JsonPath),
    Range(JsonPath, Vec<Self>),
}
