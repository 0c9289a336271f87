//! Reading mappings: typed members, and findings where they are of another type.

use std::collections::{BTreeMap, BTreeSet};

use relay_core::Value;
use relay_core::yaml::{Content, Location, Node, Problem, ProblemKind, Tag};

use super::finding::{Code, Finding, Level, Spot, did_you_mean, nearest, within};

/// Collects findings while a document is read.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: Vec<Finding>,
    /// Aliases that lead nowhere: what is missing there is no finding of its own.
    lost: BTreeSet<Location>,
    /// How many names of the file were compared with one that is not known.
    compared: usize,
}

/// A file with more mistakes than this takes is helped by no suggestion.
const MAX_COMPARED: usize = 100_000;

impl Findings {
    /// The nearest among the names of a file, of which there may be many.
    pub(super) fn nearest<'k>(
        &mut self,
        word: &str,
        known: impl ExactSizeIterator<Item = &'k str>,
    ) -> Option<&'k str> {
        self.compared = self.compared.saturating_add(known.len());
        if self.compared > MAX_COMPARED {
            return None;
        }
        nearest(word, known)
    }

    pub(super) fn add(&mut self, code: Code, spot: impl Into<Spot>, message: impl Into<String>) {
        self.add_at(code, code.level(), spot, message);
    }

    pub(super) fn push(&mut self, finding: Finding) {
        self.found.push(finding);
    }

    /// Adds a finding at another level than is usual for its code.
    pub(super) fn add_at(
        &mut self,
        code: Code,
        level: Level,
        spot: impl Into<Spot>,
        message: impl Into<String>,
    ) {
        self.found.push(Finding::at(code, spot.into(), message).at_level(level));
    }

    pub(super) fn problem(&mut self, problem: &Problem) {
        let (code, hint) = match problem.kind {
            ProblemKind::Alias => {
                self.lost.insert(problem.location);
                (Code::YamlAlias, String::new())
            }
            ProblemKind::DuplicateKey => (Code::DuplicateKey, String::new()),
            ProblemKind::UnknownTag => (Code::UnknownTag, known_tag(&problem.text)),
            ProblemKind::BadShape => (Code::TagArguments, String::new()),
            ProblemKind::BadScalar | ProblemKind::Merge => (Code::Type, String::new()),
            _ => (Code::YamlSyntax, String::new()),
        };
        self.add(code, problem, format!("{}{hint}", problem.text));
    }

    /// All findings in the order of the file, each once.
    pub(super) fn sorted(mut self) -> Vec<Finding> {
        self.found.sort_by_key(|finding| (finding.line, finding.column, finding.code));
        self.found.dedup();
        self.found
    }

    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    pub(super) fn has_errors(&self) -> bool {
        self.found.iter().any(|finding| finding.level == Level::Error)
    }

    pub(super) fn have_any(&self, codes: &[Code]) -> bool {
        self.found.iter().any(|finding| codes.contains(&finding.code))
    }

    /// Whether an alias without anchor stands there.
    fn is_lost(&self, node: &Node) -> bool {
        self.lost.contains(&node.location)
    }

    /// The node as a value; what is wrong with its tags is found.
    pub(super) fn tree(&mut self, node: &Node) -> Value {
        let mut problems = Vec::new();
        let value = node.to_tree(&mut problems);
        problems.into_iter().for_each(|problem| self.problem(&problem));
        value
    }
}

/// The known tag that is nearest to the one a problem is about.
fn known_tag(problem: &str) -> String {
    let tag = problem.split('`').nth(1).unwrap_or_default();
    let name = tag.trim_start_matches('!');
    let functions = relay_core::expr::function_names().map(|name| format!("Fn.{name}"));
    let tags = relay_core::yaml::reference_tags().map(str::to_owned);
    let known: Vec<_> = tags.chain(functions).collect();
    match nearest(name, known.iter().map(String::as_str)) {
        Some(known) => format!("; did you mean `!{known}`?"),
        None => {
            let tags: Vec<_> =
                relay_core::yaml::reference_tags().map(|tag| format!("`!{tag}`")).collect();
            format!("; the tags are {} and `!Fn.NAME`", tags.join(", "))
        }
    }
}

