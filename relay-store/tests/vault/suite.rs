//! What holds on the double and on a real server alike.

use std::collections::BTreeMap;

use relay_core::{
    Claims, SealError, SealKeys, SecretStore as _, SecretValue, SigningKey, StoreError, TokenError,
    TokenSealer as _, TokenSigner as _, Value,
};
use secrecy::ExposeSecret as _;

use crate::stage::{Stage, UID, claims, token};

pub(crate) async fn all(stage: &Stage) {
    sealing(stage).await;
    logging_in(stage).await;
    secrets(stage).await;
    connections(stage).await;
}

async fn sealing(stage: &Stage) {
    let transit = stage.transit();
    let token = "a token".to_owned().into();
    let sealed = transit.seal(UID, &token).await.unwrap();
    assert!(sealed.starts_with("vault:v1:"), "{sealed}");
    assert_eq!(transit.unseal(UID, &sealed).await.unwrap().expose_secret(), "a token");
    let other = "00000000-1111-2222-3333-444455556666";
    for (name, uid, sealed) in [
        ("another namespace", other, sealed.as_str()),
        ("cut", UID, sealed.get(..sealed.len() - 1).unwrap()),
        ("nothing", UID, "vault:v1:"),
        ("not sealed by Vault", UID, "relay:v1:k:AAAA"),
        ("empty", UID, ""),
    ] {
        let refused = transit.unseal(uid, sealed).await;
        assert!(matches!(refused, Err(SealError::Refused)), "{name}: {refused:?}");
    }

    let keys = SealKeys::generate();
    let either = transit.or(std::sync::Arc::new(keys.clone()));
    for sealed in [sealed, keys.seal(UID, &token).await.unwrap()] {
        assert_eq!(either.unseal(UID, &sealed).await.unwrap().expose_secret(), "a token");
        assert!(either.unseal(other, &sealed).await.is_err());
    }
}

async fn logging_in(stage: &Stage) {
    let login = stage.login();
    let good = claims();
    let verified = login.session(token(&good).await).verify().await.unwrap();
    assert_eq!(verified.action().unwrap(), good.action().unwrap());
    assert_eq!(verified.tenant_id.as_deref(), Some("w1"));

    let past = good.expires_at.map(|end| end - 3600);
    let other_key = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f
-----END PRIVATE KEY-----";
    let forged = SigningKey::from_pem("k", other_key.as_bytes()).unwrap();
    let signed = token(&good).await;
    let (start, end) = signed.expose_secret().rsplit_once('.').unwrap();
    for (name, token) in [
        ("expired", token(&Claims { expires_at: past, not_before: past, ..good.clone() }).await),
        ("for others", token(&Claims { audience: vec!["x".to_owned()], ..good.clone() }).await),
        ("no end", token(&Claims { expires_at: None, ..good.clone() }).await),
        ("no tenant", token(&Claims { tenant_id: None, ..good.clone() }).await),
        ("another key", forged.sign(&good).await.unwrap()),
        ("no token", "not a token".to_owned().into()),
        ("no signature", format!("{start}.").into()),
        ("four parts", format!("{start}.{end}.{end}").into()),
    ] {
        let refused = login.session(token).verify().await;
        assert!(matches!(refused, Err(TokenError::Refused(_))), "{name}: {refused:?}");
    }
}

fn shown(value: Option<SecretValue>) -> Option<Value> {
    value.map(|value| value.expose_secret().clone())
}

async fn secrets(stage: &Stage) {
    let login = stage.login();
    let store = stage.secrets(&login).await;
    let bytes = Value::from_bytes(&[0, 255, 128]);
    for (name, value) in [
        ("pw", Some("hunter2-canary".into())),
        ("url", Some("https://example.com:8080/?a=b".into())),
        ("bytes", Some(bytes.clone())),
        ("text", Some("otter".into())),
        ("deep/er", Some("below".into())),
        ("odd name?#%2e%2e&ö", Some("odd".into())),
        ("number", None),
        ("other", None),
        ("deep", None),
        ("none", None),
        ("%2e%2e", None),
        ("%2e%2e/w2/pw", None),
        ("..%2fw2", None),
    ] {
        assert_eq!(shown(store.secret(name).await.unwrap()), value, "{name}");
    }
    for name in ["../w2/pw", "..", ".", "a/../../w2/pw", "", "/pw", "pw/", "deep//er", ".\n./w2/pw"]
    {
        let refused = store.secret(name).await;
        assert!(matches!(refused, Err(StoreError::Refused { .. })), "{name}: {refused:?}");
    }
    let all = store.secrets().await.unwrap();
    let all: BTreeMap<_, _> =
        all.iter().map(|(name, value)| (name.as_str(), value.expose_secret().clone())).collect();
    let expected = [
        ("bytes", bytes),
        ("odd name?#%2e%2e&ö", "odd".into()),
        ("pw", "hunter2-canary".into()),
        ("text", "otter".into()),
        ("url", "https://example.com:8080/?a=b".into()),
    ];
    assert_eq!(all, BTreeMap::from(expected));

    // What the claims name and Vault does not allow.
    let foreign = stage.secrets_at(&login, "workflows/w2", "connections/d2").await;
    let answers = [
        foreign.secret("pw").await.map(drop),
        foreign.secrets().await.map(drop),
        foreign.connection("http", "api").await.map(drop),
        foreign.connections().await.map(drop),
    ];
    for answer in answers {
        assert!(matches!(answer, Err(StoreError::Forbidden { .. })), "{answer:?}");
    }
}

async fn connections(stage: &Stage) {
    let store = stage.secrets(&stage.login()).await;
    let api = Value::map([("user", "robot".into()), ("password", Value::from_bytes(&[255]))]);
    let key = Value::map([("key", "k".into())]);
    for (kind, name, value) in [
        ("http", "api", Some(api.clone())),
        ("ssh", "key", Some(key.clone())),
        ("http", "empty", None),
        ("http", "up", None),
        ("http", "none", None),
        ("none", "api", None),
        // A field of a connection is no connection.
        ("0b6fd7ac-0f6c-4f4a-9f6c-2f5f3d0d8a11", "user", None),
    ] {
        assert_eq!(shown(store.connection(kind, name).await.unwrap()), value, "{kind} {name}");
    }
    for (kind, name) in [("..", "api"), ("http", ".."), ("http/..", "x"), ("", "api"), ("http", "")]
    {
        let refused = store.connection(kind, name).await;
        assert!(matches!(refused, Err(StoreError::Refused { .. })), "{kind} {name}: {refused:?}");
    }
    let all = store.connections().await.unwrap();
    let all: Vec<_> = all
        .iter()
        .flat_map(|(kind, named)| {
            named
                .iter()
                .map(|(name, value)| (kind.as_str(), name.as_str(), value.expose_secret().clone()))
        })
        .collect();
    assert_eq!(all, [("http", "api", api), ("ssh", "key", key)]);
}
