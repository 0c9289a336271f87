//! Events to nodes: anchors, aliases, merge keys, duplicate keys.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::{Content, Location, Node, Problem, ProblemKind, Stream, Tag};
use crate::expr::Limits;
use crate::value::Value;

/// How many aliases without anchor are reported.
const MAX_LOST_ALIASES: usize = 32;

/// The parser counts brackets in a byte. JSON, of which there is a reader of our own, may nest as deep
/// as blocks do.
const FLOW_LIMIT: &str = "brackets are nested more than 255 levels deep; blocks may nest deeper";

/// Reads all documents of a text.
#[must_use]
pub fn read(text: &str) -> Stream {
    read_within(text, &Limits::default())
}

/// Reads all documents of a text within these limits; values count with their aliases expanded.
#[must_use]
pub fn read_within(text: &str, limits: &Limits) -> Stream {
    read_documents(text, limits, usize::MAX)
}

/// Reads the first so many documents of a text.
pub(super) fn read_documents(text: &str, limits: &Limits, most: usize) -> Stream {
    if limits.check_text(text.len()).is_err() {
        let problem = format!("more than {} bytes of text", limits.text);
        let problem = Problem::new(ProblemKind::Limit, Location::default(), problem);
        return Stream { problems: vec![problem], ..Stream::default() };
    }
    let stream = beyond_lost_aliases(text, |text, lost| read_without(text, lost, limits, most));
    if stream.problems.iter().any(|problem| problem.text == FLOW_LIMIT)
        && let Ok(value) = Value::from_json(text)
    {
        let document = of_json(&value);
        if document.height <= limits.nesting() && document.weight <= limits.nodes {
            return Stream { documents: vec![document], ..Stream::default() };
        }
    }
    stream
}

/// JSON as nodes that do not know where they stand.
fn of_json(value: &Value) -> Node {
    let scalar = |text: &str, plain| Content::Scalar { text: text.into(), plain };
    let content = crate::stack::grow(|| match value {
        Value::Text(text) => scalar(text, false),
        Value::List(items) => Content::Sequence(items.iter().map(of_json).collect()),
        Value::Map(members) => Content::Mapping(
            members
                .iter()
                .map(|(key, member)| (of_json(&Value::Text(Arc::clone(key))), of_json(member)))
                .collect(),
        ),
        other => scalar(&other.to_json(), true),
    });
    let weight = match &content {
        Content::Scalar { .. } => 1,
        Content::Sequence(items) => 1 + items.iter().map(|item| item.weight).sum::<usize>(),
        Content::Mapping(entries) => {
            1 + entries.iter().map(|(key, value)| key.weight + value.weight).sum::<usize>()
        }
    };
    let start = Location { line: 1, column: 1 };
    Node { height: height(&content), weight, content: Arc::new(content), ..nothing(start) }
}

/// Reads a text in which the aliases at `lost` have no anchor and hold nothing.
fn read_without(text: &str, lost: &HashSet<Location>, limits: &Limits, most: usize) -> Stream {
    let mut composer = Composer {
        limits,
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        open: HashSet::new(),
        problems: Vec::new(),
        lost,
    };
    let mut documents = Vec::new();
    let mut ended_at = None;
    if let Err(problem) = composer.stream(&mut documents, most) {
        ended_at = Some(problem.location);
        composer.problems.push(problem);
    }
    let mut problems = composer.problems;
    problems.sort_by_key(|problem| problem.location);
    Stream { documents, problems, ended_at }
}

struct Composer<'t> {
    limits: &'t Limits,
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    /// Anchors whose node is not complete yet.
    open: HashSet<usize>,
    problems: Vec<Problem>,
    /// Where aliases without anchor stood.
    lost: &'t HashSet<Location>,
}

fn location(span: Span) -> Location {
    Location { line: span.start.line(), column: span.start.col() + 1 }
}