/// A mapping with a name for messages, such as `step "build"`.
pub(super) struct Section<'n> {
    node: &'n Node,
    entries: &'n [(Node, Node)],
    pub(super) what: String,
    /// The key that it is the value of.
    key: Option<Spot>,
    /// Known keys, and the entries that were meant by them.
    slips: Vec<(&'static str, &'n (Node, Node))>,
}

/// What a node holds, in words.
pub(super) fn describe(node: &Node) -> &'static str {
    match node.content.as_ref() {
        _ if is_expression(node) => "an expression",
        Content::Sequence(_) => "a list",
        Content::Mapping(_) => "a map",
        Content::Scalar { .. } => match node.to_tree(&mut Vec::new()) {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::Time(_) => "a date",
            Value::Map(_) => "bytes",
            _ => "a string",
        },
    }
}

fn is_expression(node: &Node) -> bool {
    matches!(node.tag, Some(Tag::Local(_)))
}

/// Whether a node is there but holds nothing, as in `steps:`.
pub(super) fn is_null(node: &Node) -> bool {
    node.tag.is_none() && node.as_scalar().is_some() && describe(node) == "nothing"
}

/// The items of a list that is no expression; anything else is a finding.
pub(super) fn list<'n>(node: &'n Node, what: &str, findings: &mut Findings) -> Option<&'n [Node]> {
    let items = node.as_sequence().filter(|_| !is_expression(node));
    if items.is_none() {
        let message = format!("{what} has to be a list, not {}", describe(node));
        findings.add(Code::Type, node, message);
    }
    items
}

impl<'n> Section<'n> {
    /// The node as a mapping; nothing counts as an empty one.
    pub(super) fn new(node: &'n Node, what: String, findings: &mut Findings) -> Option<Self> {
        let entries = match node.as_mapping().filter(|_| !is_expression(node)) {
            Some(entries) => entries,
            None if is_null(node) => &[],
            None => {
                let message = format!("{what} has to be a map, not {}", describe(node));
                findings.add(Code::Type, node, message);
                return None;
            }
        };
        for (key, _) in entries.iter().filter(|(key, _)| key.as_scalar().is_none()) {
            let message = format!("a key of {what} has to be a string, not {}", describe(key));
            findings.add(Code::Type, key, message);
        }
        Some(Self { node, entries, what, key: None, slips: Vec::new() })
    }

    /// The mapping that is the value of a key.
    pub(super) fn member(&self, key: &str, what: String, findings: &mut Findings) -> Option<Self> {
        let member = Self::new(self.written(key)?, what, findings)?;
        Some(Self { key: self.key_spot(key), ..member })
    }

    /// Where something is missing: the key of the mapping, or where the item begins.
    pub(super) fn spot(&self) -> Spot {
        self.key.unwrap_or(self.node.into())
    }

