//! Findings: what is wrong with a file, and where (`workflow-file.md` §6).

use std::fmt;

use relay_core::yaml::{Location, Node, Problem};
use serde::Serialize;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The file cannot be run.
    Error,
    /// It can, but does not mean what it seems to.
    Warning,
    /// Nothing is wrong; it is good to know.
    Note,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

macro_rules! codes {
    ($($variant:ident $text:literal $level:ident $doc:literal),+ $(,)?) => {
        /// The kinds of findings. Each has a name for programs and searches, and a usual level.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $doc] $variant,)+
        }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name, as in `error[unknown-step]`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The level that findings of this kind usually have.
            #[must_use]
            pub fn level(self) -> Level {
                match self { $(Self::$variant => Level::$level,)+ }
            }
        }
    };
}

codes! {
    YamlSyntax "yaml-syntax" Error "The text is no YAML.",
    YamlAlias "yaml-alias" Error "An alias has no anchor.",
    DuplicateKey "duplicate-key" Error "A key is there twice.",
    Documents "documents" Error "There is more than one document.",
    ApiVersion "api-version" Error "Another `apiVersion` than `v1`.",
    Kind "kind" Error "Another `kind` than `Workflow`.",
    Type "type" Error "A value of the wrong type.",
    Required "required" Error "A key is missing.",
    Enum "enum" Error "A value that is not among the allowed ones.",
    Name "name" Error "A text that is no name.",
    DuplicateName "duplicate-name" Error "Two steps or triggers of one name.",
    UnknownKey "unknown-key" Warning "A key that means nothing.",
    UnknownStep "unknown-step" Error "A step that does not exist.",
    UnknownParameter "unknown-parameter" Error "A parameter that is not declared.",
    Cycle "cycle" Error "Steps that wait for each other.",
    Scope "scope" Error "A reference to something that is not available there.",
    ExpressionSyntax "expression-syntax" Error "An expression that does not parse.",
    UnknownTag "unknown-tag" Error "A tag that does not exist.",
    TagArguments "tag-arguments" Error "A tag with arguments that it does not take.",
    UnknownFunction "unknown-function" Error "A function that does not exist.",
    FunctionArguments "function-arguments" Error "A function with the wrong number of arguments.",
    ConditionType "condition-type" Error "A constant condition that is no boolean.",
    Schedule "schedule" Error "A line that is no schedule.",
    BindingUnknownParameter "binding-unknown-parameter" Warning
        "A trigger binds a parameter that is not declared.",
    UnboundParameter "unbound-parameter" Warning
        "A trigger does not bind a parameter that has to be given.",
    DynamicOutput "dynamic-output" Warning
        "An output whose step is only known at run time.",
    FunctionKeywords "function-keywords" Warning "Keyword arguments that a function rejects.",
    NeverFires "never-fires" Warning "A schedule whose time never comes.",
    IgnoredKey "ignored-key" Warning "A key that has no effect there.",
    UnusedParameter "unused-parameter" Warning "A parameter that nothing refers to.",
    MissingParameter "missing-parameter" Error "A run lacks the value of a parameter.",
    MissingSecret "missing-secret" Error "A run lacks a secret.",
    MissingConnection "missing-connection" Error "A run lacks a connection.",
    UnknownApproval "unknown-approval" Error "An answer to a question that nobody asks.",
    InputFile "input-file" Error "The file of a script cannot be read.",
    NoProgram "no-program" Error "A step that names only an image, where images cannot be run.",
    UnusedImage "unused-image" Warning "A program for an image that no step uses.",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What kind of problem it is.
    pub code: Code,
    /// The line, from 1; 0 where the finding is about no place in the file.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong, and what to do.
    pub message: String,
    /// Other places that have to do with it.
    #[serde(skip)]
    pub related: Vec<Related>,
}

/// A place that has to do with a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// The place.
    pub location: Location,
    /// What is there, in a few words.
    pub label: String,
}

/// A place that a finding is about: where something is used, and where it is defined if an alias
/// lies between the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) location: Location,
    defined_at: Option<Location>,
}

impl From<Location> for Spot {
    fn from(location: Location) -> Self {
        Self { location, defined_at: None }
    }
}

impl From<&Node> for Spot {
    fn from(node: &Node) -> Self {
        Self { location: node.location, defined_at: node.anchor }
    }
}

impl From<&Problem> for Spot {
    fn from(problem: &Problem) -> Self {
        Self { location: problem.location, defined_at: problem.anchor }
    }
}

impl Finding {
    /// A finding of the code's usual level.
    pub fn new(code: Code, location: Location, message: impl Into<String>) -> Self {
        Self {
            level: code.level(),
            code,
            line: location.line,
            column: location.column,
            message: visible(message.into()),
            related: Vec::new(),
        }
    }

    /// A finding about something that may have been reached through an alias.
    pub(super) fn at(code: Code, spot: Spot, message: impl Into<String>) -> Self {
        let finding = Self::new(code, spot.location, message);
        match spot.defined_at {
            None => finding,
            Some(defined_at) => {
                let message = format!("{} (defined at line {})", finding.message, defined_at.line);
                Self { message, ..finding }.with(defined_at, "defined here")
            }
        }
    }

    /// The same with another place that has to do with it.
    #[must_use]
    pub(super) fn with(mut self, location: Location, label: impl Into<String>) -> Self {
        self.related.push(Related { location, label: label.into() });
        self
    }

    /// The same at another level.
    #[must_use]
    pub fn at_level(self, level: Level) -> Self {
        Self { level, ..self }
    }

    /// The line for people: `FILE:LINE:COLUMN: LEVEL[CODE]: MESSAGE`.
    pub fn in_file<'f>(&'f self, file: &'f str) -> impl fmt::Display + 'f {
        fmt::from_fn(move |f| {
            write!(f, "{file}:")?;
            if self.line > 0 {
                write!(f, "{}:{}:", self.line, self.column)?;
            }
            write!(f, " {}[{}]: {}", self.level, self.code, self.message)
        })
    }
}

/// The text with its control characters escaped: what a file holds must not steer a terminal.
fn visible(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
    text.chars().map(escape).collect()
}

/// The known word that is nearest to one that is not known, if it is within so many edits.
pub(super) fn within<'k>(
    edits: usize,
    word: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<&'k str> {
    let word = word.to_lowercase();
    let length = word.chars().count();
    known
        .into_iter()
        .filter(|known| known.chars().count().abs_diff(length) <= edits)
        .map(|known| (strsim::osa_distance(&word, &known.to_lowercase()), known))
        .filter(|(distance, _)| *distance <= edits)
        .min()
        .map(|(_, known)| known)
}

/// The known word that is nearest to one that is not known, for "did you mean".
#[must_use]
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let edits = match word.chars().count() {
        0 | 1 => 0,
        2..=5 => 1,
        _ => 2,
    };
    within(edits, word, known)
}

/// `; did you mean "…"?`, or nothing.
#[must_use]
pub fn suggestion<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    did_you_mean(nearest(word, known))
}

/// The question for a word that was found, or nothing.
pub(super) fn did_you_mean(known: Option<&str>) -> String {
    known.map(|known| format!("; did you mean {known:?}?")).unwrap_or_default()
}
