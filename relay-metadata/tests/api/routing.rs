use axum::body::Body;
use axum::http::{Method, Request};
use relay_metadata::{Access, ROUTES};

use crate::world::{World, step};

fn request(method: &Method, path: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).body(Body::empty()).unwrap()
}

fn concrete(path: &str) -> String {
    path.replace("{name}", "x").replace("{step}", "y")
}

#[tokio::test]
async fn unknown_paths_are_404_before_anybody_is_asked_who_he_is() {
    let api = World::new().serve();
    for path in [
        "/",
        "/nothing",
        "/spec/",
        "/secrets/",
        "/secrets",
        "/secrets/a/b",
        "/%73pec",
        "/outputs",
        "/outputs/a/b/c",
        "/SPEC",
    ] {
        let answer = api.send(request(&Method::GET, path)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text()),
            (404, "404 page not found\n"),
            "{path}"
        );
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"), "{path}");
    }
}

#[tokio::test]
async fn other_methods_are_405_and_told_which_are_served() {
    let api = World::new().serve();
    for (method, path, allow) in [
        (Method::POST, "/spec", "GET,HEAD"),
        (Method::OPTIONS, "/spec", "GET,HEAD"),
        (Method::PUT, "/healthz", "GET,HEAD"),
        (Method::GET, "/status", "PUT"),
        (Method::HEAD, "/status", "PUT"),
        (Method::GET, "/outputs/x", "PUT"),
        (Method::PUT, "/outputs/x/y", "GET,HEAD"),
        (Method::PUT, "/outputs/x/%6Detadata", "GET,HEAD"),
        (Method::DELETE, "/outputs/x/metadata", "PUT,GET,HEAD"),
        (Method::GET, "/decorators/x", "POST"),
        (Method::PUT, "/state/x", "GET,HEAD"),
    ] {
        let answer = api.send(request(&method, path)).await;
        answer.is_empty(&format!("{method} {path}"), 405);
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
    }
}