    /// The value of a key, unless it is null.
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|(_, value)| value).filter(|value| !is_null(value))
    }

    /// The value of a key, also null.
    pub(super) fn written(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|(_, value)| value)
    }

    fn entry(&self, key: &str) -> Option<&'n (Node, Node)> {
        let written = self.entries.iter().find(|(k, _)| k.as_scalar().is_some_and(|k| &**k == key));
        // What was meant is read on as such, so that a slip is one finding and no more.
        written.or_else(|| self.slips.iter().find(|(known, _)| *known == key).map(|(_, e)| *e))
    }

    pub(super) fn key_spot(&self, key: &str) -> Option<Spot> {
        self.entry(key).map(|(key, _)| key.into())
    }

    /// The entries with their keys as text.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'n str, &'n Node, &'n Node)> {
        self.entries.iter().filter_map(|(key, value)| Some((&**key.as_scalar()?, key, value)))
    }

    /// Reports keys that are not known. `strict` sections turn what looks like a slip of the pen
    /// into an error, since dropping an order in silence is worse than stopping.
    pub(super) fn check_keys(
        &mut self,
        known: &[&'static str],
        strict: bool,
        findings: &mut Findings,
    ) {
        for entry in self.entries {
            let Some(name) = entry.0.as_scalar().filter(|name| !known.contains(&&***name)) else {
                continue;
            };
            let slip = within(2, name, known.iter().copied()).filter(|_| strict);
            let (level, effect, close) = match slip {
                Some(_) => (Level::Error, "", slip),
                None => {
                    (Level::Warning, " and has no effect", nearest(name, known.iter().copied()))
                }
            };
            let hint = did_you_mean(close);
            let message = format!("key {name:?} of {} is not known{effect}{hint}", self.what);
            findings.add_at(Code::UnknownKey, level, &entry.0, message);
            self.slips.extend(slip.map(|known| (known, entry)));
        }
    }

    /// A string; anything else but nothing is a finding.
    pub(super) fn text(&self, key: &str, findings: &mut Findings) -> Option<String> {
        text_of(self.get(key)?, &format!("{key:?} of {}", self.what), findings)
    }

    /// A string that must not be empty, if it is there.
    pub(super) fn filled_text(&self, key: &str, findings: &mut Findings) -> Option<String> {
        let text = self.text(key, findings)?;
        if text.is_empty() {
            let message = format!("{key:?} of {} must not be empty", self.what);
            findings.add(Code::Required, self.get(key)?, message);
            return None;
        }
        Some(text)
    }

    /// A string that has to be there and must not be empty.
    pub(super) fn required_text(&self, key: &str, findings: &mut Findings) -> Option<String> {
        self.require(key, findings)?;
        self.filled_text(key, findings)
    }

    /// What has to be there.
    pub(super) fn require(&self, key: &str, findings: &mut Findings) -> Option<&'n Node> {
        let found = self.get(key);
        let lost = self.written(key).is_some_and(|node| findings.is_lost(node));
        if found.is_none() && !lost {
            let spot = self.key_spot(key).unwrap_or(self.spot());
            findings.add(Code::Required, spot, format!("{} needs {key:?}", self.what));
        }
        found
    }

    /// A list of strings with the places of the items.
    pub(super) fn texts(&self, key: &str, findings: &mut Findings) -> Vec<(String, Spot)> {
        let Some(node) = self.get(key) else { return Vec::new() };
        let what = format!("{key:?} of {}", self.what);
        let Some(items) = list(node, &what, findings) else { return Vec::new() };
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let what = format!("item {} of {what}", index + 1);
            if let Some(text) = text_of(item, &what, findings) {
                texts.push((text, item.into()));
            }
        }
        texts
    }

    /// A list of strings, or one string.
    pub(super) fn text_or_texts(&self, key: &str, findings: &mut Findings) -> Vec<(String, Spot)> {
        match self.get(key).filter(|node| node.as_scalar().is_some()) {
            Some(node) => {
                let text = text_of(node, &format!("{key:?} of {}", self.what), findings);
                text.map(|text| (text, node.into())).into_iter().collect()
            }
            None => self.texts(key, findings),
        }
    }

    /// A map whose values carry expressions, with the node itself.
    pub(super) fn trees(&self, key: &str, findings: &mut Findings) -> Option<Trees<'n>> {
        let node = self.get(key)?;
        let section = Self::new(node, format!("{key:?} of {}", self.what), findings)?;
        let values =
            section.entries().map(|(name, _, value)| (name.to_owned(), findings.tree(value)));
        Some(Trees { node, values: values.collect() })
    }
}

/// A map whose values carry expressions.
pub(super) struct Trees<'n> {
    pub(super) node: &'n Node,
    pub(super) values: BTreeMap<String, Value>,
}

fn text_of(node: &Node, what: &str, findings: &mut Findings) -> Option<String> {
    if let (Some(text), "a string") = (node.as_scalar(), describe(node)) {
        return Some(text.to_string());
    }
    if findings.is_lost(node) {
        return None;
    }
    let hint = match describe(node) {
        "a map" => match unquoted(node) {
            Some(text) => format!("; text with \": \" in it needs quotes: '{text}'"),
            None => "; text with \": \" in it needs quotes".to_owned(),
        },
        "a number" | "a boolean" | "a date" => "; put it in quotes".to_owned(),
        "an expression" => "; expressions are not evaluated here".to_owned(),
        _ => String::new(),
    };
    let message = format!("{what} has to be a string, not {}{hint}", describe(node));
    findings.add(Code::Type, node, message);
    None
}

/// The text that was read as a map of one member, where quotes are all that it needs.
fn unquoted(node: &Node) -> Option<String> {
    let [(key, value)] = node.as_mapping()? else { return None };
    let text = format!("{}: {}", key.as_scalar()?, value.as_scalar()?);
    (!text.contains(|c: char| c == '\'' || c.is_control())).then_some(text)
}