fn syntax(error: &ScanError) -> Problem {
    let marker = error.marker();
    let location = Location { line: marker.line(), column: marker.col() + 1 };
    if error.info() == "recursion limit exceeded" {
        return Problem::new(ProblemKind::Limit, location, FLOW_LIMIT);
    }
    // The parser reports an alias without anchor as any other error.
    let kind = if error.info().contains("unknown anchor") {
        ProblemKind::Alias
    } else {
        ProblemKind::Syntax
    };
    Problem::new(kind, location, error.info())
}

fn tag_of(tag: Option<&saphyr_parser::Tag>) -> Option<Tag> {
    const CORE: &str = "tag:yaml.org,2002:";
    let tag = tag?;
    if tag.handle == CORE {
        return Some(Tag::Core(tag.suffix.as_str().into()));
    }
    // Written out, as `!<tag:yaml.org,2002:str>`.
    if let ("" | "!", Some(name)) = (tag.handle.as_str(), tag.suffix.strip_prefix(CORE)) {
        return Some(Tag::Core(name.into()));
    }
    match (tag.handle.as_str(), tag.suffix.as_str()) {
        ("!" | "", "" | "!") => Some(Tag::Core("str".into())),
        ("" | "!", suffix) => Some(Tag::Local(suffix.trim_start_matches('!').into())),
        (handle, suffix) => Some(Tag::Local(format!("{handle}{suffix}").into())),
    }
}

