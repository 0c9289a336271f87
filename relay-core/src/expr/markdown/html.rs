//! HTML: a blank line between blocks, a line break after each.

use std::fmt::Write as _;

use pulldown_cmark::{Alignment, CodeBlockKind, Event, Options, Tag, TagEnd};

use super::escape::{escape, escape_smart};
use super::link::{self, Piece};

/// Markdown as HTML.
pub(in crate::expr) fn to_html(text: &str) -> String {
    let events = super::events(text, Options::ENABLE_SMART_PUNCTUATION);
    let mut writer = Writer::default();
    for (index, event) in events.iter().enumerate() {
        let rest = events.get(index + 1..).unwrap_or_default();
        writer.event(event, rest);
    }
    writer.out
}

/// A block that is being written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Quote,
    List { tight: bool, ordered: bool },
    Item,
    Table,
    Other,
}

struct Open {
    block: Block,
    /// Whether it has a child already, and whether the last one was a table.
    first: bool,
    after_table: bool,
}

#[derive(Default)]
struct Writer {
    out: String,
    open: Vec<Open>,
    alignments: Vec<Alignment>,
    column: usize,
    header: bool,
    /// Titles of the images that are being written: within them only text counts.
    images: Vec<String>,
    in_link: usize,
    in_code_block: bool,
}

