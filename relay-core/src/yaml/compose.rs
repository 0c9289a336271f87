//! Events to nodes: anchors, aliases, merge keys, duplicate keys.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::{Content, Location, Node, Problem, ProblemKind, Stream, Tag};
use crate::expr::Limits;

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
        return Stream { documents: Vec::new(), problems: vec![problem] };
    }
    let mut composer = Composer {
        limits,
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        open: HashSet::new(),
        problems: Vec::new(),
    };
    let mut documents = Vec::new();
    if let Err(problem) = composer.stream(&mut documents, most) {
        composer.problems.push(problem);
    }
    let mut problems = composer.problems;
    problems.sort_by_key(|problem| problem.location);
    Stream { documents, problems }
}

struct Composer<'t> {
    limits: &'t Limits,
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    /// Anchors whose node is not complete yet.
    open: HashSet<usize>,
    problems: Vec<Problem>,
}

fn location(span: Span) -> Location {
    Location { line: span.start.line(), column: span.start.col() + 1 }
}

fn syntax(error: &ScanError) -> Problem {
    let marker = error.marker();
    let location = Location { line: marker.line(), column: marker.col() + 1 };
    // The parser reports an alias without anchor as any other error.
    let kind = if error.info().contains("unknown anchor") {
        ProblemKind::Alias
    } else {
        ProblemKind::Syntax
    };
    Problem::new(kind, location, error.info())
}

fn tag_of(tag: Option<&saphyr_parser::Tag>) -> Option<Tag> {
    let tag = tag?;
    if tag.handle == "tag:yaml.org,2002:" {
        return Some(Tag::Core(tag.suffix.as_str().into()));
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
            Event::Alias(id) => self.alias(id, location),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let content = Content::Scalar { text: text.as_ref().into(), plain };
                let tag = tag_of(tag.as_deref());
                Ok(self.finish(
                    anchor,
                    Node { location, anchor: None, tag, content: Arc::new(content), weight: 1 },
                ))
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
                Ok(self.finish(anchor, Node { location, anchor: None, tag, content, weight }))
            }
            Event::MappingStart(anchor, tag) => {
                self.open.insert(anchor);
                let tag = tag_of(tag.as_deref());
                let (entries, weight) = self.mapping(depth, tag.as_ref())?;
                let content = Arc::new(Content::Mapping(entries));
                Ok(self.finish(anchor, Node { location, anchor: None, tag, content, weight }))
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
        if anchor > 0 {
            self.open.remove(&anchor);
            self.anchors.insert(anchor, node.clone());
        }
        node
    }

    fn alias(&self, id: usize, location: Location) -> Result<Node, Problem> {
        if self.open.contains(&id) {
            let text = "the alias stands inside the value that it refers to";
            return Err(Problem::new(ProblemKind::Alias, location, text));
        }
        let target = self.anchors.get(&id).ok_or_else(|| {
            Problem::new(ProblemKind::Alias, location, "the alias has no anchor before it")
        })?;
        let anchor = Some(target.anchor.unwrap_or(target.location));
        Ok(Node { location, anchor, ..target.clone() })
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
