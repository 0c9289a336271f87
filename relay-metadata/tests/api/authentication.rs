use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::EncodingKey;
use relay_core::{
    Action, AuthenticateError, Authenticator, Caller, Claims, Clock, FixedClock, Hs256Key,
    MemoryDefinition, Presented, Stores, TokenError, TokenSigner as _, TokenVerifier,
};
use relay_metadata::{Access, ROUTES, Router, TokenAuthenticator};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use tower::ServiceExt as _;

use crate::world::{Answer, Api, NOW, World, step};
use crate::wrong_claims::{changed, wrong_claims};

fn now() -> i64 {
    NOW.parse::<jiff::Timestamp>().unwrap().as_second()
}

async fn signed(key: &Hs256Key, change: impl FnOnce(&mut Claims)) -> String {
    let mut claims = Claims::for_action(&step("build"));
    change(&mut claims);
    key.sign(&claims).await.unwrap().expose_secret().to_owned()
}

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

/// A token of these claims, unsigned claims included.
fn unsigned(token: &str) -> String {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    format!("{header}.{}.", token.split('.').nth(1).unwrap())
}

async fn send(api: &Api, method: &Method, path: &str, credentials: &[&str]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for credential in credentials {
        request = request.header(header::AUTHORIZATION, *credential);
    }
    api.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn accepted_credentials() {
    let api = World::new().serve();
    let token = signed(&api.key, |_| {}).await;
    let timed = signed(&api.key, |claims| {
        claims.not_before = Some(now());
        claims.expires_at = Some(now() + 1);
    })
    .await;
    let endless = signed(&api.key, |claims| {
        claims.expires_at = Some(9_223_371_974_719_179_007);
    })
    .await;
    for (name, credential) in [
        ("bearer", format!("Bearer {token}")),
        ("case", format!("bEARER {token}")),
        ("space", format!("Bearer   {token} ")),
        ("basic", basic(&format!(":{token}"))),
        ("basic token", basic(&format!("token:{token}"))),
        ("basic case", basic(&format!(":{token}")).replace("Basic", "BASIC")),
        ("timed", format!("Bearer {timed}")),
        ("endless", format!("Bearer {endless}")),
    ] {
        let answer = send(&api, &Method::GET, "/conditions", &[&credential]).await;
        assert_eq!(answer.status, 200, "{name}");
    }
}

#[tokio::test]
async fn every_route_refuses_every_bad_credential_alike() {
    let api = World::new().serve();
    let token = signed(&api.key, |_| {}).await;
    let bearer = format!("Bearer {token}");
    let other_key = signed(&Hs256Key::generate(), |_| {}).await;
    let expired = signed(&api.key, |claims| claims.expires_at = Some(now() - 60)).await;
    let early = signed(&api.key, |claims| claims.not_before = Some(now() + 61)).await;
    let audience = signed(&api.key, |claims| {
        claims.audience = vec!["other".to_owned()];
    })
    .await;
    let no_audience = signed(&api.key, |claims| claims.audience.clear()).await;
    let no_subject = signed(&api.key, |claims| claims.subject = None).await;
    let other_step = signed(&api.key, |claims| claims.name = Some("deploy".to_owned())).await;
    let other_run = signed(&api.key, |claims| claims.run_id = Some("s".to_owned())).await;
    let no_run = signed(&api.key, |claims| claims.run_id = None).await;
    let unknown = signed(&api.key, |claims| {
        *claims = Claims::for_action(&step("gone"));
    })
    .await;
    let forged = format!("{token}x");

    let refused: Vec<(&str, Vec<String>)> = vec![
        ("nothing", vec![]),
        ("empty", vec![String::new()]),
        ("no scheme", vec![token.clone()]),
        ("no token", vec!["Bearer".to_owned()]),
        ("blank token", vec!["Bearer  ".to_owned()]),
        ("no jwt", vec!["Bearer nothing".to_owned()]),
        ("other scheme", vec![format!("Token {token}")]),
        ("other user", vec![basic(&format!("admin:{token}"))]),
        ("no password", vec![basic("token:")]),
        ("no colon", vec![basic(&token)]),
        ("no base64", vec![format!("Basic {token}")]),
        ("two", vec![bearer.clone(), bearer.clone()]),
        ("forged", vec![format!("Bearer {forged}")]),
        ("unsigned", vec![format!("Bearer {}", unsigned(&token))]),
        ("other key", vec![format!("Bearer {other_key}")]),
        ("expired", vec![format!("Bearer {expired}")]),
        ("early", vec![format!("Bearer {early}")]),
        ("audience", vec![format!("Bearer {audience}")]),
        ("no audience", vec![format!("Bearer {no_audience}")]),
        ("no subject", vec![format!("Bearer {no_subject}")]),
        ("other step", vec![format!("Bearer {other_step}")]),
        ("other run", vec![format!("Bearer {other_run}")]),
        ("no run", vec![format!("Bearer {no_run}")]),
        ("unknown step", vec![format!("Bearer {unknown}")]),
    ];
    for route in ROUTES.iter().filter(|route| route.access() == Access::Callers) {
        let path = route.path().replace("{name}", "x").replace("{step}", "build");
        let mut first: Option<Answer> = None;
        for (name, credentials) in &refused {
            let credentials: Vec<_> = credentials.iter().map(String::as_str).collect();
            let mut answer = send(&api, route.method(), &path, &credentials).await;
            answer.fails(name, 401, "rma_api_authentication_error");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{name}");
            answer.headers.remove("x-request-id");
            let first = first.get_or_insert(Answer {
                body: answer.body.clone(),
                headers: answer.headers.clone(),
                ..answer
            });
            assert_eq!((&first.headers, &first.body), (&answer.headers, &answer.body), "{name}");
        }
        let answer = send(&api, route.method(), &path, &[&bearer]).await;
        assert_ne!(answer.status, 401, "{route:?}");
    }
    let answer = send(&api, &Method::GET, &format!("/conditions?token={token}"), &[]).await;
    assert_eq!(answer.status, 401, "a token in the query");
}

/// Counts how often it is asked.
#[derive(Debug)]
struct Counting(Hs256Key, AtomicUsize);

#[async_trait]
impl TokenVerifier for Counting {
    async fn verify(&self, token: &SecretString) -> Result<Claims, TokenError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.verify(token).await
    }
}

