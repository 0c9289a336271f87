use axum::extract::Path;
use axum::http::StatusCode;
use relay_core::Decorator;

use crate::authentication::Authenticated;
use crate::body::{Json, Members};
use crate::error::ApiError;

/// `POST /decorators/{name}`: something to show beside the step, of which links are the one kind.
pub(crate) async fn set(
    caller: Authenticated,
    Path(name): Path<String>,
    body: Result<Json, ApiError>,
) -> Result<StatusCode, ApiError> {
    let journal = caller.step_journal()?;
    let decorator = decorator(Members::of(&body?.0)?)?;
    journal.set_decorator(&name, decorator).await.map_err(ApiError::writing)?;
    Ok(StatusCode::CREATED)
}

fn decorator(members: Members<'_>) -> Result<Decorator, ApiError> {
    match members.text("type")? {
        Some("link") => {
            let uri = members.text("uri")?.unwrap_or_default();
            if !is_web_address(uri) {
                return Err(ApiError::malformed(r#"the member "uri" is no http or https address"#));
            }
            let description = members.text("description")?.unwrap_or_default().to_owned();
            Ok(Decorator::Link { description, uri: uri.to_owned() })
        }
        Some(_) => Err(ApiError::malformed(r#"the member "type" names no kind of decorator"#)),
        None => Err(ApiError::malformed(r#"the member "type" is missing"#)),
    }
}

/// Whether this is an absolute address that a browser may be sent to: never `javascript:`.
fn is_web_address(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let known = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let named = !host.is_empty() && !host.starts_with(':');
    let in_one_piece = !authority.contains(char::is_whitespace) && !authority.contains('\\');
    known && named && in_one_piece && !uri.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::is_web_address;

    #[test]
    fn web_addresses() {
        for (uri, expected) in [
            ("https://example.com", true),
            ("HTTP://user@example.com:80/a b?c#d", true),
            ("http://[::1]:8080/", true),
            ("", false),
            ("/relative", false),
            ("//example.com", false),
            ("https:///path", false),
            ("https://:443/", false),
            ("javascript://example.com/%0aalert(1)", false),
            ("ftp://example.com", false),
            ("https://exa mple.com", false),
            ("https://example.com/\n", false),
        ] {
            assert_eq!(is_web_address(uri), expected, "{uri}");
        }
    }
}
