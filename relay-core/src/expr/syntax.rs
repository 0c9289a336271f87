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
        /// What the path starts with in a template, where all its keys are constant.
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
    if !keys.iter().all(|key| matches!(key, Expr::Literal(_))) {
        return None;
    }
    let name = |index: usize| match keys.get(index) {
        Some(Expr::Literal(Value::Text(name))) => Some(name.clone()),
        _ => None,
    };
    let Start::Name(root) = root else { return None };
    Some(match root.as_ref() {
        "parameters" => Reference::Parameter { name: name(0)? },
        "secrets" => Reference::Secret { name: name(0)? },
        "connections" => Reference::Connection { kind: name(0)?, name: name(1)? },
        "outputs" => Reference::Output { from: name(0)?, name: name(1)? },
        "steps" => Reference::Status { action: name(0)?, property: name(1)? },
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
