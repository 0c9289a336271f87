//! What templates and expressions are made of once parsed (`expressions.md` §6 and §7.2).

use std::sync::Arc;

use super::operator::{Infix, Prefix};
use crate::value::Value;

/// A template: text with expressions in it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Template {
    pub(crate) source: Arc<str>,
    pub(crate) parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    Text(Arc<str>),
    Expr(Expr),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    Literal(Value),
    List(Vec<Self>),
    Object(Vec<(Self, Self)>),
    Prefix(Prefix, Box<Self>),
    Infix(Infix, Box<Self>, Box<Self>),
    Call { function: Arc<str>, arguments: Arguments<Self> },
    Path { root: Start, keys: Vec<Self> },
    Pipe(Box<Self>, Box<Self>),
}

/// Where a path starts: at `$`, the whole root, or at a member of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Start {
    Root,
    Name(Arc<str>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Arguments<T> {
    Positional(Vec<T>),
    Keyword(Vec<(Arc<str>, T)>),
}

impl<T> Arguments<T> {
    pub(crate) fn iter(&self) -> Box<dyn Iterator<Item = &T> + '_> {
        match self {
            Self::Positional(items) => Box::new(items.iter()),
            Self::Keyword(items) => Box::new(items.iter().map(|(_, item)| item)),
        }
    }
}