impl<'t> Composer<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Problem> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(syntax(&error)),
            None => Err(Problem::new(
                ProblemKind::Syntax,
                Location::default(),
                "the text ends inside a document",
            )),
        }
    }

    fn stream(&mut self, documents: &mut Vec<Node>, most: usize) -> Result<(), Problem> {
        while documents.len() < most {
            let (event, _) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(()),
                Event::DocumentStart(_) => {
                    self.anchors.clear();
                    let (event, span) = self.next()?;
                    documents.push(self.node(event, span, 0)?);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Problem> {
        let location = location(span);
        if depth > self.limits.nesting() {
            let text = format!("nested more than {} levels deep", self.limits.nesting());
            return Err(Problem::new(ProblemKind::Limit, location, text));
        }
        crate::stack::grow(|| match event {
            Event::Alias(id) => self.alias(id, location, depth),
            Event::Scalar(..) if self.lost.contains(&location) => {
                let text = "the alias has no anchor before it";
                Ok(self.no_target(location, text))
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let content = Content::Scalar { text: text.as_ref().into(), plain };
                let tag = tag_of(tag.as_deref());
                Ok(self
                    .finish(anchor, Node { tag, content: Arc::new(content), ..nothing(location) }))
            }
            Event::SequenceStart(anchor, tag) => {
                self.open.insert(anchor);
                let mut items = Vec::new();
                let mut weight = 1;
                loop {
                    let (event, span) = self.next()?;
                    if matches!(event, Event::SequenceEnd) {
                        break;
                    }
                    let item = self.node(event, span, depth + 1)?;
                    weight = self.add_weight(weight, &item)?;
                    items.push(item);
                }
                let tag = tag_of(tag.as_deref());
                let content = Arc::new(Content::Sequence(items));
                Ok(self.finish(anchor, Node { tag, content, weight, ..nothing(location) }))
            }
            Event::MappingStart(anchor, tag) => {
                self.open.insert(anchor);
                let tag = tag_of(tag.as_deref());
                let (entries, weight) = self.mapping(depth, tag.as_ref())?;
                let content = Arc::new(Content::Mapping(entries));
                Ok(self.finish(anchor, Node { tag, content, weight, ..nothing(location) }))
            }
            _ => Err(Problem::new(ProblemKind::Syntax, location, "expected a value")),
        })
    }

    fn add_weight(&self, weight: usize, node: &Node) -> Result<usize, Problem> {
        let (sum, most) = (weight.saturating_add(node.weight), self.limits.nodes);
        if sum > most {
            let text = format!("more than {most} values once aliases are expanded");
            return Err(Problem::new(ProblemKind::Limit, node.location, text));
        }
        Ok(sum)
    }

    fn finish(&mut self, anchor: usize, node: Node) -> Node {
        let node = Node { height: height(&node.content), ..node };
        if anchor > 0 {
            self.open.remove(&anchor);
            self.anchors.insert(anchor, node.clone());
        }
        node
    }

    fn alias(&mut self, id: usize, location: Location, depth: usize) -> Result<Node, Problem> {
        if self.open.contains(&id) {
            let text = "the alias stands inside the value that it refers to";
            return Ok(self.no_target(location, text));
        }
        let target = self.anchors.get(&id).ok_or_else(|| {
            Problem::new(ProblemKind::Alias, location, "the alias has no anchor before it")
        })?;
        // Aliases in aliases must not nest deeper than what is written out may.
        if depth + target.height > self.limits.nesting() {
            let text = format!("nested more than {} levels deep", self.limits.nesting());
            return Err(Problem::new(ProblemKind::Limit, location, text));
        }
        Ok(target.through(location))
    }

    /// An alias that leads nowhere is found, and holds nothing.
    fn no_target(&mut self, location: Location, text: &str) -> Node {
        self.problems.push(Problem::new(ProblemKind::Alias, location, text));
        nothing(location)
    }

    fn mapping(
        &mut self,
        depth: usize,
        tag: Option<&Tag>,
    ) -> Result<(Vec<(Node, Node)>, usize), Problem> {
        // The fields of a reference are its shape.
        let duplicate = match tag {
            Some(Tag::Local(name)) if !name.starts_with("Fn.") => ProblemKind::BadShape,
            _ => ProblemKind::DuplicateKey,
        };
        let mut entries: Vec<(Node, Node)> = Vec::new();
        let mut seen: HashMap<Arc<str>, Location> = HashMap::new();
        let mut merged = Vec::new();
        let mut weight = 1;
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            weight = self.add_weight(weight, &key)?;
            weight = self.add_weight(weight, &value)?;
            if is_merge(&key) {
                self.merge(&key, &value, &mut merged);
                continue;
            }
            if let Some(text) = key.as_scalar() {
                if let Some(first) = seen.get(text) {
                    let line = first.line;
                    let text = format!("the key {text:?} is there already, at line {line}");
                    self.problems.push(Problem::new(duplicate, key.location, text));
                    continue;
                }
                seen.insert(text.clone(), key.location);
            }
            entries.push((key, value));
        }
        // What is written out wins over what is merged, earlier merges over later ones.
        for (key, value) in merged {
            let known = key.as_scalar().is_some_and(|text| seen.contains_key(text));
            if !known {
                if let Some(text) = key.as_scalar() {
                    seen.insert(text.clone(), key.location);
                }
                entries.push((key, value));
            }
        }
        Ok((entries, weight))
    }

    fn merge(&mut self, key: &Node, value: &Node, merged: &mut Vec<(Node, Node)>) {
        let maps = match value.content.as_ref() {
            Content::Sequence(items) => items.as_slice(),
            _ => std::slice::from_ref(value),
        };
        for map in maps {
            match map.as_mapping() {
                Some(entries) if map.anchor.is_some() => {
                    let through = |(key, value): &(Node, Node)| {
                        (key.through(map.location), value.through(map.location))
                    };
                    merged.extend(entries.iter().map(through));
                }
                Some(entries) => merged.extend(entries.iter().cloned()),
                None => self.problems.push(Problem::new(
                    ProblemKind::Merge,
                    key.location,
                    "`<<` merges a mapping or a list of mappings",
                )),
            }
        }
    }
}

fn is_merge(key: &Node) -> bool {
    matches!(key.content.as_ref(), Content::Scalar { text, plain: true } if &**text == "<<")
        && key.tag.is_none()
}

/// A node that holds nothing.
fn nothing(location: Location) -> Node {
    let content = Arc::new(Content::Scalar { text: "".into(), plain: true });
    Node { location, anchor: None, tag: None, content, weight: 1, height: 0 }
}

/// How many levels there are below a node, with all aliases expanded.
fn height(content: &Content) -> usize {
    let members: Option<usize> = match content {
        Content::Scalar { .. } => None,
        Content::Sequence(items) => items.iter().map(|item| item.height).max(),
        Content::Mapping(entries) => {
            entries.iter().map(|(key, value)| key.height.max(value.height)).max()
        }
    };
    members.map_or(0, |height| height + 1)
}

/// The parser ends at an alias without anchor. The rest of the text is read with nothing there.
fn beyond_lost_aliases(text: &str, read: impl Fn(&str, &HashSet<Location>) -> Stream) -> Stream {
    let mut lost = HashSet::new();
    let mut stream = read(text, &lost);
    let mut text = Cow::Borrowed(text);
    while let Some(alias) = stream.lost_alias() {
        lost.insert(alias);
        let Some(rest) = without_alias(&text, alias) else { break };
        let next = read(&rest, &lost);
        let worse = next.problems.iter().any(|problem| problem.kind == ProblemKind::Syntax);
        if worse || lost.len() > MAX_LOST_ALIASES {
            break;
        }
        text = Cow::Owned(rest);
        stream = next;
    }
    stream
}

impl Stream {
    /// The alias at which reading ended.
    fn lost_alias(&self) -> Option<Location> {
        let at_end = |problem: &&Problem| Some(problem.location) == self.ended_at;
        let problem = self.problems.iter().find(at_end)?;
        (problem.kind == ProblemKind::Alias).then_some(problem.location)
    }
}

/// The text with a tag in the place of an alias: nothing, as long as the alias was.
fn without_alias(text: &str, alias: Location) -> Option<String> {
    let lines = text.split_inclusive('\n').take(alias.line.checked_sub(1)?);
    let line = lines.map(str::len).sum::<usize>();
    let (column, _) = text.get(line..)?.char_indices().nth(alias.column.checked_sub(1)?)?;
    let at = line + column;
    let rest = text.get(at..)?.strip_prefix('*')?;
    Some(format!("{}!{rest}", text.get(..at)?))
}

#[cfg(test)]
mod tests {
    use crate::value::Value;
    use crate::yaml;

    #[test]
    fn json_nests_as_deep_as_blocks() {
        let nested = |open: &str, depth, inner: &str, close: &str| {
            format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
        };
        let inner = r#"[1,"1",null,true,1.5,{"<<":{"a":"b"}}]"#;
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            for depth in [200, 300, 508] {
                let json = nested(open, depth, inner, close);
                let tree = yaml::tree(&json).unwrap();
                assert_eq!(tree, Value::from_json(&json).unwrap(), "{depth} of {open}");
            }
            let problem = yaml::tree(&nested(open, 600, "1", close)).unwrap_err();
            assert_eq!(problem.kind, yaml::ProblemKind::Limit, "{open}");
        }
        let problem = yaml::tree(&nested("[", 300, "x", "]")).unwrap_err();
        assert_eq!(problem.kind, yaml::ProblemKind::Limit, "no JSON");
    }

    #[test]
    fn tags_that_are_written_out() {
        let tagged = |name: &str, text: &str| format!("!<tag:yaml.org,2002:{name}> {text}");
        for (name, text, expected) in [
            ("str", "5", r#""5""#),
            ("int", "5", "5"),
            ("binary", "AAE=", r#"{"$encoding":"base64","data":"AAE="}"#),
            ("seq", "[1]", "[1]"),
        ] {
            let tree = yaml::tree(&tagged(name, text)).unwrap();
            assert_eq!(tree.to_json(), expected, "{name}");
        }
        assert!(yaml::tree(&tagged("int", "x")).is_err());
    }
}
