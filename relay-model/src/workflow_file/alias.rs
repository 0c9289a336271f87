//! Nodes at other places than where they are written: below aliases, and in annotations.

use std::sync::Arc;

use relay_core::yaml::{Content, Location, Node};

/// The node with everything below an alias at the place of that alias, from where the anchor is
/// known as well. `None` where no alias is in it.
pub(super) fn expanded(node: &Node) -> Option<Node> {
    match node.anchor {
        Some(_) => Some(below(node, node.location)),
        None => {
            let content = match node.content.as_ref() {
                Content::Scalar { .. } => return None,
                Content::Sequence(items) => {
                    let found: Vec<_> = items.iter().map(expanded).collect();
                    if found.iter().all(Option::is_none) {
                        return None;
                    }
                    let items = items.iter().zip(found);
                    Content::Sequence(
                        items.map(|(old, new)| new.unwrap_or_else(|| old.clone())).collect(),
                    )
                }
                Content::Mapping(entries) => {
                    let found: Vec<_> = entries.iter().map(|(_, value)| expanded(value)).collect();
                    if found.iter().all(Option::is_none) {
                        return None;
                    }
                    let entries = entries.iter().zip(found);
                    let new = entries
                        .map(|((key, old), new)| (key.clone(), new.unwrap_or_else(|| old.clone())));
                    Content::Mapping(new.collect())
                }
            };
            Some(with_content(node, content))
        }
    }
}

fn below(node: &Node, alias: Location) -> Node {
    let content = match node.content.as_ref() {
        Content::Scalar { .. } => return node.through(alias),
        Content::Sequence(items) => {
            Content::Sequence(items.iter().map(|item| below(item, alias)).collect())
        }
        Content::Mapping(entries) => Content::Mapping(
            entries.iter().map(|(key, value)| (below(key, alias), below(value, alias))).collect(),
        ),
    };
    with_content(&node.through(alias), content)
}

fn with_content(node: &Node, content: Content) -> Node {
    let mut node = node.clone();
    node.content = Arc::new(content);
    node
}

/// The node with everything in it at one place.
pub(super) fn moved(node: &Node, to: Location) -> Node {
    let content = match node.content.as_ref() {
        Content::Scalar { .. } => None,
        Content::Sequence(items) => {
            Some(Content::Sequence(items.iter().map(|item| moved(item, to)).collect()))
        }
        Content::Mapping(entries) => Some(Content::Mapping(
            entries.iter().map(|(key, value)| (moved(key, to), moved(value, to))).collect(),
        )),
    };
    let mut node = node.clone();
    node.location = to;
    if let Some(content) = content {
        node.content = Arc::new(content);
    }
    node
}
