//! What steps tell about themselves: status and decorators; and what they ask to be checked.

use axum::body::Body;
use axum::http::Method;
use relay_core::{
    ConditionOutcome, Decorator, Journal as _, ProcessState, StepStatus, WhenCondition,
};
use serde_json::json;

use crate::world::{World, step, trigger};

const MALFORMED: &str = "rma_api_malformed_request_error";

#[tokio::test]
async fn a_status_replaces_the_one_before() {
    let api = World::new().serve();
    let at = |time: &str| time.parse().unwrap();
    let process = |exit_code, time| Some(ProcessState { exit_code, timestamp: at(time) });
    let when = |outcome, time| Some(WhenCondition { outcome, timestamp: at(time) });
    let year_1 = "0001-01-01T00:00:00Z";
    for (name, body, expected) in [
        (
            "both",
            r#"{"process_state": {"exit_code": 3, "timestamp": "2031-01-01T00:00:00Z"},
                "when_condition": {"timestamp": "2031-01-01T01:00:00.5+01:00",
                                   "when_condition_status": "WhenConditionSatisfied"}}"#,
            StepStatus {
                process: process(3, "2031-01-01T00:00:00Z"),
                when: when(ConditionOutcome::Satisfied, "2031-01-01T00:00:00.5Z"),
            },
        ),
        (
            "as the entrypoint begins",
            r#"{"process_state": null, "when_condition": {"timestamp": "2031-01-01T00:00:00Z",
                "when_condition_status": "WhenConditionEvaluating"}}"#,
            StepStatus {
                process: None,
                when: when(ConditionOutcome::Evaluating, "2031-01-01T00:00:00Z"),
            },
        ),
        (
            "killed, without time, other case",
            r#"{"Process_State": {"Exit_Code": -1}}"#,
            StepStatus { process: process(-1, year_1), when: None },
        ),
        (
            "more digits than a clock has",
            r#"{"process_state": {"timestamp": "2031-01-01T00:00:00.1234567891234Z"}}"#,
            StepStatus { process: process(0, "2031-01-01T00:00:00.123456789Z"), when: None },
        ),
        (
            "the last second",
            r#"{"process_state": {"timestamp": "9999-12-31T23:59:59Z"}}"#,
            StepStatus { process: process(0, "9999-12-30T22:00:00.999999999Z"), when: None },
        ),
        ("nothing", "{}", StepStatus::default()),
        ("null", "null", StepStatus::default()),
    ] {
        api.put("/status", body).await.is_empty(name, 201);
        let stored = api.journal.status(&"build".parse().unwrap()).await.unwrap();
        assert_eq!(stored, Some(expected), "{name}");
    }
}

#[tokio::test]
async fn statuses_that_are_refused() {
    let api = World::new().serve();
    for (name, body) in [
        ("empty", ""),
        ("list", "[]"),
        ("text for an object", r#"{"process_state": "done"}"#),
        ("text for a code", r#"{"process_state": {"exit_code": "0"}}"#),
        ("fraction", r#"{"process_state": {"exit_code": 1.5}}"#),
        ("beyond 64 bits", r#"{"process_state": {"exit_code": 9223372036854775808}}"#),
        ("time without zone", r#"{"process_state": {"timestamp": "2031-01-01T00:00:00"}}"#),
        ("time without seconds", r#"{"process_state": {"timestamp": "2031-01-01T00:00Z"}}"#),
        ("day", r#"{"process_state": {"timestamp": "2031-01-01"}}"#),
        ("no day", r#"{"process_state": {"timestamp": "2031-02-30T00:00:00Z"}}"#),
        ("leap second", r#"{"process_state": {"timestamp": "2016-12-31T23:59:60Z"}}"#),
        ("zone of a day", r#"{"process_state": {"timestamp": "2031-01-01T00:00:00+24:00"}}"#),
        ("zone of letters", r#"{"process_state": {"timestamp": "2031-01-01T00:00:00+aa:00"}}"#),
        ("minutes of a zone", r#"{"process_state": {"timestamp": "2031-01-01T00:00:00+01:60"}}"#),
        ("no fraction", r#"{"process_state": {"timestamp": "2031-01-01T00:00:00.Z"}}"#),
        ("late and no day", r#"{"process_state": {"timestamp": "9999-12-32T00:00:00Z"}}"#),
        ("number for a time", r#"{"when_condition": {"timestamp": 1}}"#),
        ("no outcome", r#"{"when_condition": {"timestamp": "2031-01-01T00:00:00Z"}}"#),
        ("unknown outcome", r#"{"when_condition": {"when_condition_status": "Maybe"}}"#),
    ] {
        api.put("/status", body).await.fails(name, 422, MALFORMED);
    }
    assert_eq!(api.journal.status(&"build".parse().unwrap()).await.unwrap(), None);
}

#[tokio::test]
async fn the_status_of_a_trigger_goes_nowhere() {
    let api = World::new().serve();
    let body = r#"{"process_state": {"exit_code": 0}}"#;
    api.by(&trigger(), Method::PUT, "/status", None, body).await.is_empty("taken", 201);
    assert_eq!(api.journal.status(&"build".parse().unwrap()).await.unwrap(), None);
    let answer = api.by(&trigger(), Method::PUT, "/status", None, "[]").await;
    answer.fails("but read", 422, MALFORMED);
}

#[tokio::test]
async fn links() {
    let api = World::new().serve();
    let link = r#"{"type": "link", "description": "the page", "uri": "https://example.com/a?b#c"}"#;
    api.post("/decorators/page", r#"{"type": "link", "uri": "http://old"}"#)
        .await
        .is_empty("", 201);
    api.post("/decorators/page", link).await.is_empty("overwrites", 201);
    let expected = Decorator::Link {
        description: "the page".to_owned(),
        uri: "https://example.com/a?b#c".to_owned(),
    };
    let stored = api.journal.decorators(&"build".parse().unwrap());
    assert_eq!(stored.into_iter().collect::<Vec<_>>(), [("page".to_owned(), expected)]);

    for (name, body) in [
        ("empty", ""),
        ("null", "null"),
        ("no type", r#"{"uri": "https://example.com"}"#),
        ("type", r#"{"type": 1, "uri": "https://example.com"}"#),
        ("unknown type", r#"{"type": "badge", "uri": "https://example.com"}"#),
        ("no address", r#"{"type": "link"}"#),
        ("relative", r#"{"type": "link", "uri": "/a"}"#),
        ("script", r#"{"type": "link", "uri": "javascript:alert(1)"}"#),
        ("open host", r#"{"type": "link", "uri": "https://[::1"}"#),
        ("bad escape", r#"{"type": "link", "uri": "https://x/%zz"}"#),
        ("number", r#"{"type": "link", "uri": 1}"#),
        ("description", r#"{"type": "link", "uri": "https://example.com", "description": {}}"#),
    ] {
        api.post("/decorators/other", body).await.fails(name, 422, MALFORMED);
    }
    assert_eq!(api.journal.decorators(&"build".parse().unwrap()).len(), 1);
}

#[tokio::test]
async fn without_schemas_everything_is_valid() {
    let api = World::new().serve();
    for action in [step("build"), trigger()] {
        let answer = api.by(&action, Method::POST, "/validate", None, Body::from("ignored")).await;
        answer.is("", 200, json!(null));
    }
}
