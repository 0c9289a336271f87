//! The metadata client on its own.

use std::time::{Duration, Instant};

use relay_tools::client::{AddressError, ClientError, MetadataClient, Retry, transfer};
use serde_json::{Value, json};

use crate::double::{Double, complete, error};

fn client(double: &Double) -> MetadataClient {
    MetadataClient::new(&double.url(), Duration::from_secs(5)).unwrap()
}

#[tokio::test]
async fn repetition_follows_the_rule() {
    let within = Duration::from_millis(1500);
    let cases = [
        ("never", Retry::never(), 503, false),
        ("outage", Retry::outages(within), 503, true),
        ("broken server", Retry::outages(within), 500, true),
        ("busy server", Retry::outages(within), 429, false),
        ("no value", Retry::all_but_final(within), 422, false),
        ("busy server, patiently", Retry::all_but_final(within), 429, true),
        ("never heard of, patiently", Retry::all_but_final(within), 599, true),
    ];
    for (name, retry, status, repeats) in cases {
        let double = Double::start().await;
        let double =
            double.on("GET /spec", status, error("first")).on("GET /spec", 200, complete(1));
        let answer = client(&double).retrying(retry).spec(None).await;
        assert_eq!(answer.is_ok(), repeats, "{name}");
        assert_eq!(double.lines().len(), if repeats { 2 } else { 1 }, "{name}");
    }
}

#[tokio::test]
async fn patience_ends_with_the_last_answer() {
    let double = Double::start().await.on("GET /spec", 503, error("still down"));
    let started = Instant::now();
    let retry = Retry::outages(Duration::from_secs(1));
    let error = client(&double).retrying(retry).spec(None).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(3));
    assert!(error.to_string().contains("still down"), "{error}");
    assert!(double.lines().len() > 1);
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://:canary@{}", silent.local_addr().unwrap());
    let client = MetadataClient::new(&url, Duration::from_millis(200)).unwrap();
    let error = client.conditions().await.unwrap_err();
    assert!(matches!(error, ClientError::Connection { .. }), "{error:?}");
    let text = format!("{error} {error:?} {} {client:?}", error.chain());
    assert!(text.contains("GET /conditions") && !text.contains("canary"), "{text}");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let double = Double::start().await.on("GET /spec", 301, "");
    let error = client(&double).spec(None).await.unwrap_err();
    assert_eq!(error.status().unwrap().as_u16(), 301);
}

#[tokio::test]
async fn credentials_are_taken_from_the_url_and_decoded() {
    let double = Double::start().await.on("GET /spec", 200, complete(1));
    let host = double.url().split_once('@').unwrap().1.to_owned();
    for (user_info, expected) in [
        ("", None),
        (":a%2Fb%3D@", Some("Basic OmEvYj0=")),
        ("token:t@", Some("Basic dG9rZW46dA==")),
    ] {
        let url = format!("http://{user_info}{host}");
        let client = MetadataClient::new(&url, Duration::from_secs(5)).unwrap();
        client.spec(None).await.unwrap();
        let call = double.calls().pop().unwrap();
        let sent = call.headers.get("authorization").map(|v| v.to_str().unwrap());
        assert_eq!(sent, expected, "{user_info}");
    }
}

#[test]
fn addresses_that_cannot_be_are_refused() {
    let refused = |url| match MetadataClient::new(url, Duration::ZERO) {
        Err(ClientError::Address(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused("unix:///x"), AddressError::Scheme);
    for url in ["", "host:port", "http://", "http://:%ff@host"] {
        drop(refused(url));
    }
}

#[tokio::test]
async fn numbers_come_out_as_they_went_in() {
    let text = r#"[18446744073709551615,-9223372036854775808,0.1,1.7976931348623157e308,
                   2.2250738585072014e-308,9007199254740993]"#;
    let body = format!(r#"{{"value":{text},"complete":true}}"#);
    let double = Double::start().await.on("GET /spec", 200, body);
    let value = client(&double).spec(None).await.unwrap().value;
    let expected =
        json!([u64::MAX, i64::MIN, 0.1, f64::MAX, f64::MIN_POSITIVE, 9_007_199_254_740_993_u64]);
    assert_eq!(value, expected);
}

#[test]
fn nesting_is_limited() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let quoted = format!("\"\\\"{}\"", "[".repeat(1000));
    assert!(transfer::parse(nested(transfer::DEEPEST).as_bytes()).is_ok());
    assert!(transfer::parse(nested(transfer::DEEPEST + 1).as_bytes()).is_err());
    assert!(transfer::parse("[".repeat(1_000_000).as_bytes()).is_err());
    assert!(transfer::parse(quoted.as_bytes()).is_ok());
    assert!(transfer::parse(b"{} {}").is_err());
}

#[test]
fn bytes_survive_the_transfer_form() {
    for bytes in [&b""[..], b"text", b"\0", b"\xff\xfe", "ä".as_bytes()] {
        let value = transfer::encode(bytes);
        assert_eq!(transfer::decode(&value).as_deref(), Some(bytes), "{value}");
    }
    for value in [
        Value::Null,
        json!({"$encoding": "base64", "data": "?"}),
        json!({"$encoding": "other", "data": ""}),
        json!({"data": ""}),
    ] {
        assert_eq!(transfer::decode(&value), None, "{value}");
    }
}
