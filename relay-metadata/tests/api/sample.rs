//! Sample mode: the files of `tests/samples` and what each request on them is answered.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Method;
use relay_core::{Action, Hs256Key, MemoryJournal};
use relay_metadata::sample::Sample;
use relay_metadata::{Router, TokenAuthenticator};
use serde_json::{Value as Json, json};

use crate::world::Api;

fn sample(names: &[&str]) -> Sample {
    names.iter().fold(Sample::default(), |sample, name| {
        let path = format!("{}/tests/samples/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        sample.merged_with(Sample::from_yaml(&text).unwrap())
    })
}

fn served(sample: Sample) -> Api {
    let key = Arc::new(Hs256Key::generate());
    let authenticator = TokenAuthenticator::new(key.clone(), Arc::new(sample.callers()));
    let router = Router::new(Arc::new(authenticator));
    Api { router, journal: MemoryJournal::new(), key }
}

fn of_yaml(text: &str) -> Api {
    served(Sample::from_yaml(text).unwrap())
}

fn step(run: &str, name: &str) -> Action {
    Action::step(run.parse().unwrap(), name.parse().unwrap())
}

fn trigger(name: &str) -> Action {
    Action::Trigger { name: name.parse().unwrap() }
}

fn complete(value: impl Into<Json>) -> Json {
    let value = value.into();
    json!({"value": value, "unresolvable": {}, "complete": true})
}

async fn get(api: &Api, action: &Action, path: &str) -> (u16, Json) {
    let answer = api.by(action, Method::GET, path, None, Body::empty()).await;
    (answer.status.as_u16(), answer.json())
}

#[tokio::test]
async fn a_pipeline_passes_outputs_along() {
    let api = served(sample(&["pipeline"]));
    let package = step("42", "package");
    let notify = step("42", "notify");
    let spec = json!({
        "artifact": "shop-1.4.0.tgz",
        "registry": {
            "url": "https://registry.example.com", "username": "ci", "password": "hunter2"
        },
        "tags": ["1.4.0", "latest"],
        "title": "Release 1.4.0 of shop",
    });
    assert_eq!(get(&api, &package, "/spec").await, (200, complete(spec)));
    let output = json!({
        "task_name": "compile", "key": "artifact", "value": "shop-1.4.0.tgz", "metadata": null
    });
    assert_eq!(get(&api, &package, "/outputs/compile/artifact").await, (200, output));
    let environment = complete(json!({"CHANNEL": "#releases", "TOKEN": "xoxb-000"}));
    assert_eq!(get(&api, &notify, "/environment").await, (200, environment));

    let unresolved = "unresolvable_error: We could not fully evaluate this resource expression:\n\
                      * output \"digest\" of step \"package\": not found";
    let waiting = json!({"resolved": false, "success": false, "message": unresolved});
    assert_eq!(get(&api, &notify, "/conditions").await, (200, waiting));
    let put = api.by(&package, Method::PUT, "/outputs/digest", None, "sha256:abc").await;
    put.is_empty("digest", 201);
    let passed = json!({"resolved": true, "success": true, "message": "all checks passed"});
    assert_eq!(get(&api, &notify, "/conditions").await, (200, passed));

    let cleanup = get(&api, &step("42", "cleanup"), "/conditions").await;
    let failed =
        json!({"resolved": true, "success": false, "message": "one or more conditions failed"});
    assert_eq!(cleanup, (200, failed));
    assert_eq!(get(&api, &step("42", "cleanup"), "/spec").await.0, 404);
}

#[tokio::test]
async fn conditions() {
    let api = served(sample(&["conditions"]));
    let passed = "all checks passed";
    let failed = "one or more conditions failed";
    for (name, resolved, success, message) in [
        ("none", true, true, ""),
        ("yes", true, true, passed),
        ("no", true, false, failed),
        ("nowaiting", true, false, failed),
        ("approval", true, true, passed),
    ] {
        let expected = json!({"resolved": resolved, "success": success, "message": message});
        assert_eq!(get(&api, &step("gate", name), "/conditions").await, (200, expected), "{name}");
    }
    let (status, waiting) = get(&api, &step("gate", "waiting"), "/conditions").await;
    assert_eq!((status, &waiting["resolved"]), (200, &json!(false)));
    assert!(waiting["message"].as_str().unwrap().ends_with("* parameter \"later\": not found"));
    for (name, code) in
        [("wrongtype", "rma_condition_type_error"), ("broken", "rma_expression_evaluation_error")]
    {
        let (status, answer) = get(&api, &step("gate", name), "/conditions").await;
        assert_eq!((status, &answer["error"]["code"]), (422, &json!(code)), "{name}");
    }
}

#[tokio::test]
async fn later_files_win_and_replace_whole_runs() {
    let api = served(sample(&["merge-1", "merge-2"]));
    let kept = step("r", "kept");
    for (name, value) in [("shared", "second"), ("only-first", "first")] {
        let expected = json!({"key": name, "value": value});
        assert_eq!(get(&api, &kept, &format!("/secrets/{name}")).await, (200, expected));
    }
    let spec = json!({"from": "second", "p": "second", "db": {"host": "second"}});
    assert_eq!(get(&api, &kept, "/spec").await, (200, complete(spec)));
    assert_eq!(get(&api, &step("r", "gone"), "/spec").await.0, 401);
}

#[tokio::test]
async fn triggers_have_secrets_and_events_and_nothing_else() {
    let api = served(sample(&["triggers"]));
    for name in ["on-push", "nightly"] {
        let caller = trigger(name);
        let secret = json!({"key": "webhook.key", "value": "abc123"});
        assert_eq!(get(&api, &caller, "/secrets/webhook.key").await, (200, secret));
        let event = api.by(&caller, Method::POST, "/events", None, r#"{"data": {"a": 1}}"#).await;
        event.is_empty(name, 202);
        for (method, path) in [
            (Method::GET, "/spec"),
            (Method::GET, "/environment"),
            (Method::GET, "/environment/a"),
            (Method::GET, "/conditions"),
            (Method::GET, "/state/a"),
            (Method::GET, "/outputs/a/b"),
            (Method::PUT, "/outputs/a"),
            (Method::PUT, "/status"),
            (Method::POST, "/decorators/a"),
            (Method::POST, "/logs"),
            (Method::POST, "/validate"),
            (Method::POST, "/workflows/w/run"),
        ] {
            let answer = api.by(&caller, method, path, None, "{}").await;
            answer.fails(path, 403, "rma_model_authorization_error");
        }
    }
}

#[tokio::test]
async fn values_of_all_kinds() {
    let api = served(sample(&["values"]));
    let all = step("kinds", "all");
    let encoded = |data: &str| json!({"$encoding": "base64", "data": data});
    let spec = json!({
        "text": "ünïcode ✓", "integer": -12, "big": 9_007_199_254_740_993_i64, "decimal": 0.125,
        "truth": true, "off": false, "none": null, "bytes": encoded("/wA="), "plainbytes": "ok",
        "nested": {"items": [{"name": "first"}, {"name": "second"}]},
    });
    for (path, expected) in [
        ("/secrets/binary", json!({"key": "binary", "value": encoded("AAEC/w==")})),
        ("/secrets/a%2Fb", json!({"key": "a/b", "value": "slash in the name"})),
        ("/secrets/padded", json!({"key": "padded", "value": "  two spaces  "})),
        ("/state/list", json!({"key": "list", "value": [1, "two", null]})),
        (
            "/outputs/all/doc",
            json!({
                "task_name": "all", "key": "doc", "value": {"deep": {"n": 1.25}}, "metadata": null
            }),
        ),
        ("/spec", complete(spec)),
        ("/spec?q=nested.items[1].name", complete(json!("second"))),
        ("/spec?lang=jsonpath&q=$.nested.items[*].name", complete(json!(["first", "second"]))),
        (
            "/spec?lang=path-template&q=%3C$%7Bnested.items[0].name%7D%3E",
            complete(json!("<first>")),
        ),
        (
            "/spec?lang=jsonpath-template&q=%3C%7B.nested.items[0].name%7D%3E",
            complete(json!("<first>")),
        ),
    ] {
        let path = path.replace('[', "%5B").replace(']', "%5D");
        assert_eq!(get(&api, &all, &path).await, (200, expected), "{path}");
    }
    let (status, missing) = get(&api, &all, "/spec?q=nested.nothing").await;
    let code = &missing["error"]["code"];
    assert_eq!((status, code), (422, &json!("rma_expression_evaluation_error")));
}

#[tokio::test]
async fn what_may_be_left_out() {
    let api = of_yaml("{runs: {r: {steps: {a: null, b: {spec: {}, env: {}}}}, empty: }}");
    for (name, path, status) in [
        ("a", "/spec", 404),
        ("a", "/environment", 404),
        ("a", "/conditions", 200),
        ("b", "/spec", 200),
        ("b", "/environment", 200),
    ] {
        assert_eq!(get(&api, &step("r", name), path).await.0, status, "{name} {path}");
    }
    for empty in ["", "{}", "null", "# nothing", "runs:", "{secrets: , unknown: [1]}"] {
        assert_eq!(Sample::from_yaml(empty).unwrap().actions().count(), 0, "{empty}");
    }
}

#[tokio::test]
async fn values_are_read_as_they_were_meant() {
    let api = of_yaml(
        "secrets: {number: 007, date: 2031-02-03, nothing: , yes: yes}\n\
         runs:\n  1:\n    parameters: {date: 2031-02-03, octal: 0777, text: '${secrets.number}'}\n\
         \x20   steps: {a: {spec: {date: !Parameter date, on: 2031-02-03, octal: !Parameter octal,\
         text: !Parameter text}}}\n",
    );
    let caller = step("1", "a");
    for (name, value) in
        [("number", "007"), ("date", "2031-02-03"), ("nothing", ""), ("yes", "yes")]
    {
        let expected = json!({"key": name, "value": value});
        assert_eq!(get(&api, &caller, &format!("/secrets/{name}")).await, (200, expected));
    }
    let spec = json!({
        "date": "2031-02-03", "on": "2031-02-03", "octal": 511, "text": "${secrets.number}"
    });
    assert_eq!(get(&api, &caller, "/spec").await, (200, complete(spec)));
}

#[test]
fn files_that_are_refused() {
    for (text, place, problem) in [
        ("runs: [", "2:1", ""),
        ("{runs: {}, runs: {}}", "1:12", "runs"),
        ("runs: []", "1:7", "`runs` is a map"),
        ("[]", "1:1", "the file is a map"),
        ("runs: {r: {steps: {a: [x]}}}", "1:23", "a step is a map"),
        ("runs: {r: {steps: {a: {spec: text}}}}", "1:30", "`spec` is a map"),
        ("runs: {r: {steps: {a: {env: !Fn.now {}}}}}", "1:29", "`env` is a map"),
        ("runs: {r: {steps: {a: {spec: {b: !Sekret s}}}}}", "1:34", "!Sekret"),
        ("runs: {r: {steps: {a: {spec: {b: !Output s}}}}}", "1:34", "!Output"),
        ("runs: {r: {parameters: {p: .inf}}}", "1:28", "infinities"),
        ("runs: {r: {steps: {a: {image: [x]}}}}", "1:31", "`image` is text"),
        ("runs: {'..': {}}", "1:8", "segments"),
        ("secrets: {s: [1]}", "1:14", "a secret is text"),
        ("secrets: text", "1:10", "`secrets` is a map"),
        ("connections: {api: {}}", "1:20", "TYPE/NAME"),
        ("runs: {r: {parameters: {[p]: 1}}}", "1:25", "a name is text"),
        ("runs: {r: {steps: {a: {outputs: {[o]: 1}}}}}", "1:", "a name is text"),
        ("runs: {r: {steps: {a: {state: {{o: p}: 1}}}}}", "1:", "a name is text"),
        ("runs: {r: {parameters: {p: !foo x}}}", "1:28", "!foo"),
        ("secrets: {[s]: text}", "1:11", "a name is text"),
        ("secrets: {s: !foo text}", "1:14", "!foo"),
        ("connections: {[c]: {}}", "1:15", "a name is text"),
        ("connections: {a/b: {c: !foo d}}", "1:24", "!foo"),
        ("triggers: {[t]: {}}", "1:12", "a name is text"),
        ("triggers: {'': {}}", "1:12", "empty"),
    ] {
        let problems = Sample::from_yaml(text).unwrap_err();
        let shown: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert!(
            shown.iter().any(|shown| shown.starts_with(place) && shown.contains(problem)),
            "{text}: {shown:?}"
        );
    }
}

#[test]
fn steps_and_triggers_are_listed_in_order() {
    let names: Vec<_> = sample(&["pipeline", "triggers", "conditions"])
        .actions()
        .map(|action| action.path())
        .collect();
    assert_eq!(names.first().unwrap(), "runs/42/steps/cleanup");
    assert_eq!(names.last().unwrap(), "triggers/on-push");
    assert!(names.is_sorted());
}
