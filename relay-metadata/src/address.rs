//! Addresses: those that claims name, and those that people are shown.

use relay_core::{AuthenticateError, Claims};
use reqwest::Url;

use crate::query::escapes_are_whole;

/// Refuses claims with an address that cannot be read (`metadata-api.md` §3.2), also where it is not
/// used.
pub(crate) fn check_addresses(claims: &Claims) -> Result<(), AuthenticateError> {
    let mut all = [&claims.event_url, &claims.execution_url].into_iter().flatten();
    if all.all(|address| is_address(address)) {
        Ok(())
    } else {
        Err(AuthenticateError::refused("an address in the token cannot be read"))
    }
}

/// Whether this is an address, with or without a scheme.
fn is_address(text: &str) -> bool {
    let before_path = || text.split(['/', '?', '#']).next().unwrap_or_default();
    is_clean(text)
        && (Url::parse(text).is_ok() || (is_relative(text) && !before_path().contains(':')))
}

fn is_relative(text: &str) -> bool {
    Url::parse("http://localhost").and_then(|base| base.join(text)).is_ok()
}

/// Whether this is an absolute address that a browser may be sent to: never `javascript:`.
pub(crate) fn is_web_address(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let known = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let named = !host.is_empty() && !host.starts_with(':');
    let in_one_piece = !authority.contains(char::is_whitespace) && !authority.contains('\\');
    known && named && in_one_piece && is_clean(uri) && Url::parse(uri).is_ok()
}

/// Whether nothing in it would be mended by a parser that is kind.
fn is_clean(uri: &str) -> bool {
    escapes_are_whole(uri) && !uri.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_addresses() {
        for (uri, expected) in [
            ("https://example.com", true),
            ("HTTP://user@example.com:80/a b?c#d", true),
            ("http://[::1]:8080/", true),
            ("https://x/%7a?%20", true),
            ("", false),
            ("/relative", false),
            ("//example.com", false),
            ("https:///path", false),
            ("https://:443/", false),
            ("javascript://example.com/%0aalert(1)", false),
            ("ftp://example.com", false),
            ("https://exa mple.com", false),
            ("https://example.com/\n", false),
            ("https://[::1", false),
            ("https://x:port/", false),
            ("https://x:99999/", false),
            ("https://%zz/", false),
            ("https://x/%zz", false),
            ("https://<x>", false),
        ] {
            assert_eq!(is_web_address(uri), expected, "{uri}");
        }
    }

    #[test]
    fn addresses() {
        for (uri, expected) in [
            ("https://user:pw@example.com:80/a?b=c", true),
            ("http://[::1]/", true),
            ("/events", true),
            ("events/a:b", true),
            ("", true),
            ("http://[::1", false),
            ("//[::1", false),
            ("http://x:port/", false),
            ("%zz", false),
            ("http://x/%2", false),
            (":foo", false),
            ("http://x/\t", false),
        ] {
            assert_eq!(is_address(uri), expected, "{uri}");
        }
    }
}
