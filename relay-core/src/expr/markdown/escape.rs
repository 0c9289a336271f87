//! Text within HTML.

pub(super) fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
}

/// Quotes, dashes and ellipses are entities.
pub(super) fn escape_smart(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '“' => out.push_str("&ldquo;"),
            '”' => out.push_str("&rdquo;"),
            '‘' => out.push_str("&lsquo;"),
            '’' => out.push_str("&rsquo;"),
            '–' => out.push_str("&ndash;"),
            '—' => out.push_str("&mdash;"),
            '…' => out.push_str("&hellip;"),
            c => escape(c.encode_utf8(&mut [0; 4]), out),
        }
    }
}
