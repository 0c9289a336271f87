//! What goes wrong, and what is said of it.

use std::time::{Duration, Instant};

use relay_core::{SealError, SecretStore as _, StoreError, TokenError, TokenSealer as _};
use relay_store::{VaultClient, VaultError, VaultLogin, VaultOptions, VaultTransit};

use crate::double::{Double, Fault};
use crate::stage::{Stage, UID, claims, token};

/// The error with all its sources, and as it is debugged.
fn all_of(error: &dyn std::error::Error) -> String {
    let mut text = format!("{error:?} {error}");
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

#[tokio::test]
async fn a_vault_that_recovers_is_asked_again() {
    let double = Double::default();
    let stage = Stage::on_double(&double).await;
    for status in [500, 502, 503, 504] {
        double.fail("encrypt", Fault::Status(status), 2);
        let sealed = stage.transit().seal(UID, &"t".to_owned().into()).await.unwrap();
        double.fail("decrypt", Fault::Status(status), 1);
        stage.transit().unseal(UID, &sealed).await.unwrap();
        assert_eq!(double.lines().len(), 3 + 2, "{status}");
    }
    double.fail("login", Fault::Status(500), 1);
    double.fail("/data/", Fault::Status(500), 1);
    let store = stage.secrets(&stage.login()).await;
    store.secret("pw").await.unwrap().unwrap();
    assert_eq!(double.lines().len(), 4);
}

#[tokio::test]
async fn faults_of_a_read() {
    for (fault, requests, said) in [
        (Fault::Status(500), 4, "Vault answered 500: it is a fault of the test"),
        (Fault::Status(501), 1, "Vault answered 501"),
        (Fault::Status(429), 1, "Vault answered 429"),
        (Fault::Status(400), 1, "Vault answered 400"),
        (Fault::Malformed, 1, "is not understood"),
        (Fault::Giant, 1, "is too long"),
        (Fault::Redirect, 1, "Vault answered 307"),
        (Fault::Slow, 1, "did not answer in time"),
    ] {
        let double = Double::default();
        let stage = Stage::on_double(&double).await;
        let login = VaultLogin::new(stage.hasty(), &stage.auth, Some("tenant")).unwrap();
        let store = stage.secrets(&login).await;
        store.secret("url").await.unwrap().unwrap();
        double.requests();
        for (name, path) in [("pw", "/data/"), ("", "/metadata/")] {
            double.fail(path, fault, usize::MAX);
            let begun = Instant::now();
            let error = match name {
                "" => store.secrets().await.map(drop).unwrap_err(),
                name => store.secret(name).await.map(drop).unwrap_err(),
            };
            assert!(begun.elapsed() < Duration::from_secs(3), "{fault:?}");
            assert!(matches!(error, StoreError::Backend { .. }), "{fault:?}: {error:?}");
            let text = all_of(&error);
            assert!(text.contains(said), "{fault:?}: {text}");
            assert!(!text.contains("canary"), "{fault:?}: {text}");
            assert_eq!(double.lines().len(), requests, "{fault:?}");
            double.heal();
        }
    }
}

#[tokio::test]
async fn what_is_forbidden_and_what_is_not_there() {
    let double = Double::default();
    let stage = Stage::on_double(&double).await;
    let store = stage.secrets(&stage.login()).await;
    double.fail("/data/", Fault::Status(404), 1);
    assert!(store.secret("pw").await.unwrap().is_none());
    double.fail("/metadata/", Fault::Status(404), 1);
    assert!(store.secrets().await.unwrap().is_empty());
    double.fail("/data/", Fault::Status(403), 1);
    let error = store.secret("pw").await.unwrap_err();
    assert!(matches!(error, StoreError::Forbidden { .. }), "{error:?}");

    // Deleted, with its history kept.
    double.put("workflows/w1/pw", serde_json::Value::Null);
    assert!(store.secret("pw").await.unwrap().is_none());
    // One bad value fails the whole, and says which one.
    double.put("workflows/w1/bad", serde_json::json!({"value": "base64:canary!"}));
    let error = all_of(&store.secrets().await.unwrap_err());
    assert!(error.contains("workflows/w1/bad") && !error.contains("canary"), "{error}");
}

#[tokio::test]
async fn faults_of_sealing_and_of_logins() {
    // What Vault refuses for good is a refusal, anything else says nothing of the token.
    for (fault, unsealing_is_refused, login_is_refused) in [
        (Fault::Status(400), true, true),
        (Fault::Status(403), false, true),
        (Fault::Status(404), false, true),
        (Fault::Status(429), false, false),
        (Fault::Status(500), false, false),
        (Fault::Malformed, false, false),
        (Fault::Redirect, false, false),
        (Fault::Slow, false, false),
        (Fault::Giant, false, false),
    ] {
        let double = Double::default();
        let stage = Stage::on_double(&double).await;
        let transit = VaultTransit::new(stage.hasty(), &stage.transit, "metadata-api").unwrap();
        let sealed = transit.seal(UID, &"t".to_owned().into()).await.unwrap();
        double.fail("", fault, usize::MAX);
        let error = transit.unseal(UID, &sealed).await.unwrap_err();
        assert_eq!(
            matches!(error, SealError::Refused),
            unsealing_is_refused,
            "{fault:?}: {error:?}"
        );
        let login = VaultLogin::new(stage.hasty(), &stage.auth, Some("tenant")).unwrap();
        let error = login.session(token(&claims()).await).verify().await.unwrap_err();
        let is_refused = matches!(error, TokenError::Refused(_));
        assert_eq!(is_refused, login_is_refused, "{fault:?}: {error:?}");
    }
}

#[tokio::test]
async fn nothing_that_was_sent_is_in_an_error() {
    let double = Double::default();
    let stage = Stage::on_double(&double).await;
    let secret = "canary.canary.canary-canary".to_owned();
    let transit = VaultTransit::new(stage.hasty(), &stage.transit, "metadata-api").unwrap();
    let login = VaultLogin::new(stage.hasty(), &stage.auth, Some("tenant")).unwrap();
    let session = login.session(secret.clone().into());
    double.fail("", Fault::Echo, usize::MAX);
    let texts = [
        all_of(&transit.seal(UID, &secret.clone().into()).await.unwrap_err()),
        all_of(&session.verify().await.unwrap_err()),
        all_of(&stage.secrets(&login).await.secret("pw").await.unwrap_err()),
        format!("{transit:?} {login:?} {session:?} {:?}", stage.secrets(&login).await),
    ];
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &secret);
    for text in texts {
        assert!(!text.contains("canary") && !text.contains(&encoded), "{text}");
        assert!(!text.contains(&stage.token), "{text}");
    }
}

