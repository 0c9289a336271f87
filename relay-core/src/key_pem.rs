//! Making private keys, and finding the public keys that belong to them.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use secrecy::SecretString;

use crate::key_pair::{KeyError, SigningKey};

const PRIVATE: &str = "PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";

impl SigningKey {
    /// A new Ed25519 key, as PEM.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use relay_core::{Claims, SigningKey, TokenSigner as _, TokenVerifier as _, VerifyingKeys};
    /// use secrecy::ExposeSecret as _;
    ///
    /// let private = SigningKey::generate_pem()?;
    /// let public = SigningKey::public_pem("a", private.expose_secret().as_bytes())?;
    /// let signer = SigningKey::from_pem("a", private.expose_secret().as_bytes())?;
    /// let verifier = VerifyingKeys::from_pems([("a", public.as_bytes())])?;
    ///
    /// let action = relay_core::Action::step("1".parse()?, "build".parse()?);
    /// let times = Claims { not_before: Some(0), expires_at: Some(i64::MAX / 2), ..Claims::for_action(&action) };
    /// assert_eq!(verifier.verify(&signer.sign(&times).await?).await?.action()?, action);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When the system has no randomness to give.
    pub fn generate_pem() -> Result<SecretString, KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::Generate)?;
        let der = pair.to_pkcs8v1().map_err(|_| KeyError::Generate)?;
        Ok(pem::encode(&pem::Pem::new(PRIVATE, der.as_ref())).into())
    }

    /// The public key, as PEM, that belongs to the private one in this PEM.
    ///
    /// # Errors
    ///
    /// When it is none of the three kinds.
    pub fn public_pem(id: &str, private: &[u8]) -> Result<String, KeyError> {
        let wrong = || KeyError::Kind { id: id.to_owned() };
        let parsed = pem::parse(private).map_err(|_| wrong())?;
        let public = public_der(parsed.contents()).ok_or_else(wrong)?;
        Ok(pem::encode(&pem::Pem::new(PUBLIC, public.as_ref())))
    }
}

fn public_der(private: &[u8]) -> Option<PublicKeyX509Der<'static>> {
    if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(private) {
        return pair.public_key().as_der().ok();
    }
    let p256 = &ECDSA_P256_SHA256_FIXED_SIGNING;
    if let Ok(pair) = EcdsaKeyPair::from_private_key_der(p256, private) {
        return pair.public_key().as_der().ok();
    }
    let pair = RsaKeyPair::from_pkcs8(private).or_else(|_| RsaKeyPair::from_der(private)).ok()?;
    pair.public_key().as_der().ok()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::{Action, Claims, TokenSigner as _, TokenVerifier as _, VerifyingKeys};

    /// Made by `openssl genpkey` and `openssl genrsa -traditional`.
    const KEYS: [(&str, &str); 3] = [
        ("P-256", include_str!("../tests/keys/p256.pem")),
        ("RSA", include_str!("../tests/keys/rsa.pem")),
        ("RSA of the older form", include_str!("../tests/keys/rsa-pkcs1.pem")),
    ];

    #[tokio::test]
    async fn a_public_key_verifies_what_its_private_one_signed() {
        let made = SigningKey::generate_pem().unwrap();
        let all = KEYS.into_iter().chain([("Ed25519", made.expose_secret())]);
        for (name, private) in all {
            let public = SigningKey::public_pem("k", private.as_bytes()).unwrap();
            let signer = SigningKey::from_pem("k", private.as_bytes()).unwrap();
            let verifier = VerifyingKeys::from_pems([("k", public.as_bytes())]).unwrap();
            let action = Action::step("1".parse().unwrap(), "build".parse().unwrap());
            let claims = Claims {
                not_before: Some(0),
                expires_at: Some(1 << 40),
                ..Claims::for_action(&action)
            };
            let token = signer.sign(&claims).await.unwrap();
            assert_eq!(verifier.verify(&token).await.unwrap().action().unwrap(), action, "{name}");
        }
    }

    #[test]
    fn what_is_no_private_key_is_refused_by_its_id() {
        let public = SigningKey::generate_pem().unwrap();
        let public = SigningKey::public_pem("k", public.expose_secret().as_bytes()).unwrap();
        for wrong in ["", "x", &public] {
            let error = SigningKey::public_pem("my key", wrong.as_bytes()).unwrap_err();
            assert!(error.to_string().contains("\"my key\""), "{error}");
        }
    }
}
