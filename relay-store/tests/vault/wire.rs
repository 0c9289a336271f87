//! What is sent, and how often.

use std::sync::Arc;
use std::time::Duration;

use relay_core::{SecretStore as _, TokenSealer as _};
use relay_store::{VaultClient, VaultLogin, VaultOptions, VaultSecrets, VaultTransit};
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::double::{Double, ROOT};
use crate::stage::{CONNECTION, Stage, UID, claims, token};
use crate::suite;

#[tokio::test]
async fn the_suite_holds_on_the_double() {
    let stage = Stage::on_double(&Double::default()).await;
    suite::all(&stage).await;
}

#[tokio::test]
async fn each_request_is_as_vault_wants_it() {
    let double = Double::default();
    let stage = Stage::on_double(&double).await;
    let mut options = VaultOptions::default();
    options.token = Some(ROOT.to_owned().into());
    options.namespace = Some("team/relay".to_owned());
    let client = VaultClient::new(&format!("{}/", stage.address), &options).unwrap();
    let request = |line: &str, token: Option<&str>, body: serde_json::Value| {
        let kind = (!body.is_null()).then_some("application/json");
        json!({
            "line": line, "token": token, "request": "true", "namespace": "team/relay",
            "type": kind, "body": body,
        })
    };

    // The base64 of `k8s.io/namespaces/` and the UID, and of the token.
    let context = "azhzLmlvL25hbWVzcGFjZXMvN2Q0YjFmNWUtMTExMS0yMjIyLTMzMzMtNDQ0NDU1NTU2NjY2";
    let transit = VaultTransit::new(client.clone(), "/transit-tenants/", "metadata-api").unwrap();
    let sealed = transit.seal(UID, &"a token".to_owned().into()).await.unwrap();
    transit.unseal(UID, &sealed).await.unwrap();
    let expected = [
        request(
            "PUT /v1/transit-tenants/encrypt/metadata-api",
            Some(ROOT),
            json!({"plaintext": "YSB0b2tlbg==", "context": context}),
        ),
        request(
            "PUT /v1/transit-tenants/decrypt/metadata-api",
            Some(ROOT),
            json!({"ciphertext": "vault:v1:0", "context": context}),
        ),
    ];
    assert_eq!(double.requests(), expected);

    let login = VaultLogin::new(client.clone(), "auth/jwt-tenants", Some("tenant")).unwrap();
    let jwt = token(&claims()).await;
    let session = Arc::new(login.session(jwt.clone()));
    let places = (Some("workflows/w1"), Some("connections/d1"));
    let store = VaultSecrets::new(Arc::clone(&session), "customers", places.0, places.1).unwrap();
    assert!(double.requests().is_empty(), "nobody asked for anything");
    store.secret("deep/er").await.unwrap().unwrap();
    store.connection("ssh", "key").await.unwrap().unwrap();
    let requests = double.requests();
    let body = json!({"jwt": jwt.expose_secret(), "role": "tenant"});
    assert_eq!(requests[0], request("PUT /v1/auth/jwt-tenants/login", None, body));
    let caller = requests[1]["token"].as_str().unwrap();
    assert!(caller.starts_with("caller-canary-token-"));
    let id = "33333333-0f6c-4f4a-9f6c-2f5f3d0d8a11";
    let expected: Vec<_> = [
        "GET /v1/customers/data/workflows/w1/deep/er".to_owned(),
        "GET /v1/customers/data/connections/d1/ssh/key".to_owned(),
        format!("GET /v1/customers/metadata/connections/d1/{id}?list=true"),
        format!("GET /v1/customers/data/connections/d1/{id}/key"),
    ]
    .iter()
    .map(|line| request(line, Some(caller), json!(null)))
    .collect();
    assert_eq!(requests[1..], expected);

    // Without a role, and behind a prefix.
    let behind = client.at(&format!("{}/vault/", stage.address)).unwrap();
    let login = VaultLogin::new(behind, "auth/jwt-tenants", None).unwrap();
    assert!(login.session(jwt.clone()).verify().await.is_err());
    let body = json!({"jwt": jwt.expose_secret()});
    assert_eq!(double.requests(), [request("PUT /vault/v1/auth/jwt-tenants/login", None, body)]);
}

#[tokio::test]
async fn names_stay_below_their_path() {
    let double = Double::default();
    let stage = Stage::on_double(&double).await;
    let store = stage.secrets(&stage.login()).await;
    store.secret("pw").await.unwrap();
    double.requests();
    for name in ["..", "../w2/pw", "x/../../w2/pw", ".\t./w2/pw", "/../w2/pw"] {
        assert!(store.secret(name).await.is_err(), "{name}");
        assert!(store.connection(name, "api").await.is_err(), "{name}");
        assert!(store.connection("http", name).await.is_err(), "{name}");
    }
    // The value of a field is no id, which would go into an address.
    assert!(store.connection(CONNECTION, "user").await.unwrap().is_none());
    assert_eq!(double.lines(), [""; 0], "nothing was sent");
    for name in ["%2e%2e/w2/pw", "..\\w2\\pw", "..;/w2/pw", "?list=true", "#", "a b", "..%2Fw2"] {
        assert!(store.secret(name).await.unwrap().is_none(), "{name}");
        let lines = double.lines();
        assert!(lines[0].starts_with("GET /v1/customers/data/workflows/w1/"), "{lines:?}");
        assert!(!lines[0].contains('?') && !lines[0].contains("/../"), "{lines:?}");
    }
}

