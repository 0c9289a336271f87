//! Reading mappings: typed members, and findings where they are of another type.

use relay_core::Value;
use relay_core::yaml::{Content, Location, Node, Problem, ProblemKind};

use super::finding::{Code, Finding, Level, nearest, suggestion};

/// Collects findings while a document is read.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn add(&mut self, code: Code, location: Location, message: impl Into<String>) {
        self.0.push(Finding::new(code, location, message));
    }

    pub(super) fn push(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    pub(super) fn problem(&mut self, problem: &Problem) {
        let known = relay_core::yaml::reference_tags();
        let (code, hint) = match problem.kind {
            ProblemKind::Alias => (Code::YamlAlias, String::new()),
            ProblemKind::DuplicateKey => (Code::DuplicateKey, String::new()),
            ProblemKind::UnknownTag => {
                let tag = problem.text.split('`').nth(1).unwrap_or_default();
                let name = tag.trim_start_matches('!');
                let hint = nearest(name, known).map(|known| format!("; did you mean `!{known}`?"));
                (Code::UnknownTag, hint.unwrap_or_default())
            }
            ProblemKind::BadShape => (Code::TagArguments, String::new()),
            ProblemKind::BadScalar | ProblemKind::Merge => (Code::Type, String::new()),
            _ => (Code::YamlSyntax, String::new()),
        };
        self.add(code, problem.location, format!("{}{hint}", problem.text));
    }

    /// All findings in the order of the file, each once.
    pub(super) fn sorted(mut self) -> Vec<Finding> {
        self.0.sort_by_key(|finding| (finding.line, finding.column, finding.code));
        self.0.dedup();
        self.0
    }

    pub(super) fn has_errors(&self) -> bool {
        self.0.iter().any(|finding| finding.level == Level::Error)
    }

    /// The node as a value; what is wrong with its tags is found.
    pub(super) fn tree(&mut self, node: &Node) -> Value {
        let mut problems = Vec::new();
        let value = node.to_tree(&mut problems);
        problems.into_iter().for_each(|problem| self.problem(&problem));
        value
    }
}

/// A mapping with a name for messages, such as `step "build"`.
pub(super) struct Section<'n> {
    node: &'n Node,
    entries: &'n [(Node, Node)],
    pub(super) what: String,
}

/// What a node holds, in words.
pub(super) fn describe(node: &Node) -> &'static str {
    match node.content.as_ref() {
        Content::Sequence(_) => "a list",
        Content::Mapping(_) => "a map",
        Content::Scalar { .. } if node.tag.is_some() => "an expression",
        Content::Scalar { .. } => match node.to_tree(&mut Vec::new()) {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::Time(_) => "a date",
            _ => "a string",
        },
    }
}

/// Whether a node is there but holds nothing, as in `steps:`.
pub(super) fn is_null(node: &Node) -> bool {
    node.tag.is_none() && node.as_scalar().is_some() && describe(node) == "nothing"
}

impl<'n> Section<'n> {
    /// The node as a mapping; nothing counts as an empty one.
    pub(super) fn new(node: &'n Node, what: String, findings: &mut Findings) -> Option<Self> {
        match node.as_mapping() {
            Some(entries) => Some(Self { node, entries, what }),
            None if is_null(node) => Some(Self { node, entries: &[], what }),
            None => {
                let message = format!("{what} has to be a map, not {}", describe(node));
                findings.add(Code::Type, node.location, message);
                None
            }
        }
    }

    pub(super) fn location(&self) -> Location {
        self.node.location
    }

    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|(_, value)| value)
    }

    fn entry(&self, key: &str) -> Option<&'n (Node, Node)> {
        self.entries.iter().find(|(k, _)| k.as_scalar().is_some_and(|k| &**k == key))
    }

    pub(super) fn key_location(&self, key: &str) -> Option<Location> {
        self.entry(key).map(|(key, _)| key.location)
    }

    /// The entries with their keys as text.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'n str, &'n Node, &'n Node)> {
        self.entries.iter().filter_map(|(key, value)| Some((&**key.as_scalar()?, key, value)))
    }

    /// Reports keys that are not known. `strict` sections turn what looks like a slip of the pen
    /// into an error, since dropping an order in silence is worse than stopping.
    pub(super) fn check_keys(&self, known: &[&str], strict: bool, findings: &mut Findings) {
        for (name, key, _) in self.entries() {
            if known.contains(&name) {
                continue;
            }
            let close = nearest(name, known.iter().copied());
            let level = if strict && close.is_some() { Level::Error } else { Level::Warning };
            let effect = if level == Level::Error { "" } else { " and has no effect" };
            let hint = suggestion(name, known.iter().copied());
            let message = format!("key {name:?} of {} is not known{effect}{hint}", self.what);
            let finding = Finding::new(Code::UnknownKey, key.location, message);
            findings.push(finding.at_level(level));
        }
    }

    /// A string; anything else is a finding.
    pub(super) fn text(&self, key: &str, findings: &mut Findings) -> Option<String> {
        let node = self.get(key)?;
        text_of(node, &format!("{key:?} of {}", self.what), findings)
    }

    /// A string that has to be there and must not be empty.
    pub(super) fn required_text(&self, key: &str, findings: &mut Findings) -> Option<String> {
        match self.get(key) {
            Some(node) if !is_null(node) => {
                let text = self.text(key, findings)?;
                if text.is_empty() {
                    let message = format!("{key:?} of {} must not be empty", self.what);
                    findings.add(Code::Required, node.location, message);
                    return None;
                }
                Some(text)
            }
            _ => {
                let location = self.key_location(key).unwrap_or(self.location());
                findings.add(Code::Required, location, format!("{} needs {key:?}", self.what));
                None
            }
        }
    }

    /// A list of strings, or one string, with the places of the items.
    pub(super) fn texts(&self, key: &str, findings: &mut Findings) -> Vec<(String, Location)> {
        let Some(node) = self.get(key).filter(|node| !is_null(node)) else {
            return Vec::new();
        };
        let items = node.as_sequence().unwrap_or(std::slice::from_ref(node));
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let what = match node.as_sequence() {
                Some(_) => format!("item {} of {key:?} of {}", index + 1, self.what),
                None => format!("{key:?} of {}", self.what),
            };
            if let Some(text) = text_of(item, &what, findings) {
                texts.push((text, item.location));
            }
        }
        texts
    }

    /// A map whose values carry expressions.
    pub(super) fn trees(&self, key: &str, findings: &mut Findings) -> Vec<(String, Value)> {
        let Some(node) = self.get(key).filter(|node| !is_null(node)) else {
            return Vec::new();
        };
        let Some(section) = Section::new(node, format!("{key:?} of {}", self.what), findings)
        else {
            return Vec::new();
        };
        section.entries().map(|(name, _, value)| (name.to_owned(), findings.tree(value))).collect()
    }
}

fn text_of(node: &Node, what: &str, findings: &mut Findings) -> Option<String> {
    if let (Some(text), "a string") = (node.as_scalar(), describe(node)) {
        return Some(text.to_string());
    }
    let hint = match describe(node) {
        "a map" => "; text with \": \" in it needs quotes",
        "a number" | "a boolean" | "a date" => "; put it in quotes",
        _ => "",
    };
    let message = format!("{what} has to be a string, not {}{hint}", describe(node));
    findings.add(Code::Type, node.location, message);
    None
}
