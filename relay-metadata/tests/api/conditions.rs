use relay_core::{Journal as _, Message, MessageSource, Value};
use serde_json::json;

use crate::world::{World, step, trigger};
use axum::body::Body;
use axum::http::Method;

#[tokio::test]
async fn decisions() {
    let later = r#"{"$type": "Parameter", "name": "later"}"#;
    let unresolved = "unresolvable_error: We could not fully evaluate this resource expression:\n* parameter \"later\": not found";
    for (name, conditions, resolved, success, message) in [
        ("null", "null".to_owned(), true, true, ""),
        ("true", "true".to_owned(), true, true, "all checks passed"),
        ("none at all", "[]".to_owned(), true, true, "all checks passed"),
        ("all true", r#"[true, "${1 == 1}"]"#.to_owned(), true, true, "all checks passed"),
        ("false", "false".to_owned(), true, false, "one or more conditions failed"),
        ("false first", r#"[false, "x"]"#.to_owned(), true, false, "one or more conditions failed"),
        (
            "false beats unresolved",
            format!("[{later}, false]"),
            true,
            false,
            "one or more conditions failed",
        ),
        ("unresolved", format!("[true, {later}]"), false, false, unresolved),
        ("text waits too", format!(r#"["x", {later}]"#), false, false, unresolved),
    ] {
        let api = World::new().conditions(&conditions).serve();
        let expected = json!({"resolved": resolved, "success": success, "message": message});
        api.get("/conditions").await.is(name, 200, expected);
        assert_eq!(api.journal.messages(&"build".parse().unwrap()), [], "{name}");
    }
    let expected = json!({"resolved": true, "success": true, "message": ""});
    World::new().serve().get("/conditions").await.is("not stored", 200, expected);
}

#[tokio::test]
async fn what_is_missing_is_told_in_order() {
    let api = World::new()
        .conditions(
            r#"[{"$type": "Parameter", "name": "b"}, {"$type": "Parameter", "name": "a"},
                {"$type": "Secret", "name": "z"}, "${steps.deploy.succeeded}",
                {"$type": "Output", "from": "deploy", "name": "n"}]"#,
        )
        .serve();
    let answer = api.get("/conditions").await.json();
    let lines: Vec<_> = answer["message"].as_str().unwrap().lines().skip(1).collect();
    assert_eq!(
        lines,
        [
            r#"* secret "z": not found"#,
            r#"* output "n" of step "deploy": not found"#,
            r#"* parameter "a": not found"#,
            r#"* parameter "b": not found"#,
            r#"* status property "succeeded" of step "deploy": not found"#,
        ]
    );
}

#[tokio::test]
async fn conditions_see_answers_outputs_and_statuses() {
    let api = World::new()
        .conditions(
            r#"[{"$type": "Answer", "askRef": "approve", "name": "approved"},
                "${outputs.deploy.go}", "${steps.deploy.failed}"]"#,
        )
        .serve();
    assert_eq!(api.get("/conditions").await.json()["resolved"], false);
    api.journal_of("build").set_state("approved", true.into());
    api.journal_of("deploy").set_output("go", true.into()).await.unwrap();
    let status = r#"{"process_state": {"exit_code": 1, "timestamp": "2031-02-03T04:05:06Z"}}"#;
    api.by(&step("deploy"), Method::PUT, "/status", None, status).await.is_empty("status", 201);
    assert_eq!(api.get("/conditions").await.json()["success"], true);
}

#[tokio::test]
async fn errors_are_answered_and_told_once() {
    for (name, conditions, code, text) in [
        ("number", "[1]", "rma_condition_type_error", "provided a `number`."),
        ("before false", r#"["x", false]"#, "rma_condition_type_error", "`string`"),
        ("null in a list", "[null]", "rma_condition_type_error", "`null`"),
        ("object", "{}", "rma_condition_type_error", "`object`"),
        ("list in a list", "[[true]]", "rma_condition_type_error", "`list`"),
        ("function", r#""${nope()}""#, "rma_expression_evaluation_error", "nope"),
    ] {
        let api = World::new().conditions(conditions).serve();
        for _ in 0..3 {
            let answer = api.get("/conditions").await;
            answer.fails(name, 422, code);
            assert!(answer.friendly().contains(text), "{name}: {}", answer.friendly());
        }
        let messages = api.journal.messages(&"build".parse().unwrap());
        let [Message { source, time, details }] = messages.as_slice() else {
            panic!("{name}: {messages:?}")
        };
        let expression = Value::from_json(conditions).unwrap();
        assert_eq!(*source, MessageSource::WhenEvaluation { expression }, "{name}");
        assert_eq!(time.to_string(), crate::world::NOW, "{name}");
        assert!(details.contains(text), "{name}: {details}");
    }
}

#[tokio::test]
async fn triggers_have_conditions_too() {
    let api = World::new().serve();
    let answer = api.by(&trigger(), Method::GET, "/conditions", None, Body::empty()).await;
    assert_eq!(answer.json()["success"], true);
}
