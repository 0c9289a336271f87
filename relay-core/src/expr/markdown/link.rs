//! Bare links in text.

/// A piece of text.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'t> {
    Text(&'t str),
    Link(&'t str),
}

const SCHEMES: [&str; 4] = ["http://", "https://", "ftp://", "mailto:"];

/// Cuts text at its bare links.
pub(super) fn split(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut rest, mut from) = (text, 0);
    while let Some((start, scheme)) = next(rest, from) {
        let (before, link) = rest.split_at_checked(start).unwrap_or((rest, ""));
        let length = length(link);
        // A scheme alone, or within a word, is no link.
        let within = before.ends_with(|c: char| c.is_alphanumeric());
        if within || length <= scheme.len() {
            from = start + scheme.len();
            continue;
        }
        let (link, after) = link.split_at_checked(length).unwrap_or((link, ""));
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        pieces.push(Piece::Link(link));
        (rest, from) = (after, 0);
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

fn next(text: &str, from: usize) -> Option<(usize, &'static str)> {
    let tail = text.get(from..)?;
    let found = SCHEMES.iter().filter_map(|scheme| Some((tail.find(scheme)? + from, *scheme)));
    found.min_by_key(|(start, _)| *start)
}

/// How far a link goes: to the next space or angle bracket, closing punctuation excluded.
fn length(text: &str) -> usize {
    let end = text.find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"'));
    let mut link = text.get(..end.unwrap_or(text.len())).unwrap_or(text);
    while let Some(last) = link.chars().next_back() {
        let unopened = last == ')' && link.matches(')').count() > link.matches('(').count();
        if !unopened && !matches!(last, '.' | ',' | ';' | ':' | '!' | '?' | '\'') {
            break;
        }
        link = link.strip_suffix(last).unwrap_or(link);
    }
    link.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_links() {
        use Piece::{Link, Text};
        for (text, expected) in [
            ("none here", vec![Text("none here")]),
            ("http://", vec![Text("http://")]),
            ("xhttp://a", vec![Text("xhttp://a")]),
            ("see https://a.b/c.", vec![Text("see "), Link("https://a.b/c"), Text(".")]),
            (
                "(http://a/(b)) ftp://c",
                vec![Text("("), Link("http://a/(b)"), Text(") "), Link("ftp://c")],
            ),
        ] {
            assert_eq!(split(text), expected, "{text}");
        }
    }
}
