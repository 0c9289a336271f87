//! What `convertMarkdown` writes (`expressions.md` §8.1). Markdown is read by `pulldown-cmark`;
//! the two renderers are ours, since clients compare the text.

mod escape;
mod html;
mod jira;
mod link;

pub(super) use html::to_html;
pub(super) use jira::to_jira;

use pulldown_cmark::{Event, Options, Parser, TextMergeStream};

/// Tables, strikethrough, definition lists and `{#id}` on headings.
const EXTENSIONS: Options = Options::ENABLE_TABLES
    .union(Options::ENABLE_STRIKETHROUGH)
    .union(Options::ENABLE_DEFINITION_LIST)
    .union(Options::ENABLE_HEADING_ATTRIBUTES);

fn events(text: &str, more: Options) -> Vec<Event<'_>> {
    TextMergeStream::new(Parser::new_ext(text, EXTENSIONS | more)).collect()
}