/// A clock that tests set.
#[derive(Debug)]
struct Turned(AtomicI64);

impl Clock for Turned {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

#[tokio::test]
async fn a_token_that_was_verified_is_checked_all_the_same() {
    let verifier = Arc::new(Counting(Hs256Key::generate(), AtomicUsize::new(0)));
    let clock = Arc::new(Turned(AtomicI64::new(now())));
    let callers = HashMap::from([(step("build"), Stores::default())]);
    let authenticator = TokenAuthenticator::new(verifier.clone(), Arc::new(callers));
    let authenticator = authenticator.with_clock(clock.clone());
    let ask = async |token: &str| {
        let presented = Presented { token: Some(token.to_owned().into()), address: None };
        authenticator.authenticate(&presented).await.is_ok()
    };
    let signed = async |change: fn(&mut Claims)| signed(&verifier.0, change).await;
    let token = signed(|claims| claims.expires_at = Some(now() + 10)).await;
    assert!(ask(&token).await && ask(&token).await);
    assert_eq!(verifier.1.load(Ordering::SeqCst), 1);
    clock.0.store(now() + 70, Ordering::SeqCst);
    assert!(!ask(&token).await, "a known token ends with its time");
    clock.0.store(now(), Ordering::SeqCst);

    let gone = signed(|claims| *claims = Claims::for_action(&step("gone"))).await;
    let forged = format!("{token}x");
    for _ in 0..2 {
        assert!(!ask(&gone).await && !ask(&forged).await);
    }
    // What is not trusted is verified each time.
    assert_eq!(verifier.1.load(Ordering::SeqCst), 1 + 1 + 2);

    // Many callers do not make it forget who is trusted, nor keep everything.
    for index in 0..3000 {
        let mut claims = Claims::for_action(&step("build"));
        claims.issued_at = Some(index);
        let token = verifier.0.sign(&claims).await.unwrap();
        assert!(ask(token.expose_secret()).await);
    }
    assert!(ask(&token).await);
    let shown = format!("{authenticator:?}");
    assert!(!shown.contains(&token), "{shown}");
}

#[tokio::test]
async fn claims_of_a_wrong_type_are_refused_alike() {
    const BYTES: &[u8] = b"0123456789abcdef0123456789abcdef";
    let api = World::new().serve_with(Hs256Key::new(&BYTES.to_vec().into()).unwrap());
    let encoding = EncodingKey::from_secret(BYTES);
    let signed = |claims: &serde_json::Value| {
        let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
        format!("Bearer {}", jsonwebtoken::encode(&header, claims, &encoding).unwrap())
    };
    let mut claims = Claims::for_action(&step("build"));
    claims.not_before = Some(now());
    claims.expires_at = Some(now() + 3600);
    let good = serde_json::to_value(&claims).unwrap();
    let answer = send(&api, &Method::GET, "/conditions", &[&signed(&good)]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());

    let mut nobody = send(&api, &Method::GET, "/conditions", &[]).await;
    nobody.headers.remove("x-request-id");
    for (name, claim, value) in wrong_claims(now()) {
        let token = signed(&changed(&good, claim, value));
        for (method, path) in
            [(Method::GET, "/conditions"), (Method::GET, "/spec"), (Method::PUT, "/outputs/x")]
        {
            let mut answer = send(&api, &method, path, &[&token]).await;
            answer.headers.remove("x-request-id");
            assert_eq!(answer, nobody, "{name} {path}");
        }
    }
    for (name, claim, value, status) in [
        ("a fraction before the end", "exp", json!(now() as f64 - 59.5), 200),
        ("a fraction after the end", "exp", json!(now() as f64 - 60.5), 401),
        ("a fraction before the start", "nbf", json!(now() as f64 + 60.5), 200),
        ("a second and a fraction before the start", "nbf", json!(now() as f64 + 61.5), 401),
        ("issued at a fraction", "iat", json!(now() as f64 + 0.25), 200),
        ("as some languages write it", "exp", json!(9.223371974719179e18), 200),
    ] {
        let token = signed(&changed(&good, claim, Some(value)));
        let answer = send(&api, &Method::GET, "/conditions", &[&token]).await;
        assert_eq!(answer.status.as_u16(), status, "{name}");
    }
    for (name, critical, status) in [("none", None, 200), ("some", Some("exp"), 401)] {
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
        header.crit = critical.map(|part| vec![part.to_owned()]);
        let token = jsonwebtoken::encode(&header, &good, &encoding).unwrap();
        let answer = send(&api, &Method::GET, "/conditions", &[&format!("Bearer {token}")]).await;
        assert_eq!(answer.status.as_u16(), status, "critical: {name}");
    }
    // Endless or not begun are no types: without them a token of sample mode is good.
    for claim in ["exp", "nbf", "iat", "iss"] {
        let token = signed(&changed(&good, claim, None));
        let answer = send(&api, &Method::GET, "/conditions", &[&token]).await;
        assert_eq!(answer.status, 200, "no {claim}");
    }
}

#[tokio::test]
async fn what_a_caller_does_not_have_is_forbidden() {
    let api = World::new().serve();
    for route in ROUTES.iter().filter(|route| route.access() == Access::Callers) {
        let path = route.path().replace("{name}", "x").replace("{step}", "build");
        let answer = api.by(&step("bare"), route.method().clone(), &path, None, "{}").await;
        answer.fails(&path, 403, "rma_model_authorization_error");
    }
}

/// Gives out one caller, or fails.
#[derive(Debug)]
enum Fixed {
    Caller(Box<Caller>),
    Failing,
}

#[async_trait]
impl Authenticator for Fixed {
    async fn authenticate(&self, presented: &Presented) -> Result<Caller, AuthenticateError> {
        match self {
            Self::Caller(caller) if presented.address == Some([10, 0, 0, 7].into()) => {
                Ok((**caller).clone())
            }
            Self::Caller(_) => Err(AuthenticateError::refused("another address")),
            Self::Failing => Err(AuthenticateError::Backend("the pods are out of reach".into())),
        }
    }
}

async fn ask(authenticator: Fixed, peer: &str) -> Answer {
    ask_behind(0, authenticator, peer, &["10.0.0.7"]).await
}

/// Behind this many trusted proxies, with these headers.
async fn ask_behind(hops: usize, authenticator: Fixed, peer: &str, forwarded: &[&str]) -> Answer {
    let clock = Arc::new(FixedClock(NOW.parse().unwrap()));
    let router = Router::new(Arc::new(authenticator)).with_clock(clock);
    let router = router.with_trusted_hops(hops);
    let mut request = Request::builder().uri("/conditions");
    for header in forwarded {
        request = request.header("x-forwarded-for", *header);
    }
    let mut request = request.body(Body::empty()).unwrap();
    let peer: std::net::SocketAddr = peer.parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    let response = axum::Router::from(router).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

fn caller(expires_at: Option<&str>) -> Fixed {
    Fixed::Caller(Box::new(Caller {
        action: step("build"),
        instance: None,
        stores: Stores {
            definition: Some(Arc::new(MemoryDefinition::default())),
            ..Stores::default()
        },
        expires_at: expires_at.map(|time| time.parse().unwrap()),
    }))
}

#[tokio::test]
async fn addresses_are_those_of_the_connection() {
    for (peer, status) in [
        ("10.0.0.7:4000", 200),
        ("[::ffff:10.0.0.7]:4000", 200),
        ("10.0.0.8:4000", 401),
        ("[::1]:4000", 401),
    ] {
        assert_eq!(ask(caller(None), peer).await.status.as_u16(), status, "{peer}");
    }
}

#[tokio::test]
async fn behind_proxies_the_address_is_what_the_outermost_of_them_saw() {
    const PROXY: &str = "10.1.1.1:5";
    for (name, hops, forwarded, status) in [
        ("no header", 1, &[][..], 401),
        ("one", 1, &["10.0.0.7"][..], 200),
        ("a forged one before it", 1, &["10.0.0.7, 10.9.9.9"][..], 401),
        ("what was forged does not matter", 1, &["10.9.9.9, 10.0.0.7"][..], 200),
        ("several headers are one list", 1, &["10.9.9.9", "10.0.0.7"][..], 200),
        ("the last header counts", 1, &["10.0.0.7", "10.9.9.9"][..], 401),
        ("two proxies", 2, &["10.0.0.7, 10.1.1.2"][..], 200),
        ("two proxies, two headers", 2, &["10.0.0.7", "10.1.1.2"][..], 200),
        ("two proxies, forged", 2, &["10.0.0.7, 10.9.9.9, 10.1.1.2"][..], 401),
        ("two proxies, one entry", 2, &["10.0.0.7"][..], 401),
        ("mapped", 1, &["::ffff:10.0.0.7"][..], 200),
        ("with a port", 1, &["10.0.0.7:4000"][..], 200),
        ("no address", 1, &["unknown"][..], 401),
        ("an empty entry", 1, &["10.0.0.7,"][..], 401),
        ("none trusted", 0, &["10.0.0.7"][..], 401),
    ] {
        let answer = ask_behind(hops, caller(None), PROXY, forwarded).await;
        assert_eq!(answer.status.as_u16(), status, "{name}");
    }
}

#[tokio::test]
async fn a_caller_that_an_authenticator_keeps_expires_all_the_same() {
    for (end, status) in [(NOW, 401), ("2031-02-03T04:05:05Z", 401), ("2031-02-03T04:05:07Z", 200)]
    {
        assert_eq!(ask(caller(Some(end)), "10.0.0.7:1").await.status.as_u16(), status, "{end}");
    }
}

#[tokio::test]
async fn a_credential_that_cannot_be_checked_is_no_refusal() {
    let answer = ask(Fixed::Failing, "10.0.0.7:1").await;
    answer.fails("backend", 500, "rma_model_read_error");
    assert!(!answer.text().contains("pods"), "{}", answer.text());
}

#[tokio::test]
async fn debug_shows_no_token() {
    let api = World::new().secret("s", "canary").serve();
    let token = signed(&api.key, |_| {}).await;
    let shown = format!("{:?} {:?}", api.router, HashMap::<Action, Stores>::new());
    assert!(!shown.contains("canary") && !shown.contains(&token), "{shown}");
}
