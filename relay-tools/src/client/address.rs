//! Where the metadata API is, and who its URL says we are.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// The address of a metadata API, with the credentials of its URL kept apart.
///
/// `Debug` and `Display` show scheme, host and port only.
pub struct Address {
    base: Url,
    credentials: Option<Credentials>,
}

struct Credentials {
    // Some callers put the token where the user name belongs.
    user: SecretString,
    password: SecretString,
}

impl Address {
    /// Reads a URL such as `http://:TOKEN@127.0.0.1:8080`.
    ///
    /// Path, query and fragment are dropped: the API lives at the root of its host and port.
    ///
    /// # Errors
    /// [`AddressError`], which never repeats the text, for it may hold a token.
    pub fn parse(url: &str) -> Result<Self, AddressError> {
        let mut base = Url::parse(url.trim())
            .map_err(|error| AddressError::Syntax { reason: error.to_string() })?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(AddressError::Scheme);
        }
        let user = decoded(base.username())?;
        let password = decoded(base.password().unwrap_or_default())?;
        let credentials = (!user.is_empty() || !password.is_empty())
            .then(|| Credentials { user: user.into(), password: password.into() });
        // These two fail only for URLs that cannot have a host, which `scheme` has ruled out.
        base.set_username("").map_err(|()| AddressError::Scheme)?;
        base.set_password(None).map_err(|()| AddressError::Scheme)?;
        base.set_path("/");
        base.set_query(None);
        base.set_fragment(None);
        Ok(Self { base, credentials })
    }

    /// Whether it asks for TLS.
    pub(super) fn is_tls(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// The URL of an absolute, already percent-encoded path.
    pub(super) fn url(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// The header that says who we are, where the URL does.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let Credentials { user, password } = self.credentials.as_ref()?;
        let pair = Zeroizing::new(format!("{}:{}", user.expose_secret(), password.expose_secret()));
        let encoded = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
        let mut value = HeaderValue::from_str(&encoded).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

fn decoded(part: &str) -> Result<String, AddressError> {
    percent_decode_str(part)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| AddressError::Syntax { reason: "user information is not UTF-8".to_owned() })
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.base.fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("base", &self.base.as_str())
            .field("credentials", &self.credentials.is_some())
            .finish()
    }
}

/// A URL that cannot be the address of a metadata API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Not a URL.
    #[error("the address of the metadata API is not a URL: {reason}")]
    Syntax {
        /// What is wrong, without the text itself.
        reason: String,
    },
    /// Neither `http` nor `https`.
    #[error("the address of the metadata API must begin with http:// or https://")]
    Scheme,
}