#[tokio::test]
async fn values_are_kept_for_a_while_and_absence_never() {
    let double = Double::default();
    let stage = Stage::on_double(&double).await;
    let login = stage.login().keep_for(Duration::from_secs(60));
    let store = stage.secrets(&login).await;
    let ask = async || {
        store.secret("pw").await.unwrap().unwrap();
        store.connection("http", "api").await.unwrap().unwrap();
    };
    ask().await;
    let first = double.lines().len();
    assert_eq!(first, 1 + 1 + 1 + 1 + 2, "login, secret, id, list, fields");
    ask().await;
    assert_eq!(double.lines(), [""; 0]);
    for _ in 0..2 {
        assert!(store.secret("new").await.unwrap().is_none());
        assert_eq!(double.lines().len(), 1);
    }
    double.put("workflows/w1/new", json!({"value": "here"}));
    assert!(store.secret("new").await.unwrap().is_some());
    // What is there at all is asked for each time.
    store.secrets().await.unwrap();
    assert!(double.lines().iter().any(|line| line.contains("?list=true")));

    // Another caller reads for itself.
    let other = stage.secrets(&login).await;
    other.secret("pw").await.unwrap().unwrap();
    assert_eq!(double.lines().len(), 2);

    // A lot is not kept.
    for index in 0..10 {
        let value = json!({"value": "x".repeat(10_000)});
        double.put(&format!("workflows/w1/large-{index}"), value);
    }
    let crowded = stage.secrets(&login).await;
    for _ in 0..2 {
        for index in 0..10 {
            crowded.secret(&format!("large-{index}")).await.unwrap().unwrap();
        }
    }
    assert_eq!(double.lines().len(), 1 + 10 + 4, "a login, all ten, and those that found no room");

    let brief = stage.secrets(&stage.login().keep_for(Duration::from_millis(50))).await;
    brief.secret("pw").await.unwrap().unwrap();
    double.put("workflows/w1/pw", json!({"value": "changed"}));
    tokio::time::sleep(Duration::from_millis(60)).await;
    let changed = brief.secret("pw").await.unwrap().unwrap();
    assert_eq!(changed.expose_secret().as_str(), Some("changed"));
}

#[tokio::test]
async fn a_vault_token_is_used_while_it_lasts_and_replaced_then() {
    let double = Double::default();
    let stage = Stage::on_double(&double).await;
    let logins = |lines: Vec<String>| lines.iter().filter(|line| line.contains("login")).count();
    let store = stage.secrets(&stage.login()).await;
    for _ in 0..5 {
        store.secret("pw").await.unwrap().unwrap();
    }
    assert_eq!(logins(double.lines()), 1);
    let reads = (0..20).map(|_| store.secret("pw"));
    assert!(futures::future::join_all(reads).await.iter().all(Result::is_ok));
    assert_eq!(logins(double.lines()), 0);

    // Taken back: noticed by what it is refused for.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    double.revoke();
    store.secret("pw").await.unwrap().unwrap();
    assert_eq!(logins(double.lines()), 1);
    // What stays forbidden costs no login each time.
    let foreign = stage.secrets_at(&stage.login(), "workflows/w2", "connections/d2").await;
    for _ in 0..5 {
        assert!(foreign.secret("pw").await.is_err());
    }
    assert_eq!(logins(double.lines()), 1);

    double.lease(1);
    let store = stage.secrets(&stage.login()).await;
    store.secret("pw").await.unwrap().unwrap();
    store.secret("pw").await.unwrap().unwrap();
    assert_eq!(logins(double.lines()), 1);
    tokio::time::sleep(Duration::from_millis(950)).await;
    store.secret("pw").await.unwrap().unwrap();
    assert_eq!(logins(double.lines()), 1, "it ended");
}

#[tokio::test]
async fn the_token_of_the_process_is_renewed() {
    let double = Double::default();
    let stage = Stage::on_double(&double).await;
    // One that does not end, and none: nothing to do.
    let ends = Duration::from_secs(5);
    tokio::time::timeout(ends, stage.client().keep_token()).await.unwrap();
    tokio::time::timeout(ends, stage.client().with_token(None).keep_token()).await.unwrap();
    assert_eq!(double.lines(), ["GET /v1/auth/token/lookup-self"]);
    double.lease(1);
    let _ = tokio::time::timeout(Duration::from_millis(2500), stage.client().keep_token()).await;
    assert_eq!(double.renewed(), 2);
}
