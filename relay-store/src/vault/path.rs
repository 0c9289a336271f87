use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::VaultError;

/// What is left as it is in a segment of an address.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A path in Vault: segments between slashes, none of which is empty or made of dots, so that no
/// name leads out of the path that it is joined to.
///
/// ```
/// use relay_store::VaultPath;
///
/// let tenant = VaultPath::new("/workflows/w1/")?;
/// assert_eq!(tenant.join("db/password")?.to_string(), "workflows/w1/db/password");
/// assert!(tenant.join("../w2/password").is_err());
/// # Ok::<(), relay_store::VaultError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct VaultPath(String);

impl VaultPath {
    /// The path of this text; slashes around it are left out.
    ///
    /// # Errors
    ///
    /// When nothing is left, or a segment is empty, `.` or `..`, or holds control characters.
    pub fn new(text: &str) -> Result<Self, VaultError> {
        let path = text.trim_matches('/');
        check(path)?;
        Ok(Self(path.to_owned()))
    }

    /// A name below this path. Slashes in it lead deeper.
    ///
    /// # Errors
    ///
    /// As for [`VaultPath::new`], and when the name begins or ends with a slash.
    pub fn join(&self, name: &str) -> Result<Self, VaultError> {
        check(name)?;
        Ok(Self(format!("{self}/{name}")))
    }

    /// One of the fixed places below this path.
    pub(super) fn below(&self, place: &'static str) -> Self {
        Self(format!("{self}/{place}"))
    }

    /// Another path below this one.
    pub(super) fn with(&self, other: &Self) -> Self {
        Self(format!("{self}/{other}"))
    }

    /// As it stands in an address.
    pub(super) fn encoded(&self) -> String {
        let segments = self.0.split('/').map(|segment| utf8_percent_encode(segment, ENCODED));
        segments.map(|segment| segment.to_string()).collect::<Vec<_>>().join("/")
    }
}

fn check(path: &str) -> Result<(), VaultError> {
    let wrong = |problem| VaultError::Path { path: path.to_owned(), problem };
    for segment in path.split('/') {
        match segment {
            "" => return Err(wrong("a segment is empty")),
            "." | ".." => return Err(wrong("a segment is made of dots")),
            segment if segment.contains(char::is_control) => {
                return Err(wrong("there are control characters in it"));
            }
            _ => {}
        }
    }
    Ok(())
}

impl fmt::Display for VaultPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for VaultPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_its_path() {
        let tenant = VaultPath::new("workflows/w1").unwrap();
        for name in [
            "", "/", ".", "..", "../w2", "a/..", "a/../b", "a//b", "/a", "a/", "a/./b", "..\n",
            "\t..", ".\n.", "a\0b", "\u{7f}",
        ] {
            assert!(tenant.join(name).is_err(), "{name:?}");
        }
        for (name, encoded) in [
            ("pw", "workflows/w1/pw"),
            ("a/b", "workflows/w1/a/b"),
            ("...", "workflows/w1/..."),
            ("%2e%2e", "workflows/w1/%252e%252e"),
            ("..%2fw2", "workflows/w1/..%252fw2"),
            ("..\\w2", "workflows/w1/..%5Cw2"),
            ("a b?c=d#e;f", "workflows/w1/a%20b%3Fc%3Dd%23e%3Bf"),
            ("ö", "workflows/w1/%C3%B6"),
        ] {
            let path = tenant.join(name).unwrap();
            assert_eq!(path.encoded(), encoded);
            // What reads addresses sees the same segments.
            let url = reqwest::Url::parse(&format!("http://vault/{encoded}")).unwrap();
            assert_eq!(url.path(), format!("/{encoded}"));
        }
    }

    #[test]
    fn paths_of_settings_and_claims() {
        for text in ["transit", "/transit", "transit/", "//transit//"] {
            assert_eq!(VaultPath::new(text).unwrap().to_string(), "transit", "{text}");
        }
        for text in ["", "/", "..", "auth/../sys", "auth//jwt"] {
            assert!(VaultPath::new(text).is_err(), "{text}");
        }
    }
}
