//! The markup of Jira.

use pulldown_cmark::{CodeBlockKind, Event, Options, Tag, TagEnd};
use regex::Regex;
use std::sync::LazyLock;

/// A rule written into the middle of a text.
static RULE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(^|\s+)(-\s*-\s*-)(\s+|$)").ok());

/// Markdown as Jira markup.
pub(in crate::expr) fn to_jira(text: &str) -> String {
    let events = super::events(text, Options::empty());
    let mut writer = Writer::default();
    for (index, event) in events.iter().enumerate() {
        writer.event(event, events.get(index + 1));
    }
    writer.out.trim_end_matches('\n').to_owned()
}

#[derive(Default)]
struct Writer {
    out: String,
    /// The marks of the lists that are open: `*` or `#`.
    lists: Vec<char>,
    /// Whether an item was opened and nothing written in it yet.
    item_is_empty: bool,
    in_code_block: bool,
    in_image: usize,
    /// Where the links lead that are open.
    links: Vec<String>,
    header: bool,
}

impl Writer {
    /// Begins a block: with an empty line before it, but within lists on a line of its own.
    fn block(&mut self) {
        if std::mem::take(&mut self.item_is_empty) || self.out.is_empty() {
            return;
        }
        let lines = if self.lists.is_empty() { "\n\n" } else { "\n" };
        let kept = self.out.trim_end_matches('\n').len();
        self.out.truncate(kept);
        self.out.push_str(lines);
    }

    fn event(&mut self, event: &Event<'_>, next: Option<&Event<'_>>) {
        match event {
            Event::End(TagEnd::Link) => self.end_link(),
            Event::Start(tag) => self.start(tag, next),
            Event::End(tag) => self.end(*tag),
            Event::Text(text) if self.in_code_block => self.out.push_str(text),
            Event::Text(text) => self.text(text),
            Event::Code(text) => {
                self.item_is_empty = false;
                self.out.push_str("{code}");
                self.out.push_str(text);
                self.out.push_str("{code}");
            }
            Event::SoftBreak => self.out.push('\n'),
            Event::HardBreak => self.out.push_str("\\\\\n"),
            Event::Rule => {
                self.block();
                self.out.push_str("----");
            }
            Event::Html(text)
            | Event::InlineHtml(text)
            | Event::FootnoteReference(text)
            | Event::InlineMath(text)
            | Event::DisplayMath(text) => self.out.push_str(text),
            Event::TaskListMarker(_) => {}
        }
    }

    /// What monitoring services wrap their Markdown in is left out, and rules within a line are
    /// rules.
    fn text(&mut self, text: &str) {
        if self.in_image > 0 {
            return;
        }
        self.item_is_empty = false;
        let text = match RULE.as_ref() {
            Some(rule) => rule.replace_all(text, "\n----\n"),
            None => text.into(),
        };
        let text = text.strip_prefix("%%% ").unwrap_or(&text);
        self.out.push_str(text.strip_suffix(" %%%").unwrap_or(text));
    }

    fn start(&mut self, tag: &Tag<'_>, next: Option<&Event<'_>>) {
        match tag {
            Tag::Paragraph | Tag::DefinitionListDefinition | Tag::HtmlBlock | Tag::Table(_) => {
                self.block();
            }
            Tag::Heading { level, .. } => {
                self.block();
                self.out.push_str(&level.to_string());
                self.out.push_str(". ");
            }
            Tag::BlockQuote(_) => {
                self.block();
                self.out.push_str("{quote}\n");
                self.item_is_empty = true;
            }
            Tag::CodeBlock(kind) => {
                self.block();
                self.in_code_block = true;
                let language = match kind {
                    CodeBlockKind::Fenced(info) => info.split_whitespace().next(),
                    CodeBlockKind::Indented => None,
                };
                match language {
                    Some(language) => {
                        self.out.push_str("{code:");
                        self.out.push_str(language);
                        self.out.push_str("}\n");
                    }
                    None => self.out.push_str("{code}\n"),
                }
            }
            Tag::List(start) => {
                if self.lists.is_empty() {
                    self.block();
                }
                self.lists.push(if start.is_some() { '#' } else { '*' });
            }
            Tag::Item => {
                if !self.out.is_empty() && !self.out.ends_with('\n') {
                    self.out.push('\n');
                }
                self.out.extend(&self.lists);
                self.out.push(' ');
                self.item_is_empty = true;
            }
            Tag::DefinitionListTitle => {
                self.block();
                self.out.push('*');
            }
            Tag::Emphasis => self.out.push('_'),
            Tag::Strong => self.out.push('*'),
            Tag::Strikethrough => self.out.push('-'),
            Tag::Link { dest_url, .. } => {
                self.links.push(dest_url.to_string());
                if matches!(next, Some(Event::Start(Tag::Image { .. }))) {
                    self.out.push_str("\n\n");
                }
                self.item_is_empty = false;
                self.out.push('[');
            }
            Tag::Image { dest_url, .. } => {
                if !self.out.ends_with('[') {
                    self.out.push_str("\n\n");
                }
                if self.in_image == 0 {
                    self.out.push('!');
                    self.out.push_str(dest_url);
                    self.out.push('!');
                }
                self.in_image += 1;
            }
            Tag::TableHead => self.header = true,
            Tag::TableCell => self.out.push_str(if self.header { "||" } else { "|" }),
            _ => {}
        }
    }

    fn end_link(&mut self) {
        self.out.push('|');
        self.out.push_str(&self.links.pop().unwrap_or_default());
        self.out.push(']');
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::BlockQuote(_) => self.out.push_str("\n{quote}"),
            TagEnd::CodeBlock => {
                self.in_code_block = false;
                self.out.push_str("{code}");
            }
            TagEnd::List(_) => {
                self.lists.pop();
                self.item_is_empty = false;
            }
            TagEnd::DefinitionListTitle | TagEnd::Strong => self.out.push('*'),
            TagEnd::Emphasis => self.out.push('_'),
            TagEnd::Strikethrough => self.out.push('-'),
            TagEnd::Image => self.in_image = self.in_image.saturating_sub(1),
            TagEnd::TableHead => {
                self.header = false;
                self.out.push_str("||\n");
            }
            TagEnd::TableRow => self.out.push_str("|\n"),
            _ => {}
        }
    }
}
