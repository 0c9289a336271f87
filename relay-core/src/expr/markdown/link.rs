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
    let mut done = 0;
    for (colon, _) in text.match_indices(':') {
        let Some((start, scheme)) = scheme(text, colon).filter(|(start, _)| *start >= done) else {
            continue;
        };
        let before = text.get(done..start).unwrap_or_default();
        // Within a word there is no link, and a scheme alone is none.
        if before.ends_with(|c: char| c.is_alphanumeric()) {
            continue;
        }
        let length = length(text.get(start..).unwrap_or_default());
        if length <= scheme.len() {
            continue;
        }
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        pieces.extend(text.get(start..start + length).map(Piece::Link));
        done = start + length;
    }
    let rest = text.get(done..).unwrap_or_default();
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

/// The scheme with this colon, and where it starts.
fn scheme(text: &str, colon: usize) -> Option<(usize, &'static str)> {
    SCHEMES.iter().find_map(|scheme| {
        let start = colon.checked_sub(scheme.find(':')?)?;
        text.get(start..)?.starts_with(scheme).then_some((start, *scheme))
    })
}

/// How far a link goes: to the next space or angle bracket, closing punctuation excluded.
fn length(text: &str) -> usize {
    let end = text.find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"'));
    let mut link = text.get(..end.unwrap_or(text.len())).unwrap_or(text);
    let opened = link.matches('(').count();
    let mut closed = link.matches(')').count();
    while let Some(last) = link.chars().next_back() {
        match last {
            ')' if closed > opened => closed -= 1,
            '.' | ',' | ';' | ':' | '!' | '?' | '\'' => {}
            _ => break,
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
