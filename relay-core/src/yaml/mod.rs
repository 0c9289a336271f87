//! YAML with tags and positions, and what it means as a tree (`expressions.md` §4).
//!
//! [`read`] composes the documents of a text into [`Node`]s, which know where they stand.
//! [`Node::to_tree`] turns one into a [`Value`], with tags such as `!Secret` rewritten to their
//! JSON forms.
//!
//! ```
//! use relay_core::yaml;
//!
//! let stream = yaml::read("greeting: !Fn.concat [Hello, !Parameter name]");
//! assert!(stream.problems.is_empty());
//! let mut problems = Vec::new();
//! let tree = stream.documents[0].to_tree(&mut problems);
//! assert_eq!(
//!     tree.to_json(),
//!     r#"{"greeting":{"$fn.concat":["Hello",{"$type":"Parameter","name":"name"}]}}"#,
//! );
//! ```

mod compose;
mod dates;
mod scalar;
mod tag;

use std::fmt;
use std::sync::Arc;

use crate::expr::Limits;
use crate::value::Value;

pub use compose::{read, read_within};
pub use scalar::resolve as plain_scalar;
pub use tag::reference_tags;

/// Reads the first document of a text as a tree. The rest of the text is not looked at.
///
/// ```
/// let tree = relay_core::yaml::tree("!Secret token")?;
/// assert_eq!(tree.to_json(), r#"{"$type":"Secret","name":"token"}"#);
/// # Ok::<(), relay_core::yaml::Problem>(())
/// ```
///
/// # Errors
///
/// The first thing that is wrong with it; [`ProblemKind::Empty`] where there is no document.
pub fn tree(text: &str) -> Result<Value, Problem> {
    tree_within(text, &Limits::default())
}

/// Reads the first document of a text as a tree, within these limits.
///
/// # Errors
///
/// As for [`tree`], or [`ProblemKind::Limit`].
pub fn tree_within(text: &str, limits: &Limits) -> Result<Value, Problem> {
    let stream = compose::read_documents(text, limits, 1);
    let mut problems = stream.problems;
    let tree = stream.documents.first().map(|document| document.to_tree(&mut problems));
    match (problems.into_iter().next(), tree) {
        (Some(problem), _) => Err(problem),
        (None, Some(tree)) => Ok(tree),
        (None, None) => {
            let nowhere = Location::default();
            Err(Problem::new(ProblemKind::Empty, nowhere, "the text holds no document"))
        }
    }
}

/// A place in a text. Both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// What a text holds.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// The documents that could be read.
    pub documents: Vec<Node>,
    /// What is wrong with the text. A syntax error ends the reading.
    pub problems: Vec<Problem>,
    /// Where reading ended before the end of the text.
    ended_at: Option<Location>,
}

/// Something wrong with a text, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{location}: {text}")]
pub struct Problem {
    /// What kind of problem it is.
    pub kind: ProblemKind,
    /// Where it is.
    pub location: Location,
    /// Where the value is defined that an alias at `location` leads to.
    pub anchor: Option<Location>,
    /// What is wrong, for people.
    pub text: String,
}

/// The kinds of [`Problem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// The text is no YAML.
    Syntax,
    /// There is no document.
    Empty,
    /// An alias has no anchor, or stands inside its own.
    Alias,
    /// A mapping has a key twice.
    DuplicateKey,
    /// A merge key with something that cannot be merged.
    Merge,
    /// A local tag that does not exist.
    UnknownTag,
    /// A tag with arguments that it does not take.
    BadShape,
    /// A scalar that its core tag does not fit, such as `!!int x`.
    BadScalar,
    /// Nested too deep, or too large once aliases are expanded.
    Limit,
}

/// A node of a document. Cloning is cheap: content is shared, as aliases share it.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where the node stands; for an alias, where the alias does.
    pub location: Location,
    /// Where the anchor stands that an alias leads to.
    pub anchor: Option<Location>,
    /// The tag, if one is written.
    pub tag: Option<Tag>,
    /// What it holds.
    pub content: Arc<Content>,
    /// How many nodes this is with all aliases expanded.
    weight: usize,
    /// How many levels there are below this one, with all aliases expanded.
    height: usize,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// A scalar.
    Scalar {
        /// Its text, quotes and escapes resolved.
        text: Arc<str>,
        /// Whether it was written without quotes.
        plain: bool,
    },
    /// A sequence.
    Sequence(Vec<Node>),
    /// A mapping in the order of writing, merge keys already merged.
    Mapping(Vec<(Node, Node)>),
}

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tag {
    /// A tag of the core schema: `!!str` is `Core("str")`.
    Core(Arc<str>),
    /// A local tag: `!Secret` is `Local("Secret")`.
    Local(Arc<str>),
}

impl Node {
    /// The text of a scalar.
    #[must_use]
    pub fn as_scalar(&self) -> Option<&Arc<str>> {
        match self.content.as_ref() {
            Content::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The items of a sequence.
    #[must_use]
    pub fn as_sequence(&self) -> Option<&[Self]> {
        match self.content.as_ref() {
            Content::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a mapping.
    #[must_use]
    pub fn as_mapping(&self) -> Option<&[(Self, Self)]> {
        match self.content.as_ref() {
            Content::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value of a key, if this is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        let entries = self.as_mapping()?;
        entries.iter().find(|(k, _)| k.as_scalar().is_some_and(|k| &**k == key)).map(|(_, v)| v)
    }

    /// The same node as an alias at this place gives it.
    #[must_use]
    pub fn through(&self, alias: Location) -> Self {
        Self { location: alias, anchor: Some(self.anchor.unwrap_or(self.location)), ..self.clone() }
    }
}

impl Problem {
    pub(crate) fn new(kind: ProblemKind, location: Location, text: impl Into<String>) -> Self {
        Self { kind, location, anchor: None, text: text.into() }
    }

    pub(crate) fn of(node: &Node, kind: ProblemKind, text: impl Into<String>) -> Self {
        Self { anchor: node.anchor, ..Self::new(kind, node.location, text) }
    }
}
