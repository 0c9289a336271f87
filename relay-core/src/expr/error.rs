//! Errors of parsing and evaluating: a chain of places around one cause (`expressions.md` §12).
//! They name keys, kinds and functions, never values: those may be secret.

use std::borrow::Cow;
use std::fmt;

use crate::value::ValueKind;

/// What went wrong, and where in the tree.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    cause: Cause,
    /// From the inside out.
    frames: Vec<Frame>,
}

/// A place around a cause.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Frame {
    /// A key or an index.
    Path(String),
    /// A key or an index that was computed: not shown, for it may be secret.
    Computed(String),
    /// A template.
    Template,
    /// A call of this function.
    Invocation(String),
    /// An argument: its position from 1, or its keyword.
    Argument(String),
    /// An item of a list of arguments.
    Item(usize),
    /// A reference of this kind.
    Type(&'static str),
    /// Encoded bytes, in this encoding.
    Encoding(String),
    /// A query of a source of data.
    Query(String),
}

/// The innermost cause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// A template or query does not parse.
    #[error("{problem} (at byte {offset})")]
    Syntax {
        /// What is wrong.
        problem: Cow<'static, str>,
        /// Where, in bytes from the start of the text.
        offset: usize,
    },
    /// No conversion fits an operator.
    #[error("the operator {operator} does not take {}", operands(*.left, *.right))]
    Operand {
        /// The operator as it is written.
        operator: &'static str,
        /// The kind of its only or left operand.
        left: ValueKind,
        /// The kind of its right operand.
        right: Option<ValueKind>,
    },
    /// The right side of `=~` is no regular expression.
    #[error("not a regular expression")]
    BadRegex,
    /// The object has no such member.
    #[error("there is no such key")]
    UnknownKey(String),
    /// The list has no such item.
    #[error("the index is outside the list of {length} items")]
    IndexOutOfBounds {
        /// The index that was asked for.
        index: i64,
        /// How many items there are.
        length: usize,
    },
    /// An object was indexed with something that is no key.
    #[error("an object has no key of kind {0}")]
    BadKeyType(ValueKind),
    /// A list was indexed with something that is no index.
    #[error("a list has no index of kind {0}")]
    BadIndexType(ValueKind),
    /// A list was indexed with text that is no integer.
    #[error("a list has no such index")]
    BadStringIndex(String),
    /// Something without members was indexed.
    #[error("a {0} has no members")]
    NotIndexable(ValueKind),
    /// No such function, or none is available here.
    #[error("there is no function {0:?}")]
    FunctionNotFound(String),
    /// Too many or too few arguments.
    #[error("takes {expected}, but {found} given")]
    Arity {
        /// How many it takes, in words.
        expected: String,
        /// How many were given.
        found: usize,
    },
    /// A keyword argument that has to be there is not.
    #[error("the argument {0:?} is missing")]
    ArgumentNotFound(&'static str),
    /// The function takes positional arguments only.
    #[error("takes no keyword arguments")]
    KeywordNotAccepted,
    /// A value of another kind was needed.
    #[error("expected {expected}, found {found}")]
    UnexpectedType {
        /// What was needed.
        expected: &'static str,
        /// What was there.
        found: ValueKind,
    },
    /// A value outside those allowed.
    #[error("expected {0}")]
    UnexpectedValue(&'static str),
    /// Markdown cannot be converted to this format.
    #[error("Markdown is converted to \"html\" and \"jira\" only")]
    ConvertType,
    /// A JSONPath holds a bare name.
    #[error("a name needs `$.` or `@.` before it")]
    NotAPath,
    /// A value that its Rust type does not take.
    #[error("{0}")]
    Target(String),
    /// Text that is no JSON.
    #[error("not JSON: {0}")]
    BadJson(String),
    /// A reference lacks a field, or it is no string.
    #[error("a reference of type {kind} needs the text field {field:?}")]
    FieldNotFound {
        /// The kind of the reference.
        kind: &'static str,
        /// The field.
        field: &'static str,
    },
    /// There is no source of data by this name.
    #[error("there is no source of data{}", .0.as_ref().map(|n| format!(" named {n:?}")).unwrap_or_default())]
    DataResolverNotFound(Option<String>),
    /// An encoding that is not known.
    #[error("unknown encoding {0:?}")]
    UnknownEncoding(String),
    /// Data that is no base64.
    #[error("the data is no base64")]
    BadBase64,
    /// A number that JSON cannot carry.
    #[error("infinity and NaN cannot be written as JSON")]
    NotEncodable,
    /// The caller may not use this kind of reference.
    #[error("a {0} is not available here")]
    Rejected(&'static str),
    /// A budget is used up.
    #[error("the limit of {limit} {what} is exceeded")]
    Limit {
        /// What is counted.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
}

impl Cause {
    /// The kind of the cause, by the names of `expressions.md` §12.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "syntax",
            Self::Operand { .. } => "operand",
            Self::BadRegex => "bad-regex",
            Self::UnknownKey(_) => "unknown-key",
            Self::IndexOutOfBounds { .. } => "index-out-of-bounds",
            Self::BadKeyType(_) => "bad-key-type",
            Self::BadIndexType(_) => "bad-index-type",
            Self::BadStringIndex(_) => "bad-string-index",
            Self::NotIndexable(_) => "not-indexable",
            Self::FunctionNotFound(_) => "function-not-found",
            Self::Arity { .. } => "arity",
            Self::ArgumentNotFound(_) => "arg-not-found",
            Self::KeywordNotAccepted => "keyword-not-accepted",
            Self::UnexpectedType { .. } => "unexpected-type",
            Self::UnexpectedValue(_) => "unexpected-value",
            Self::ConvertType => "convert-type",
            Self::NotAPath => "not-a-path",
            Self::Target(_) => "target",
            Self::BadJson(_) => "bad-json",
            Self::FieldNotFound { .. } => "field-not-found",
            Self::DataResolverNotFound(_) => "data-resolver-not-found",
            Self::UnknownEncoding(_) => "unknown-encoding",
            Self::BadBase64 => "bad-base64",
            Self::NotEncodable => "not-encodable",
            Self::Rejected(_) => "rejected",
            Self::Limit { .. } => "limit",
        }
    }
}

fn operands(left: ValueKind, right: Option<ValueKind>) -> String {
    right.map_or_else(|| format!("a {left}"), |right| format!("a {left} and a {right}"))
}

impl Error {
    /// The innermost cause.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        &self.0.cause
    }

    /// The places around it, from the outside in.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.0.frames.iter().rev()
    }

    /// The keys and indexes on the way, as a dotted path, computed ones included: not for people.
    #[must_use]
    pub fn path(&self) -> String {
        let keys = self.frames().filter_map(|frame| match frame {
            Frame::Path(key) | Frame::Computed(key) => Some(key.as_str()),
            _ => None,
        });
        keys.collect::<Vec<_>>().join(".")
    }

    /// Whether nothing is there, rather than something wrong: what `exists` and the default of
    /// `path` are for. A reference or encoding that fails is wrong, for whatever reason.
    pub(crate) fn is_missing(&self) -> bool {
        let missing = matches!(self.cause(), Cause::UnknownKey(_) | Cause::IndexOutOfBounds { .. });
        missing && !self.frames().any(|frame| matches!(frame, Frame::Type(_) | Frame::Encoding(_)))
    }

    pub(crate) fn within(mut self, frame: Frame) -> Self {
        self.0.frames.push(frame);
        self
    }

    /// The same without anything of the text that it is about, which was computed.
    pub(crate) fn concealed(mut self) -> Self {
        match &mut self.0.cause {
            Cause::Syntax { problem, .. } => *problem = "does not parse".into(),
            Cause::FunctionNotFound(name) => "…".clone_into(name),
            _ => {}
        }
        for frame in &mut self.0.frames {
            match frame {
                Frame::Path(key) => *frame = Frame::Computed(std::mem::take(key)),
                Frame::Invocation(name) => "…".clone_into(name),
                _ => {}
            }
        }
        self
    }

    pub(crate) fn at(self, key: &(impl ToString + ?Sized)) -> Self {
        self.within(Frame::Path(key.to_string()))
    }

    pub(crate) fn syntax(problem: impl Into<Cow<'static, str>>, offset: usize) -> Self {
        Cause::Syntax { problem: problem.into(), offset }.into()
    }
}