impl Writer {
    fn line(&mut self) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
    }

    fn parent(&self) -> Option<Block> {
        self.open.last().map(|open| open.block)
    }

    /// Notes a block as a child of the one that is open; says whether it is the first, and whether
    /// a table came before it.
    fn child(&mut self, table: bool) -> (bool, bool) {
        let Some(open) = self.open.last_mut() else {
            return (self.out.is_empty(), self.out.ends_with("</table>\n"));
        };
        let before = (open.first, open.after_table);
        (open.first, open.after_table) = (false, table);
        before
    }

    fn push(&mut self, block: Block) {
        self.open.push(Open { block, first: true, after_table: false });
    }

    fn event(&mut self, event: &Event<'_>, rest: &[Event<'_>]) {
        if !self.images.is_empty() && !matches!(event, Event::Start(_) | Event::End(_)) {
            return self.alternative(event);
        }
        match event {
            Event::Start(tag) => self.start(tag, rest),
            Event::End(tag) => self.end(*tag, rest),
            Event::Text(text) if self.in_code_block => escape(text, &mut self.out),
            Event::Text(text) => self.text(text),
            Event::Code(text) => {
                self.out.push_str("<code>");
                escape(text, &mut self.out);
                self.out.push_str("</code>");
            }
            Event::Html(html) | Event::InlineHtml(html) => self.out.push_str(html),
            Event::SoftBreak => self.out.push('\n'),
            Event::HardBreak => self.out.push_str("<br>\n"),
            Event::Rule => {
                self.child(false);
                self.line();
                self.out.push_str("<hr>\n");
            }
            Event::FootnoteReference(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.text(text);
            }
            Event::TaskListMarker(_) => {}
        }
    }

    /// The text of an image.
    fn alternative(&mut self, event: &Event<'_>) {
        match event {
            Event::Text(text) | Event::Code(text) => escape(text, &mut self.out),
            Event::SoftBreak | Event::HardBreak => self.out.push(' '),
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        if self.in_link > 0 {
            return escape_smart(text, &mut self.out);
        }
        for piece in link::split(text) {
            match piece {
                Piece::Text(text) => escape_smart(text, &mut self.out),
                Piece::Link(link) => {
                    self.out.push_str("<a href=\"");
                    escape(link, &mut self.out);
                    self.out.push_str("\">");
                    escape(link, &mut self.out);
                    self.out.push_str("</a>");
                }
            }
        }
    }

    fn start(&mut self, tag: &Tag<'_>, rest: &[Event<'_>]) {
        if !self.images.is_empty() && !matches!(tag, Tag::Image { .. }) {
            return;
        }
        match tag {
            Tag::Paragraph => {
                let (first, after_table) = self.child(false);
                let line = if first { self.parent() == Some(Block::Quote) } else { !after_table };
                if line {
                    self.line();
                }
                self.out.push_str("<p>");
            }
            Tag::Heading { level, id, .. } => {
                self.child(false);
                self.line();
                let _ = write!(self.out, "<{level}");
                if let Some(id) = id {
                    self.out.push_str(" id=\"");
                    escape(id, &mut self.out);
                    self.out.push('"');
                }
                self.out.push('>');
            }
            Tag::BlockQuote(_) => {
                self.child(false);
                self.line();
                self.out.push_str("<blockquote>");
                self.push(Block::Quote);
            }
            Tag::CodeBlock(kind) => {
                self.child(false);
                self.line();
                self.in_code_block = true;
                self.out.push_str("<pre><code");
                let info = match kind {
                    CodeBlockKind::Fenced(info) => info.split_whitespace().next(),
                    CodeBlockKind::Indented => None,
                };
                if let Some(language) = info {
                    self.out.push_str(" class=\"language-");
                    escape(language, &mut self.out);
                    self.out.push('"');
                }
                self.out.push('>');
            }
            Tag::HtmlBlock => {
                self.child(false);
                self.line();
            }
            Tag::List(start) => self.start_list(start.is_some(), is_tight(rest)),
            Tag::Item => {
                let (first, _) = self.child(false);
                if !first && matches!(self.parent(), Some(Block::List { tight: false, .. })) {
                    self.line();
                }
                self.out.push_str("<li>");
                self.push(Block::Item);
            }
            Tag::DefinitionList => {
                self.child(false);
                self.line();
                self.out.push_str("<dl>\n");
                self.push(Block::Other);
            }
            Tag::DefinitionListTitle => self.out.push_str("<dt>"),
            Tag::DefinitionListDefinition => {
                self.out.push_str("<dd>");
                self.push(Block::Item);
            }
            Tag::Emphasis => self.out.push_str("<em>"),
            Tag::Strong => self.out.push_str("<strong>"),
            Tag::Strikethrough => self.out.push_str("<del>"),
            Tag::Link { dest_url, title, .. } => {
                self.in_link += 1;
                self.out.push_str("<a href=\"");
                escape(dest_url, &mut self.out);
                if !title.is_empty() {
                    self.out.push_str("\" title=\"");
                    escape(title, &mut self.out);
                }
                self.out.push_str("\">");
            }
            Tag::Image { dest_url, title, .. } => {
                if self.images.is_empty() {
                    self.out.push_str("<img src=\"");
                    escape(dest_url, &mut self.out);
                    self.out.push_str("\" alt=\"");
                }
                self.images.push(title.to_string());
            }
            table => self.start_table(table),
        }
    }

    fn start_list(&mut self, ordered: bool, tight: bool) {
        self.child(false);
        self.line();
        let list = self.open.len().checked_sub(2).and_then(|index| self.open.get(index));
        let in_tight = matches!(list.map(|open| open.block), Some(Block::List { tight: true, .. }));
        if self.parent() == Some(Block::Item) && in_tight {
            self.line();
        }
        self.out.push_str(if ordered { "<ol>\n" } else { "<ul>\n" });
        self.push(Block::List { tight, ordered });
    }

    fn start_table(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Table(alignments) => {
                self.child(true);
                self.line();
                self.alignments.clone_from(alignments);
                self.out.push_str("<table>");
                self.push(Block::Table);
            }
            Tag::TableHead => {
                self.header = true;
                self.column = 0;
                self.out.push_str("\n<thead>\n<tr>");
            }
            Tag::TableRow => {
                self.column = 0;
                self.out.push_str("\n<tr>");
            }
            Tag::TableCell => {
                if self.column == 0 {
                    self.line();
                }
                let alignment = match self.alignments.get(self.column) {
                    Some(Alignment::Left) => " align=\"left\"",
                    Some(Alignment::Center) => " align=\"center\"",
                    Some(Alignment::Right) => " align=\"right\"",
                    Some(Alignment::None) | None => "",
                };
                let _ = write!(self.out, "<{}{alignment}>", self.cell());
            }
            _ => {}
        }
    }

    fn cell(&self) -> &'static str {
        if self.header { "th" } else { "td" }
    }

    fn end(&mut self, tag: TagEnd, rest: &[Event<'_>]) {
        if tag == TagEnd::Image {
            let title = self.images.pop().unwrap_or_default();
            if self.images.is_empty() {
                if !title.is_empty() {
                    self.out.push_str("\" title=\"");
                    escape(&title, &mut self.out);
                }
                self.out.push_str("\" />");
            }
            return;
        }
        if !self.images.is_empty() {
            return;
        }
        let in_item = self.parent() == Some(Block::Item);
        let last = matches!(
            rest.first(),
            Some(Event::End(TagEnd::Item | TagEnd::DefinitionListDefinition))
        );
        match tag {
            TagEnd::Paragraph => self.close("</p>", !(in_item && last)),
            TagEnd::Heading(level) => self.close(&format!("</{level}>"), !(in_item && last)),
            TagEnd::BlockQuote(_) => {
                self.open.pop();
                self.close("</blockquote>", true);
            }
            TagEnd::CodeBlock => {
                self.in_code_block = false;
                self.close("</code></pre>", !in_item);
            }
            TagEnd::HtmlBlock => {
                if !self.out.ends_with('\n') {
                    self.out.push('\n');
                }
            }
            TagEnd::List(ordered) => {
                self.open.pop();
                let line = match self.parent() {
                    Some(Block::Item) => !last,
                    Some(_) | None => true,
                };
                self.close(if ordered { "</ol>" } else { "</ul>" }, line);
            }
            TagEnd::Item => {
                self.open.pop();
                self.close("</li>", true);
            }
            TagEnd::DefinitionList => {
                self.open.pop();
                self.close("</dl>", true);
            }
            TagEnd::DefinitionListTitle => self.close("</dt>", true),
            TagEnd::DefinitionListDefinition => {
                self.open.pop();
                self.close("</dd>", true);
            }
            TagEnd::Emphasis => self.out.push_str("</em>"),
            TagEnd::Strong => self.out.push_str("</strong>"),
            TagEnd::Strikethrough => self.out.push_str("</del>"),
            TagEnd::Link => {
                self.in_link = self.in_link.saturating_sub(1);
                self.out.push_str("</a>");
            }
            table => self.end_table(table),
        }
    }

    fn end_table(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Table => {
                self.open.pop();
                self.out.push_str("</tbody>\n</table>\n");
            }
            TagEnd::TableHead => {
                self.header = false;
                self.out.push_str("</tr>\n</thead>\n\n<tbody>");
            }
            TagEnd::TableRow => self.out.push_str("</tr>\n"),
            TagEnd::TableCell => {
                let cell = self.cell();
                self.column += 1;
                let _ = writeln!(self.out, "</{cell}>");
            }
            _ => {}
        }
    }

    fn close(&mut self, tag: &str, line: bool) {
        self.out.push_str(tag);
        if line {
            self.out.push('\n');
        }
    }
}

/// Whether the items of a list hold their text without paragraphs; `rest` is what comes after its
/// start.
fn is_tight(rest: &[Event<'_>]) -> bool {
    let mut depth = 0_usize;
    for event in rest {
        match event {
            Event::Start(Tag::Paragraph) if depth == 1 => return false,
            Event::Start(_) => depth += 1,
            Event::End(_) if depth == 0 => return true,
            Event::End(_) => depth -= 1,
            _ => {}
        }
    }
    true
}
