//! What a tree mentions, found without evaluating it: the base of static checks and of the order
//! of steps (`workflow-file.md` §4.3 and §4.5).

use std::sync::Arc;

use super::error::Error;
use super::function;
use super::reference::Reference;
use super::syntax::{Arguments, Expr, Part, Start};
use super::tree::Node;
use crate::value::Value;

/// Something that a tree mentions by a constant name, or a mistake that needs no values to see.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Mention {
    /// A single thing.
    Reference(Reference),
    /// All outputs of one step.
    StepOutputs(Arc<str>),
    /// A step without one of its properties.
    Step(Arc<str>),
    /// Outputs or steps whose names are only known at run time.
    Dynamic,
    /// Whole secrets, connections or parameters.
    Whole(Arc<str>),
    /// A first name that is none of those of the language.
    UnknownName(Arc<str>),
    /// `!Data`, which only triggers know.
    Event,
    /// A call of a function that does not exist.
    UnknownFunction(Arc<str>),
    /// A call with a wrong number of positional arguments: the function, and what is wrong.
    Arity(Arc<str>, String),
    /// A call with keywords that the function does not take: the function, and what is wrong.
    Keywords(Arc<str>, String),
    /// A part that does not parse.
    Broken(Error),
}

pub(crate) fn in_node(node: &Node, found: &mut Vec<Mention>) {
    crate::stack::grow(|| match node {
        Node::Data(_) => {}
        Node::List(items, _) => items.iter().for_each(|item| in_node(item, found)),
        Node::Map(members, _) => members.iter().for_each(|(_, member)| in_node(member, found)),
        Node::Template(template) => {
            for part in &template.parts {
                if let Part::Expr(expr) = part {
                    in_expr(expr, true, found);
                }
            }
        }
        Node::Reference { reference, .. } => found.push(Mention::Reference(reference.clone())),
        Node::Lookup { query, .. } => {
            found.push(Mention::Event);
            if let Err(error) = query {
                found.push(Mention::Broken(error.clone()));
            }
        }
        Node::Encoded { data, .. } => in_node(data, found),
        Node::Call { function, arguments, .. } => {
            match arguments.as_ref() {
                Node::List(items, _) => positional(function, items.len(), found),
                Node::Map(members, _) => {
                    let names: Vec<_> = members.iter().map(|(name, _)| name).collect();
                    keywords(function, &names, found);
                }
                Node::Data(Value::List(items)) => positional(function, items.len(), found),
                Node::Data(Value::Map(map)) => {
                    keywords(function, &map.keys().collect::<Vec<_>>(), found);
                }
                Node::Data(_) => positional(function, 1, found),
                _ => known(function, found),
            }
            in_node(arguments, found);
        }
        Node::Broken { error, .. } => found.push(Mention::Broken(error.clone())),
    });
}

/// `names` says whether first names are those of the language; right of a pipe they are not.
fn in_expr(expr: &Expr, names: bool, found: &mut Vec<Mention>) {
    crate::stack::grow(|| match expr {
        Expr::Literal(_) => {}
        Expr::List(items) => items.iter().for_each(|item| in_expr(item, names, found)),
        Expr::Object(members) => members.iter().for_each(|(key, member)| {
            in_expr(key, names, found);
            in_expr(member, names, found);
        }),
        Expr::Prefix(_, operand) => in_expr(operand, names, found),
        Expr::Infix(_, left, right) => {
            in_expr(left, names, found);
            in_expr(right, names, found);
        }
        Expr::Call { function, arguments } => {
            match arguments {
                Arguments::Positional(items) => positional(function, items.len(), found),
                Arguments::Keyword(items) => {
                    keywords(
                        function,
                        &items.iter().map(|(name, _)| name).collect::<Vec<_>>(),
                        found,
                    );
                }
            }
            arguments.iter().for_each(|argument| in_expr(argument, names, found));
        }
        Expr::Path { root, keys, .. } => {
            if names {
                path(root, keys, found);
            }
            keys.iter().for_each(|key| in_expr(key, names, found));
        }
        Expr::Pipe(left, right) => {
            in_expr(left, names, found);
            in_expr(right, false, found);
        }
    });
}

fn constant(key: Option<&Expr>) -> Option<Arc<str>> {
    match key? {
        Expr::Literal(Value::Text(text)) => Some(text.clone()),
        Expr::Literal(Value::Number(number)) => Some(number.to_plain().into()),
        _ => None,
    }
}

fn path(root: &Start, keys: &[Expr], found: &mut Vec<Mention>) {
    let (root_name, keys) = match root {
        Start::Name(name) => (name.clone(), keys),
        Start::Root => match (constant(keys.first()), keys.split_first()) {
            (Some(name), Some((_, rest))) => (name, rest),
            _ => return found.push(Mention::Dynamic),
        },
    };
    let first = constant(keys.first());
    let second = constant(keys.get(1));
    let whole = Mention::Whole(root_name.clone());
    found.push(match (root_name.as_ref(), first, second) {
        ("parameters", Some(name), _) => Mention::Reference(Reference::Parameter { name }),
        ("secrets", Some(name), _) => Mention::Reference(Reference::Secret { name }),
        ("connections", Some(kind), Some(name)) => {
            Mention::Reference(Reference::Connection { kind, name })
        }
        ("parameters" | "secrets" | "connections", _, _) => whole,
        ("outputs", Some(from), Some(name)) => Mention::Reference(Reference::Output { from, name }),
        ("outputs", Some(from), None) => Mention::StepOutputs(from),
        ("steps", Some(action), Some(property)) => {
            Mention::Reference(Reference::Status { action, property })
        }
        ("steps", Some(action), None) => Mention::Step(action),
        ("outputs" | "steps", None, _) => Mention::Dynamic,
        _ => Mention::UnknownName(root_name),
    });
}

fn known(name: &Arc<str>, found: &mut Vec<Mention>) {
    if function::find(name).is_none() {
        found.push(Mention::UnknownFunction(name.clone()));
    }
}

fn positional(name: &Arc<str>, count: usize, found: &mut Vec<Mention>) {
    match function::find(name).map(|function| function.check_arity(count)) {
        None => found.push(Mention::UnknownFunction(name.clone())),
        Some(Err(cause)) => found.push(Mention::Arity(name.clone(), cause.to_string())),
        Some(Ok(())) => {}
    }
}

fn keywords(name: &Arc<str>, given: &[&Arc<str>], found: &mut Vec<Mention>) {
    let Some(function) = function::find(name) else {
        return found.push(Mention::UnknownFunction(name.clone()));
    };
    let unknown = given.iter().find(|given| !function.keywords.contains(&given.as_ref()));
    let problem = match (function.keywords, unknown) {
        ([], _) => "takes no keyword arguments".to_owned(),
        (_, Some(unknown)) => format!("has no argument {unknown:?}"),
        _ => return,
    };
    found.push(Mention::Keywords(name.clone(), problem));
}
