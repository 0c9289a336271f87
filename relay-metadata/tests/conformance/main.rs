//! The cases of the expression language that go over HTTP (`expressions.md`, "Case files"), through
//! the real router. The format is that of `relay-core`, and so are the files.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect has failed"
)]

#[path = "../../../relay-core/tests/conformance/cases.rs"]
mod cases;
#[path = "../../../relay-core/tests/conformance/status.rs"]
mod status;

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use relay_core::{
    Action, Claims, Expression, FixedClock, Hs256Key, Journal as _, MemoryDefinition,
    MemoryJournal, MemorySecrets, StepName, Stores, TokenSigner as _, Value, yaml,
};
use relay_metadata::{Router, TokenAuthenticator};
use secrecy::ExposeSecret as _;
use tower::ServiceExt as _;

use cases::{Case, Tally};

fn tree(case: &Case) -> Option<Expression> {
    let tree = match (case.get("tree"), case.text("yaml"), case.text("text")) {
        (Some(tree), _, _) => tree.clone(),
        (_, Some(text), _) => yaml::tree(text).unwrap(),
        (_, _, Some(text)) => Value::from_json_prefix(text).unwrap(),
        _ => return None,
    };
    Some(Expression::parse(&tree))
}

/// Outputs and statuses of all steps, and the answers of the caller.
async fn journal(case: &Case, caller: &StepName) -> MemoryJournal {
    let journal = MemoryJournal::new();
    for (step, outputs) in case.env("outputs") {
        // What is no name of a step has no outputs.
        let Ok(step) = step.parse() else { continue };
        let of_step = journal.for_step(step);
        for (name, value) in outputs.as_map().unwrap() {
            of_step.set_output(name, value.clone()).await.unwrap();
        }
    }
    for (step, written) in case.env("statuses") {
        let Ok(step) = step.parse() else { continue };
        let of_step = journal.for_step(step);
        of_step.set_status(status::status(&written)).await.unwrap();
    }
    let of_caller = journal.for_step(caller.clone());
    for answers in case.env("answers").values() {
        for (name, value) in answers.as_map().unwrap() {
            of_caller.set_state(name, value.clone());
        }
    }
    of_caller
}

fn secrets(case: &Case) -> MemorySecrets {
    let mut secrets = MemorySecrets::default();
    for (name, value) in case.env("secrets") {
        secrets = secrets.with_secret(&name, value);
    }
    for (kind, named) in case.env("connections") {
        for (name, fields) in named.as_map().unwrap() {
            secrets = secrets.with_connection(&kind, name, fields.clone());
        }
    }
    secrets
}

fn path(case: &Case) -> String {
    let path = match case.op() {
        "http-spec" => "/spec",
        "http-conditions" => "/conditions",
        "http-environment" => "/environment",
        other => panic!("{}: no operation {other:?}", case.id()),
    };
    let pairs: Vec<_> = ["lang", "q"]
        .into_iter()
        .filter_map(|name| {
            let value = case.text(name)?;
            Some(format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
        })
        .collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

async fn run(case: &Case) -> Value {
    let caller: StepName = "caller".parse().unwrap();
    let parameters = case.env("parameters");
    let mut definition = MemoryDefinition {
        parameters: parameters.into_iter().map(|(name, value)| (name.into(), value)).collect(),
        ..MemoryDefinition::default()
    };
    match case.op() {
        "http-conditions" => definition.conditions = tree(case),
        "http-environment" => definition.environment = tree(case),
        _ => definition.spec = tree(case),
    }
    let stores = Stores {
        definition: Some(Arc::new(definition)),
        journal: Some(Arc::new(journal(case, &caller).await)),
        secrets: Some(Arc::new(secrets(case))),
        ..Stores::default()
    };
    let action = Action::step("r".parse().unwrap(), caller);
    let callers = HashMap::from([(action.clone(), stores)]);

    let clock = Arc::new(FixedClock(case.now()));
    let key = Arc::new(Hs256Key::generate());
    let token = key.sign(&Claims::for_action(&action)).await.unwrap();
    let authenticator = TokenAuthenticator::new(key, Arc::new(callers)).with_clock(clock.clone());
    let router = Router::new(Arc::new(authenticator)).with_clock(clock);

    let request = Request::get(path(case))
        .header(header::AUTHORIZATION, format!("Bearer {}", token.expose_secret()))
        .body(Body::empty())
        .unwrap();
    let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    Value::map([
        ("status", i64::from(parts.status.as_u16()).into()),
        ("body", Value::from_json(std::str::from_utf8(&body).unwrap()).unwrap()),
    ])
}

#[tokio::test]
async fn conformance() {
    let mut tally = Tally::default();
    for case in cases::all().iter().filter(|case| case.op().starts_with("http-")) {
        tally.run(case, run(case)).await;
    }
    tally.finish();
}
