//! What `convertMarkdown` writes (`expressions.md` §8.1). Markdown is read by `pulldown-cmark`;
//! the two renderers are ours, since clients compare the text.

mod escape;
mod html;
mod jira;
mod link;

pub(super) use html::to_html;
pub(super) use jira::to_jira;

use std::ops::Range;

use pulldown_cmark::{CowStr, Event, LinkType, Options, Parser, Tag, TagEnd, TextMergeStream};

/// Tables, strikethrough, definition lists and `{#id}` on headings.
const EXTENSIONS: Options = Options::ENABLE_TABLES
    .union(Options::ENABLE_STRIKETHROUGH)
    .union(Options::ENABLE_DEFINITION_LIST)
    .union(Options::ENABLE_HEADING_ATTRIBUTES);

fn events(text: &str, more: Options) -> Vec<Event<'_>> {
    let mut within_words = Vec::new();
    let parser = Parser::new_ext(text, EXTENSIONS | more).into_offset_iter();
    let events = parser.map(|(event, range)| match event {
        Event::Start(Tag::Emphasis | Tag::Strong) => {
            let mark = mark_within_word(text, &event, &range);
            within_words.push(mark);
            mark.map_or(event, |mark| Event::Text(mark.into()))
        }
        Event::End(TagEnd::Emphasis | TagEnd::Strong) => match within_words.pop().flatten() {
            Some(mark) => Event::Text(mark.into()),
            None => event,
        },
        Event::Start(Tag::Link { link_type: LinkType::Email, dest_url, title, id }) => {
            let dest_url = CowStr::from(format!("mailto:{dest_url}"));
            Event::Start(Tag::Link { link_type: LinkType::Email, dest_url, title, id })
        }
        event => event,
    });
    TextMergeStream::new(events).collect()
}

/// The marks of emphasis that ends inside a word, where they are only characters.
fn mark_within_word<'t>(text: &'t str, event: &Event<'_>, range: &Range<usize>) -> Option<&'t str> {
    let after = text.get(range.end..)?.chars().next()?;
    let marks = if matches!(event, Event::Start(Tag::Strong)) { 2 } else { 1 };
    if after.is_alphanumeric() { text.get(range.start..range.start + marks) } else { None }
}
