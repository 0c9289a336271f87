//! Key pairs: one process signs tokens and another one, which must not be able to, checks them
//! (`design.md` decision 6).

use std::collections::HashSet;
use std::fmt;

use async_trait::async_trait;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret as _, SecretString};

use crate::claims::{AUDIENCE, Claims, ClaimsError};
use crate::token::{TokenError, TokenSigner, TokenVerifier, understood};

/// Why a text is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Neither of the three kinds.
    #[error("the key {id:?} is no PEM of an Ed25519, P-256 or RSA key")]
    Kind {
        /// The key's id.
        id: String,
    },
    /// No key could be made.
    #[error("the system has no randomness to make a key of")]
    Generate,
}

/// A private key: Ed25519, or P-256 for `ES256`, or RSA for `RS512`. The kind of a key decides its
/// algorithm.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use jiff::{SignedDuration, Timestamp};
/// use relay_core::{Action, Claims, SigningKey, TokenSigner as _, TokenVerifier as _, VerifyingKeys};
///
/// let private = "-----BEGIN PRIVATE KEY-----
/// MC4CAQAwBQYDK2VwBCIEIOuuzjc1+BiSa7RLhYsYwXHuKuOIMXMkvx+fZWVrHqHH
/// -----END PRIVATE KEY-----";
/// let public = "-----BEGIN PUBLIC KEY-----
/// MCowBQYDK2VwAyEA8ZvCjRQjku8pZFsGFPWxpE3KoAl7L9HCo4810GihjWU=
/// -----END PUBLIC KEY-----";
/// let signer = SigningKey::from_pem("2031", private.as_bytes())?;
/// let verifier = VerifyingKeys::from_pems([("2031", public.as_bytes())])?;
///
/// let action = Action::step("1".parse()?, "build".parse()?);
/// let now = Timestamp::now().as_second();
/// let times = Claims { not_before: Some(now), expires_at: Some(now + 60), ..Claims::for_action(&action) };
/// assert_eq!(verifier.verify(&signer.sign(&times).await?).await?.action()?, action);
///
/// let endless = Claims::for_action(&action);
/// assert!(verifier.verify(&signer.sign(&endless).await?).await.is_err());
/// # Ok(()) }
/// ```
pub struct SigningKey {
    id: String,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl SigningKey {
    /// The key in this PEM, whose id goes into the header of tokens.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn from_pem(id: &str, pem: &[u8]) -> Result<Self, KeyError> {
        type Read = fn(&[u8]) -> jsonwebtoken::errors::Result<EncodingKey>;
        let kinds: [(Algorithm, Read); 3] = [
            (Algorithm::EdDSA, EncodingKey::from_ed_pem),
            (Algorithm::ES256, EncodingKey::from_ec_pem),
            (Algorithm::RS512, EncodingKey::from_rsa_pem),
        ];
        kinds
            .into_iter()
            .find_map(|(algorithm, read)| Some((algorithm, read(pem).ok()?)))
            .map(|(algorithm, key)| Self { id: id.to_owned(), algorithm, key })
            .ok_or_else(|| KeyError::Kind { id: id.to_owned() })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenSigner for SigningKey {
    async fn sign(&self, claims: &Claims) -> Result<SecretString, TokenError> {
        let mut header = Header::new(self.algorithm);
        header.typ = None;
        header.kid = Some(self.id.clone());
        jsonwebtoken::encode(&header, claims, &self.key)
            .map(SecretString::from)
            .map_err(TokenError::Sign)
    }
}

/// Public keys by id. A token that names its key is checked with that one, any other with all of
/// them; each takes one algorithm. Tokens without audience, subject, beginning or end are refused.
pub struct VerifyingKeys(Vec<VerifyingKey>);

struct VerifyingKey {
    id: String,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl VerifyingKeys {
    /// The keys in these PEMs, by id.
    ///
    /// # Errors
    ///
    /// When one is no key.
    pub fn from_pems<'p>(
        pems: impl IntoIterator<Item = (&'p str, &'p [u8])>,
    ) -> Result<Self, KeyError> {
        type Read = fn(&[u8]) -> jsonwebtoken::errors::Result<DecodingKey>;
        let kinds: [(Algorithm, Read); 3] = [
            (Algorithm::EdDSA, DecodingKey::from_ed_pem),
            (Algorithm::ES256, DecodingKey::from_ec_pem),
            (Algorithm::RS512, DecodingKey::from_rsa_pem),
        ];
        let read = |(id, pem): (&str, &[u8])| {
            kinds
                .into_iter()
                .find_map(|(algorithm, read)| Some((algorithm, read(pem).ok()?)))
                .map(|(algorithm, key)| VerifyingKey { id: id.to_owned(), algorithm, key })
                .ok_or_else(|| KeyError::Kind { id: id.to_owned() })
        };
        pems.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Debug for VerifyingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| (&key.id, key.algorithm))).finish()
    }
}

#[async_trait]
impl TokenVerifier for VerifyingKeys {
    async fn verify(&self, token: &SecretString) -> Result<Claims, TokenError> {
        let token = token.expose_secret().trim();
        let header = jsonwebtoken::decode_header(token).map_err(TokenError::refused)?;
        understood(&header)?;
        let named = |key: &&VerifyingKey| header.kid.as_ref().is_none_or(|kid| *kid == key.id);
        let mut last: jsonwebtoken::errors::Error = ErrorKind::InvalidSignature.into();
        for key in self.0.iter().filter(named).filter(|key| key.algorithm == header.alg) {
            let mut validation = Validation::new(key.algorithm);
            validation.set_audience(&[AUDIENCE]);
            validation.required_spec_claims = HashSet::from(["aud".to_owned(), "sub".to_owned()]);
            validation.validate_exp = false;
            match jsonwebtoken::decode::<Claims>(token, &key.key, &validation) {
                Ok(data) => return with_times(data.claims),
                Err(error) => last = error,
            }
        }
        Err(TokenError::refused(last))
    }
}

impl Claims {
    /// The claims of a token whose signature somebody else has checked, such as the JWT login of a
    /// Vault. Of a token that nobody has checked, they are worth nothing.
    ///
    /// # Errors
    ///
    /// [`TokenError::Refused`] when the token is malformed, for another audience, or has no
    /// beginning or end.
    pub fn from_verified(token: &SecretString) -> Result<Self, TokenError> {
        let token = token.expose_secret().trim();
        let data = jsonwebtoken::dangerous::insecure_decode::<Self>(token);
        let data = data.map_err(TokenError::refused)?;
        understood(&data.header)?;
        let claims = data.claims;
        if !claims.audience.iter().any(|audience| audience == AUDIENCE) {
            return Err(TokenError::refused(ClaimsError::Audience));
        }
        with_times(claims)
    }
}

/// A token of a cluster has a beginning and an end.
fn with_times(claims: Claims) -> Result<Claims, TokenError> {
    let times = [("exp", claims.expires_at), ("nbf", claims.not_before)];
    match times.into_iter().find(|(_, time)| time.is_none()) {
        Some((name, _)) => Err(TokenError::refused(ClaimsError::Missing(name))),
        None => Ok(claims),
    }
}
