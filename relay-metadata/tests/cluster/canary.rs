//! Secrets that are marked, and a look for the mark wherever it must not be.

use axum::body::Body;
use axum::http::Request;
use relay_core::{Action, Claims, SigningKey, TokenSigner as _};
use relay_metadata::{Access, ROUTES};
use relay_store::key;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use tower::ServiceExt as _;

use crate::log::Log;
use crate::world::{PRIVATE, World, step};

#[tokio::test]
async fn no_secret_is_in_logs_errors_metrics_or_debug() {
    let log = Log::of_the_process(tracing::Level::DEBUG);

    let world = World::new().await;
    let build = step("build");
    let trigger = Action::Trigger { name: "push".parse().unwrap() };
    let spec = r#"{"good": "${secrets.pw}", "bad": "${secrets.pw + 1}",
        "worse": "${connections.http.api.password * 2}"}"#;
    let conditions = r#"["${secrets.pw}"]"#;
    let mut entries = Vec::new();
    for action in [&build, &trigger] {
        entries.push((key::spec(action), spec.to_owned()));
        entries.push((key::environment(action), spec.to_owned()));
        entries.push((key::condition(action), conditions.to_owned()));
    }
    world.map("r-immutable", &entries).await;
    world.map("r-mutable", &[]).await;
    let value = json!({"value": "canary-secret"});
    world.secret("pw", json!({"relay.sh/secret": "pw"}), json!({}), value).await;
    let fields = json!({"password": "canary-connection"});
    world.secret("api", json!({"relay.sh/connection": "http.api"}), json!({}), fields).await;

    let signer = SigningKey::from_pem("k", PRIVATE).unwrap();
    let marked = |text: &str| Some(SecretString::from(text.to_owned()));
    let mut tokens = Vec::new();
    for (name, ip, action) in [("build", "10.0.0.1", &build), ("push", "10.0.0.2", &trigger)] {
        let claims = Claims {
            service_account_token: marked("canary-account"),
            event_url: Some("http://user:canary-password@127.0.0.1:1/?key=canary-query".to_owned()),
            event_token: marked("canary-event"),
            execution_url: Some("http://127.0.0.1:1/?key=canary-query".to_owned()),
            execution_token: marked("canary-execution"),
            ..world.claims(action)
        };
        let sealed = world.sealed(&signer, &claims).await;
        world.pod("tenant", name, ip, &action.subject(), Some(&sealed), json!({})).await;
        let token = signer.sign(&claims).await.unwrap();
        tokens.extend([sealed, token.expose_secret().to_owned()]);
    }

    let look = |what: &str, text: &str| {
        let found = tokens.iter().any(|token| text.contains(token.as_str()));
        assert!(!found && !text.contains("canary"), "{what}: {text}");
    };
    let paths = ["/spec?q=bad", "/spec?q=worse", "/environment/bad", "/workflows/w/run", "/events"];
    let mut failed = 0;
    for ip in ["10.0.0.1", "10.0.0.2"] {
        for route in ROUTES.iter().filter(|route| route.access() == Access::Callers) {
            let path = route.path().replace("{name}", "pw").replace("{step}", "build");
            let extra = paths.iter().copied().filter(|extra| extra.starts_with(&path));
            for path in [path.as_str()].into_iter().chain(extra) {
                let body =
                    r#"{"data": {"a": "canary-data"}, "parameters": {"b": {"value": "canary"}}}"#;
                let request = Request::builder()
                    .method(route.method())
                    .uri(path)
                    .header("authorization", "Bearer canary-header")
                    .body(Body::from(body))
                    .unwrap();
                let answer = world.send(ip, request).await;
                if answer.status >= 400 {
                    failed += 1;
                    look(path, &answer.body);
                    look(path, &format!("{:?}", answer.headers));
                }
            }
        }
    }
    assert!(failed > 20, "{failed}");
    assert!(world.get("10.0.0.1", "/spec?q=good").await.body.contains("canary-secret"));

    let request = Request::builder().uri("/metrics").body(Body::empty()).unwrap();
    let page = world.router.metrics().router(None).oneshot(request).await.unwrap();
    let page = axum::body::to_bytes(page.into_body(), usize::MAX).await.unwrap();
    look("metrics", std::str::from_utf8(&page).unwrap());
    look("Debug", &format!("{:?}", world.router));
    let log = log.text();
    assert!(log.contains("could not deliver") && log.contains("handled"), "{log}");
    look("log", &log);
}
