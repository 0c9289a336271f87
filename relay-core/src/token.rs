//! Tokens: signed claims. One algorithm per key, so that no header can choose another.

use std::collections::HashSet;
use std::fmt;

use async_trait::async_trait;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

use crate::claims::{AUDIENCE, Claims};

/// Makes tokens of claims. Implement it where keys live elsewhere, such as in a Vault.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use relay_core::{Action, Claims, Hs256Key, TokenSigner as _, TokenVerifier as _};
///
/// let key = Hs256Key::generate();
/// let action = Action::step("1".parse()?, "build".parse()?);
/// let token = key.sign(&Claims::for_action(&action)).await?;
/// assert_eq!(key.verify(&token).await?.action()?, action);
/// # Ok(()) }
/// ```
#[async_trait]
pub trait TokenSigner: Send + Sync + fmt::Debug {
    /// The claims as a compact JSON Web Token.
    ///
    /// # Errors
    ///
    /// When the key cannot be used.
    async fn sign(&self, claims: &Claims) -> Result<SecretString, TokenError>;
}

/// Checks tokens: signature, audience and the types of all claims. Times are for the caller to
/// check, since answers are cached and times go by.
#[async_trait]
pub trait TokenVerifier: Send + Sync + fmt::Debug {
    /// The claims of a token that this verifier trusts.
    ///
    /// # Errors
    ///
    /// [`TokenError::Refused`] for whatever is wrong with the token; [`TokenError::Backend`] when
    /// nothing can be said of it.
    async fn verify(&self, token: &SecretString) -> Result<Claims, TokenError>;
}

/// Why a token could not be made or is not trusted. Says nothing of its content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The claims could not be signed.
    #[error("could not sign the token")]
    Sign(#[source] jsonwebtoken::errors::Error),
    /// The token is malformed, signed by another key or another algorithm, or for somebody else.
    #[error("the token is refused")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What checks tokens, such as a Vault, could not be reached, or failed.
    #[error("could not check the token")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The key is too short to be safe.
    #[error("a signing key needs at least {required} bytes, this one has {found}")]
    ShortKey {
        /// How many bytes are needed.
        required: usize,
        /// How many there are.
        found: usize,
    },
}

impl TokenError {
    /// A refusal with this cause.
    pub fn refused(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Refused(cause.into())
    }
}

/// A symmetric key: for one process that both makes and checks tokens, such as the embedded
/// engine and the sample mode of the metadata API.
pub struct Hs256Key {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl Hs256Key {
    const MINIMUM: usize = 32;

    /// The key of these bytes.
    ///
    /// # Errors
    ///
    /// [`TokenError::ShortKey`] below 32 bytes.
    pub fn new(bytes: &SecretSlice<u8>) -> Result<Self, TokenError> {
        let bytes = bytes.expose_secret();
        if bytes.len() < Self::MINIMUM {
            return Err(TokenError::ShortKey { required: Self::MINIMUM, found: bytes.len() });
        }
        Ok(Self::of(bytes))
    }

    /// A key of random bytes.
    #[must_use]
    pub fn generate() -> Self {
        Self::of(&rand::random::<[u8; 64]>())
    }

    fn of(bytes: &[u8]) -> Self {
        Self {
            encoding: EncodingKey::from_secret(bytes),
            decoding: DecodingKey::from_secret(bytes),
        }
    }
}

impl fmt::Debug for Hs256Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hs256Key([REDACTED])")
    }
}

#[async_trait]
impl TokenSigner for Hs256Key {
    async fn sign(&self, claims: &Claims) -> Result<SecretString, TokenError> {
        let mut header = Header::new(Algorithm::HS256);
        header.typ = None;
        jsonwebtoken::encode(&header, claims, &self.encoding)
            .map(SecretString::from)
            .map_err(TokenError::Sign)
    }
}

#[async_trait]
impl TokenVerifier for Hs256Key {
    async fn verify(&self, token: &SecretString) -> Result<Claims, TokenError> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[AUDIENCE]);
        validation.required_spec_claims = HashSet::from(["aud".to_owned(), "sub".to_owned()]);
        validation.validate_exp = false;
        let token = token.expose_secret().trim();
        let data = jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation);
        let data = data.map_err(TokenError::refused)?;
        understood(&data.header)?;
        Ok(data.claims)
    }
}

/// Refuses what a token marks as critical: its meaning is not known here (RFC 7515 §4.1.11).
pub(crate) fn understood(header: &Header) -> Result<(), TokenError> {
    match header.crit {
        None => Ok(()),
        Some(_) => Err(TokenError::refused("the header has critical parts that nobody knows here")),
    }
}