#[tokio::test]
async fn every_route_is_served_and_all_but_the_health_check_ask_who_calls() {
    let api = World::new().serve();
    let open: Vec<_> = ROUTES.iter().filter(|route| route.access() == Access::Anybody).collect();
    assert_eq!(open.iter().map(|route| route.path()).collect::<Vec<_>>(), ["/healthz"]);

    for route in ROUTES {
        let path = concrete(route.path());
        let mut methods = vec![route.method().clone()];
        if route.method() == Method::GET {
            methods.push(Method::HEAD);
        }
        for method in methods {
            let answer = api.send(request(&method, &path)).await;
            let expected = if route.access() == Access::Anybody { 200 } else { 401 };
            assert_eq!(answer.status.as_u16(), expected, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let api = World::new().spec(r#"{"a": 1}"#).serve();
    for path in ["/healthz", "/spec", "/spec?q=b", "/secrets/none"] {
        let get = api.get(path).await;
        let head = api.by(&step("build"), Method::HEAD, path, None, Body::empty()).await;
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.body, b"", "{path}");
        for name in ["content-type", "content-length"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
        assert_eq!(head.header("content-length"), Some(get.body.len().to_string().as_str()));
    }
}

#[tokio::test]
async fn names_are_decoded_as_segments_of_a_path() {
    let names = [
        ("/secrets/with%2Fslash", "with/slash"),
        ("/secrets/a+b", "a+b"),
        ("/secrets/a%2Bb", "a+b"),
        ("/secrets/a%20b", "a b"),
        ("/secrets/%C3%BC", "ü"),
        ("/secrets/a%2F%2Fb", "a//b"),
        ("/secrets/%2573", "%73"),
        ("/secrets/...", "..."),
    ];
    let world = names.iter().fold(World::new(), |world, (_, name)| world.secret(name, "here"));
    let api = world.serve();
    for (path, name) in names {
        api.get(path).await.is(path, 200, serde_json::json!({"key": name, "value": "here"}));
    }
}

#[tokio::test]
async fn names_that_cannot_be_read_are_400() {
    let api = World::new().serve();
    for path in ["/secrets/%FF", "/secrets/%ZZ", "/secrets/%2", "/outputs/a/%C3", "/nothing/%"] {
        let answer = api.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (400, "400 Bad Request"), "{path}");
        assert_eq!(answer.header("x-frame-options"), Some("deny"), "{path}");
    }
}

#[tokio::test]
async fn dot_segments_lead_nowhere() {
    let api = World::new().secret("..", "up").secret("a/../b", "across").serve();
    for path in ["/secrets/%2E%2E", "/secrets/a%2F..%2Fb", "/secrets/%2E%2E%2Fother"] {
        api.get(path).await.fails(path, 404, "rma_model_not_found_error");
    }
}

#[tokio::test]
async fn empty_and_dot_segments_are_redirected_before_anybody_is_asked_who_he_is() {
    let api = World::new().serve();
    for (method, path, location) in [
        (Method::GET, "//spec", "/spec"),
        (Method::GET, "//", "/"),
        (Method::GET, "//example.com/spec", "/example.com/spec"),
        (Method::GET, "/spec/.?q=a//b", "/spec?q=a//b"),
        (Method::GET, "/spec//", "/spec/"),
        (Method::GET, "/secrets/..", "/"),
        (Method::GET, "/secrets/../other", "/other"),
        (Method::GET, "/../../spec?lang=path&q=.", "/spec?lang=path&q=."),
        (Method::GET, "/outputs//o", "/outputs/o"),
        (Method::PUT, "/outputs//metadata", "/outputs/metadata"),
        (Method::PUT, "/outputs/..", "/"),
        (Method::PUT, "/outputs/./a%2F%2Fb", "/outputs/a%2F%2Fb"),
        (Method::POST, "/workflows//run", "/workflows/run"),
        (Method::POST, "/logs//messages", "/logs/messages"),
        (Method::POST, "/nothing//there", "/nothing/there"),
    ] {
        let answer = api.send(request(&method, path)).await;
        answer.is_empty(path, 301);
        assert_eq!(answer.header("location"), Some(location), "{path}");
        assert_eq!(answer.header("x-frame-options"), Some("deny"), "{path}");
    }
    for path in ["/secrets/.hidden", "/secrets/...", "/secrets/a..", "/secrets/a."] {
        assert_eq!(api.send(request(&Method::GET, path)).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn every_answer_carries_the_security_headers_and_an_id_of_its_own() {
    let api = World::new().spec("{}").serve();
    let mut ids = std::collections::HashSet::new();
    for (method, path) in [
        (Method::GET, "/healthz"),
        (Method::GET, "/spec"),
        (Method::GET, "/state/none"),
        (Method::PUT, "/status"),
        (Method::GET, "/nothing"),
        (Method::DELETE, "/spec"),
        (Method::GET, "/secrets/%ZZ"),
    ] {
        let answer = api.by(&step("build"), method, path, None, Body::empty()).await;
        for (name, value) in [
            ("strict-transport-security", "max-age=31536000"),
            ("x-frame-options", "deny"),
            ("x-content-type-options", "nosniff"),
            ("x-permitted-cross-domain-policies", "none"),
            ("referrer-policy", "no-referrer"),
            ("x-xss-protection", "0"),
            ("content-security-policy", "default-src 'none'; base-uri 'none'"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path} {name}");
        }
        let length = answer.body.len().to_string();
        assert_eq!(answer.header("content-length"), Some(length.as_str()), "{path}");
        assert!(ids.insert(answer.header("x-request-id").unwrap().to_owned()), "{path}");
    }

    let mut forged = request(&Method::GET, "/healthz");
    forged.headers_mut().insert("x-request-id", "mine".parse().unwrap());
    assert_ne!(api.send(forged).await.header("x-request-id"), Some("mine"));
}

#[tokio::test]
async fn health_needs_no_credential_and_minds_no_bad_one() {
    let api = World::new().serve();
    for credential in [None, Some("Bearer nothing"), Some("Basic ***")] {
        let mut ping = request(&Method::GET, "/healthz");
        if let Some(credential) = credential {
            ping.headers_mut().insert("authorization", credential.parse().unwrap());
        }
        let answer = api.send(ping).await;
        answer.is("ping", 200, serde_json::json!({"ping": "pong"}));
        assert_eq!(answer.text(), r#"{"ping":"pong"}"#);
    }
}
