//! Tokens signed by key pairs. The keys beside this file are for tests and nothing else.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

use relay_core::{
    Action, Claims, Hs256Key, KeyError, SigningKey, TokenError, TokenSigner, TokenVerifier as _,
    VerifyingKeys,
};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

const ED: (&[u8], &[u8]) = (include_bytes!("ed.private.pem"), include_bytes!("ed.public.pem"));
const EC: (&[u8], &[u8]) = (include_bytes!("ec.private.pem"), include_bytes!("ec.public.pem"));
const RSA: (&[u8], &[u8]) = (include_bytes!("rsa.private.pem"), include_bytes!("rsa.public.pem"));
const OTHER: &[u8] = include_bytes!("other.private.pem");

fn signer(id: &str, pem: &[u8]) -> SigningKey {
    SigningKey::from_pem(id, pem).unwrap()
}

fn claims() -> Claims {
    let action = Action::step("r".parse().unwrap(), "build".parse().unwrap());
    Claims { not_before: Some(1), expires_at: Some(i64::MAX), ..Claims::for_action(&action) }
}

async fn signed(signer: &dyn TokenSigner, claims: &Claims) -> SecretString {
    signer.sign(claims).await.unwrap()
}

fn all() -> VerifyingKeys {
    VerifyingKeys::from_pems([("ed", ED.1), ("ec", EC.1), ("rsa", RSA.1)]).unwrap()
}

#[tokio::test]
async fn each_kind_of_key_signs_and_verifies() {
    for (id, private) in [("ed", ED.0), ("ec", EC.0), ("rsa", RSA.0)] {
        let token = signed(&signer(id, private), &claims()).await;
        let read = all().verify(&token).await.unwrap();
        assert_eq!(read.action().unwrap().name(), "build", "{id}");
        assert_eq!(read.expires_at, Some(i64::MAX), "{id}");
    }
}

#[tokio::test]
async fn what_is_refused() {
    let hmac = Hs256Key::new(&SecretSlice::from(ED.1.to_vec())).unwrap();
    let without = |change: fn(&mut Claims)| {
        let mut claims = claims();
        change(&mut claims);
        claims
    };
    let ed = signer("ed", ED.0);
    for (name, token) in [
        ("another key", signed(&signer("ed", OTHER), &claims()).await),
        ("the id of another key", signed(&signer("ec", ED.0), &claims()).await),
        ("an unknown id", signed(&signer("new", ED.0), &claims()).await),
        ("the public key as a password", signed(&hmac, &claims()).await),
        ("no end", signed(&ed, &without(|claims| claims.expires_at = None)).await),
        ("no beginning", signed(&ed, &without(|claims| claims.not_before = None)).await),
        ("no subject", signed(&ed, &without(|claims| claims.subject = None)).await),
        ("no audience", signed(&ed, &without(|claims| claims.audience.clear())).await),
        ("another audience", {
            let audience = vec!["other".to_owned()];
            signed(&ed, &Claims { audience, ..claims() }).await
        }),
        ("no token", SecretString::from("nothing".to_owned())),
    ] {
        let refused = all().verify(&token).await;
        assert!(matches!(refused, Err(TokenError::Refused(_))), "{name}: {refused:?}");
    }
}

#[tokio::test]
async fn what_others_verified_is_read_all_the_same() {
    let ed = signer("ed", ED.0);
    let token = signed(&ed, &claims()).await;
    assert_eq!(Claims::from_verified(&token).unwrap().action().unwrap().name(), "build");
    let token = token.expose_secret();
    let (start, signature) = token.rsplit_once('.').unwrap();
    let (_, payload) = start.rsplit_once('.').unwrap();
    let without = |change: fn(&mut Claims)| {
        let mut claims = claims();
        change(&mut claims);
        claims
    };
    for (name, token) in [
        ("no end", signed(&ed, &without(|claims| claims.expires_at = None)).await),
        ("no beginning", signed(&ed, &without(|claims| claims.not_before = None)).await),
        ("no audience", signed(&ed, &without(|claims| claims.audience.clear())).await),
        ("another audience", {
            let audience = vec!["other".to_owned()];
            signed(&ed, &Claims { audience, ..claims() }).await
        }),
        ("two parts", start.into()),
        ("four parts", format!("{token}.{signature}").into()),
        ("no header", format!("e30.{payload}.{signature}").into()),
        ("not base64", format!("{start}=.{signature}").into()),
        ("nothing", "".into()),
    ] {
        let refused = Claims::from_verified(&token);
        assert!(matches!(refused, Err(TokenError::Refused(_))), "{name}: {refused:?}");
    }
}

#[test]
fn what_is_no_key() {
    let ed448: &[u8] = include_bytes!("ed448.public.pem");
    for (name, pem) in [("text", &b"no key"[..]), ("private", ED.0), ("ed448", ed448)] {
        let refused = VerifyingKeys::from_pems([(name, pem)]).unwrap_err();
        assert_eq!(refused, KeyError::Kind { id: name.to_owned() });
    }
    assert!(SigningKey::from_pem("public", ED.1).is_err());
    let shown = format!("{:?} {:?}", signer("ed", ED.0), all());
    assert!(shown.contains("EdDSA") && !shown.contains("MC4CAQ"), "{shown}");
}