#[tokio::test]
async fn nobody_there() {
    let client = VaultClient::new("http://127.0.0.1:1", &VaultOptions::default()).unwrap();
    let transit = VaultTransit::new(client, "transit", "metadata-api").unwrap();
    let begun = Instant::now();
    let error = transit.seal(UID, &"t".to_owned().into()).await.unwrap_err();
    assert!(all_of(&error).contains("could not be reached"), "{error:?}");
    // Three pauses, of half their length at least.
    assert!(begun.elapsed() > Duration::from_millis(350), "{:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[test]
fn settings_that_are_none() {
    let options = VaultOptions::default();
    for address in ["", "vault:8200", "ftp://vault", "unix:///vault.sock", "http://"] {
        let refused = VaultClient::new(address, &options);
        assert!(matches!(refused, Err(VaultError::Address)), "{address}");
    }
    let client = VaultClient::new("http://user:canary@vault/canary", &options).unwrap();
    assert!(!format!("{client:?}").contains("canary"), "{client:?}");
    for (path, key) in [("", "k"), ("transit", ""), ("../sys", "k"), ("transit", "../../sys")] {
        assert!(VaultTransit::new(client.clone(), path, key).is_err(), "{path} {key}");
    }
    let with = |set: &[(&'static str, &str)]| {
        let set: Vec<_> = set.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        VaultOptions::from_variables(move |name| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
        })
    };
    for set in [
        [("VAULT_CACERT", "/nowhere/ca.pem")],
        [("VAULT_CAPATH", "/nowhere")],
        [("VAULT_CLIENT_CERT", "/nowhere/cert.pem")],
        [("VAULT_CLIENT_KEY", "/nowhere/key.pem")],
    ] {
        let error = with(&set).unwrap_err().to_string();
        assert!(error.contains(set[0].0), "{error}");
    }
    let given = with(&[("VAULT_TOKEN", "canary"), ("VAULT_NAMESPACE", "n"), ("VAULT_CACERT", "")]);
    let given = given.unwrap();
    assert_eq!(given.namespace.as_deref(), Some("n"));
    assert!(given.token.is_some() && given.authorities.is_empty());
    assert!(!format!("{given:?}").contains("canary"));
    assert!(with(&[("VAULT_TOKEN", "")]).unwrap().token.is_none());
}
