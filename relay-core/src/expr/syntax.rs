//! What templates and expressions are made of once parsed (`expressions.md` §6 and §7.2).

use std::sync::Arc;

use super::operator::{Infix, Prefix};
use super::reference::Reference;
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
    Call {
        function: Arc<str>,
        arguments: Arguments<Self>,
    },
    Path {
        root: Start,
        keys: Vec<Self>,
        /// What the path is in a template, where it names one thing by constants.
        reference: Option<Reference>,
    },
    Pipe(Box<Self>, Box<Self>),
}

impl Expr {
    pub(crate) fn path(root: Start, keys: Vec<Self>) -> Self {
        let reference = reference(&root, &keys);
        Self::Path { root, keys, reference }
    }
}

fn reference(root: &Start, keys: &[Expr]) -> Option<Reference> {
    let text = |key: &Expr| match key {
        Expr::Literal(Value::Text(name)) => Some(name.clone()),
        _ => None,
    };
    let Start::Name(root) = root else { return None };
    Some(match (root.as_ref(), keys) {
        ("parameters", [name]) => Reference::Parameter { name: text(name)? },
        ("secrets", [name]) => Reference::Secret { name: text(name)? },
        ("connections", [kind, name]) => {
            Reference::Connection { kind: text(kind)?, name: text(name)? }
        }
        ("outputs", [from, name]) => Reference::Output { from: text(from)?, name: text(name)? },
        ("steps", [action, property]) => {
            Reference::Status { action: text(action)?, property: text(property)? }
        }
        _ => return None,
    })
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
