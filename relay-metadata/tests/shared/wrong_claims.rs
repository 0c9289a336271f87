//! Claims that are wrong in type or missing, for the tests of both modes.

use serde_json::{Value as Json, json};

/// Name by name, what to change in good claims. A change to `None` takes the claim away.
pub(crate) fn wrong_claims(now: i64) -> Vec<(&'static str, &'static str, Option<Json>)> {
    const AUDIENCE: &str = "k8s.relay.sh/metadata-api/v1";
    const EVENT_URL: &str = "relay.sh/event/api/url";
    const EXECUTION_URL: &str = "relay.sh/workflow-execution/api/url";
    vec![
        ("exp as text", "exp", Some(json!((now + 3600).to_string()))),
        ("exp as list", "exp", Some(json!([now + 3600]))),
        ("exp as object", "exp", Some(json!({"at": now + 3600}))),
        ("exp as boolean", "exp", Some(json!(true))),
        ("exp null", "exp", Some(Json::Null)),
        ("exp too great", "exp", Some(json!(u64::MAX))),
        ("exp as a great float", "exp", Some(json!(1e300))),
        ("nbf as text", "nbf", Some(json!("0"))),
        ("nbf null", "nbf", Some(Json::Null)),
        ("nbf as list", "nbf", Some(json!([]))),
        ("iat null", "iat", Some(Json::Null)),
        ("iat as text", "iat", Some(json!("yesterday"))),
        ("aud missing", "aud", None),
        ("aud null", "aud", Some(Json::Null)),
        ("aud as number", "aud", Some(json!(1))),
        ("aud as object", "aud", Some(json!({AUDIENCE: true}))),
        ("aud as mixed list", "aud", Some(json!([AUDIENCE, 1]))),
        ("aud as nested list", "aud", Some(json!([[AUDIENCE]]))),
        ("aud as empty list", "aud", Some(json!([]))),
        ("aud that begins alike", "aud", Some(json!(format!("{AUDIENCE}1")))),
        ("aud in capitals", "aud", Some(json!(AUDIENCE.to_uppercase()))),
        ("sub missing", "sub", None),
        ("sub null", "sub", Some(Json::Null)),
        ("sub empty", "sub", Some(json!(""))),
        ("sub as number", "sub", Some(json!(7))),
        ("sub as list", "sub", Some(json!(["steps/x"]))),
        ("sub of no kind", "sub", Some(json!("runs/d8f2b95591405de46bc7d29a5f3e98c33077b5fb"))),
        ("sub without a hash", "sub", Some(json!("steps/"))),
        ("iss as number", "iss", Some(json!(1))),
        ("name missing", "relay.sh/name", None),
        ("name as number", "relay.sh/name", Some(json!(1))),
        ("name empty", "relay.sh/name", Some(json!(""))),
        ("run missing", "relay.sh/run-id", None),
        ("run as number", "relay.sh/run-id", Some(json!(42))),
        ("tenant as list", "relay.sh/tenant-id", Some(json!(["w1"]))),
        ("domain as object", "relay.sh/domain-id", Some(json!({}))),
        ("namespace as number", "k8s.io/namespace-name", Some(json!(1))),
        ("namespace UID as boolean", "k8s.io/namespace-uid", Some(json!(true))),
        ("account as object", "k8s.io/service-account-token", Some(json!({"token": "x"}))),
        ("event token as number", "relay.sh/event/api/token", Some(json!(1))),
        ("event URL as list", "relay.sh/event/api/url", Some(json!(["http://x"]))),
        ("execution URL as number", "relay.sh/workflow-execution/api/url", Some(json!(1))),
        ("event URL with an open host", EVENT_URL, Some(json!("http://[::1"))),
        ("event URL with a bad port", EVENT_URL, Some(json!("http://x:port/"))),
        ("event URL with a bad escape", EVENT_URL, Some(json!("http://x/%zz"))),
        ("event URL of a bad escape", EVENT_URL, Some(json!("%zz"))),
        ("event URL with a line feed", EVENT_URL, Some(json!("http://x/\n"))),
        ("event URL without a scheme", EVENT_URL, Some(json!(":foo"))),
        ("execution URL with an open host", EXECUTION_URL, Some(json!("http://[::1"))),
        ("execution URL of a bad escape", EXECUTION_URL, Some(json!("%zz"))),
        ("execution URL without a scheme", EXECUTION_URL, Some(json!(":foo"))),
        ("map as list", "relay.sh/k8s/mutable-config-map-name", Some(json!(["r-mutable"]))),
        ("Vault path as number", "relay.sh/vault/secret-path", Some(json!(1))),
    ]
}

/// Good claims with one change.
pub(crate) fn changed(good: &Json, claim: &str, value: Option<Json>) -> Json {
    let mut claims = good.clone();
    let members = claims.as_object_mut().unwrap();
    match value {
        Some(value) => members.insert(claim.to_owned(), value),
        None => members.remove(claim),
    };
    claims
}
