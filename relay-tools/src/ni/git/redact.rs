//! What git says, fit for a log.

const LONGEST: usize = 2000;
const HIDDEN: &str = "***";

/// The message without user information: that of `url`, wherever it stands, and that of every
/// other URL, such as a redirected one.
pub(super) fn redacted(said: &str, url: &str) -> String {
    let mut text = said.trim().to_owned();
    if let Some(user) = user_information(url) {
        let password = user.split_once(':').map_or(user, |(_, password)| password);
        for secret in [user, password] {
            if !secret.is_empty() {
                text = text.replace(secret, HIDDEN);
            }
        }
    }
    let mut rest = text.as_str();
    let mut clean = String::new();
    while let Some((before, after)) = rest.split_once("://") {
        clean.extend([before, "://"]);
        rest = match authority(after).rsplit_once('@') {
            Some((user, _)) => {
                clean.push_str(HIDDEN);
                after.strip_prefix(user).unwrap_or_default()
            }
            None => after,
        };
    }
    clean.push_str(rest);
    clean.chars().take(LONGEST).collect()
}

/// The user information of a URL with a scheme. That of `user@host:path` is no secret.
fn user_information(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    authority(rest).rsplit_once('@').map(|(user, _)| user)
}

fn authority(rest: &str) -> &str {
    rest.split(|c: char| c == '/' || c == '\'' || c == '"' || c.is_whitespace())
        .next()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_information_is_hidden() {
        let url = "https://bot:canary@host.example/a.git";
        let cases = [
            ("nothing to hide", "fatal: x", "fatal: x"),
            (
                "the URL",
                "fatal: unable to access 'https://bot:canary@host.example/a.git/': 403\n",
                "fatal: unable to access 'https://***@host.example/a.git/': 403",
            ),
            ("the password alone", "bad: canary", "bad: ***"),
            ("another URL", "to http://x:y@h/ and ssh://z@h", "to http://***@h/ and ssh://***@h"),
            ("no user", "at https://h/a@b", "at https://h/a@b"),
        ];
        for (name, said, expected) in cases {
            assert_eq!(redacted(said, url), expected, "{name}");
        }
        assert_eq!(redacted("git@h:x token", "git@h:x"), "git@h:x token", "no scheme");
    }
}