impl From<Cause> for Error {
    fn from(cause: Cause) -> Self {
        Self(Box::new(Inner { cause, frames: Vec::new() }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut in_path = false;
        for frame in self.frames() {
            let separator = if in_path { ": " } else { "" };
            match frame {
                Frame::Computed(_) => write!(f, "[…]")?,
                Frame::Path(key) if in_path => write!(f, ".{key}")?,
                Frame::Path(key) => write!(f, "{key}")?,
                Frame::Template => write!(f, "{separator}template: ")?,
                Frame::Invocation(name) => write!(f, "{separator}function {name}: ")?,
                Frame::Argument(argument) => write!(f, "{separator}argument {argument}: ")?,
                Frame::Item(index) => write!(f, "{separator}item {index}: ")?,
                Frame::Type(kind) => write!(f, "{separator}reference of type {kind}: ")?,
                Frame::Encoding(name) => write!(f, "{separator}encoding {name:?}: ")?,
                Frame::Query(text) => write!(f, "{separator}query {text:?}: ")?,
            }
            in_path = matches!(frame, Frame::Path(_) | Frame::Computed(_));
        }
        if in_path {
            f.write_str(": ")?;
        }
        write!(f, "{}", self.0.cause)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.cause().kind())
            .field("text", &self.to_string())
            .finish()
    }
}

impl std::error::Error for Error {}
