//! The sequence around a step's program, on the wire.

use std::time::Duration;

use relay_tools::entrypoint::{Ended, Entrypoint, EntrypointError, Invocation, Signal};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::double::{Double, complete, error};
use crate::step::{SATISFIED, on, reports, run, shell};

#[tokio::test]
async fn calls_come_in_the_order_of_the_sequence() {
    let cases = [
        (
            "a program",
            false,
            false,
            vec![
                "PUT /status",
                "GET /conditions",
                "PUT /status",
                "GET /environment",
                "POST /validate",
                "PUT /status",
            ],
        ),
        (
            "an input script",
            false,
            true,
            vec![
                "PUT /status",
                "GET /conditions",
                "PUT /status",
                "GET /environment",
                "PUT /status",
            ],
        ),
        ("behind a gate", true, true, vec!["PUT /status", "GET /environment", "PUT /status"]),
    ];
    for (name, gated, is_input_script, expected) in cases {
        let double = Double::start().await;
        let invocation =
            Invocation { is_input_script, ..Invocation::new("/bin/sh", ["-c", "exit 7"]) };
        let step = on(&double, Entrypoint::new(invocation).gated(gated));
        let (ended, ..) = run(step).await;
        assert_eq!(ended.unwrap(), Ended::Exited { code: 7 }, "{name}");
        assert_eq!(double.lines(), expected, "{name}");
        let reports = reports(&double);
        assert_eq!(reports.last().unwrap(), &(SATISFIED.to_owned(), json!(7)), "{name}");
        assert_eq!(reports[0].1, Value::Null, "{name}");
        let last = double.bodies("PUT /status").pop().unwrap();
        let decided = double.bodies("PUT /status")[reports.len() - 2].clone();
        assert_eq!(last["when_condition"], decided["when_condition"], "{name}");
    }
}

#[tokio::test]
async fn the_token_of_the_url_is_sent_with_an_empty_user_name() {
    let double = Double::start().await;
    run(on(&double, shell("true"))).await.0.unwrap();
    for call in double.calls() {
        assert_eq!(call.headers["authorization"], "Basic OmNhbmFyeS10b2tlbg==");
    }
}

#[tokio::test]
async fn conditions_decide_whether_the_program_starts() {
    let answer =
        |success: bool| json!({"resolved": true, "success": success, "message": "m"}).to_string();
    let cases = [
        ("met", 200, answer(true), None, SATISFIED),
        ("not met", 200, answer(false), Some(0), "WhenConditionNotSatisfied"),
        ("empty body", 200, String::new(), Some(1), "WhenConditionFailure"),
        ("no JSON", 200, "gone".to_owned(), Some(1), "WhenConditionFailure"),
        ("half an answer", 200, "{}".to_owned(), Some(1), "WhenConditionFailure"),
        ("evaluation error", 422, error("bad when"), Some(1), "WhenConditionFailure"),
        ("not found", 404, error("nothing"), Some(1), "WhenConditionFailure"),
        ("unauthorized", 401, "401 unauthorized\n".to_owned(), Some(1), "WhenConditionFailure"),
    ];
    for (name, status, body, code, condition) in cases {
        let double = Double::start().await.off("GET /conditions");
        let double = double.on("GET /conditions", status, body);
        let (ended, out, _) = run(on(&double, shell("echo started"))).await;
        let ended = ended.unwrap();
        assert_eq!(out.is_empty(), code.is_some(), "{name}");
        assert_eq!(ended.exit_code(), code.unwrap_or(0), "{name}");
        let last = reports(&double).pop().unwrap();
        let recorded = if code.is_some() { Value::Null } else { json!(0) };
        assert_eq!(last, (condition.to_owned(), recorded), "{name}");
    }
}

#[tokio::test]
async fn an_evaluation_error_is_the_reason_of_the_failure() {
    let double = Double::start().await.off("GET /conditions");
    let double = double.on("GET /conditions", 422, error("function not found"));
    let ended = run(on(&double, shell("true"))).await.0.unwrap();
    assert!(ended.reason().unwrap().contains("function not found"), "{ended:?}");
}

#[tokio::test]
async fn undecided_conditions_are_asked_again_until_the_limit() {
    let undecided = json!({"resolved": false, "success": false, "message": "output \"a\""});
    let decided = json!({"resolved": true, "success": true, "message": ""});
    let double = Double::start().await.off("GET /conditions");
    let double = double.on("GET /conditions", 200, &undecided).on("GET /conditions", 503, "").on(
        "GET /conditions",
        200,
        decided,
    );
    let ended = run(on(&double, shell("true"))).await.0.unwrap();
    assert_eq!(ended, Ended::Exited { code: 0 });

    let double = Double::start().await.off("GET /conditions");
    let double = double.on("GET /conditions", 200, undecided);
    let step = on(&double, shell("true")).condition_timeout(Duration::from_millis(300));
    let ended = run(step).await.0.unwrap();
    assert!(ended.reason().unwrap().contains("output \"a\""), "{ended:?}");
    assert_eq!(reports(&double).pop().unwrap().0, "WhenConditionFailure");
}

#[tokio::test]
async fn variables_reach_the_program_in_a_form_it_can_use() {
    let value = json!({
        "TEXT": "a 'b'\n", "NUMBER": 1_000_000, "LARGE": 9_007_199_254_740_993_u64,
        "FLAG": true, "LIST": [1, "a"], "MAP": {"a": 1}, "GIVEN": null,
        "BYTES": {"$encoding": "base64", "data": "aMOp"},
    });
    let double = Double::start().await;
    let double = double.on("GET /environment", 200, complete(value));
    let script = r#"printf '%s|' "$TEXT" "$NUMBER" "$LARGE" "$FLAG" "$LIST" "$MAP" \
        "${GIVEN-unset}" "$BYTES" "$KEPT" "${HOME-cleared}""#;
    let step = shell(script).env("GIVEN", "x").env("KEPT", "kept");
    let (_, out, _) = run(on(&double, step)).await;
    assert_eq!(
        out,
        "a 'b'\n|1000000|9007199254740993|true|[1,\"a\"]|{\"a\":1}|unset|hé|kept|cleared|"
    );
}

#[tokio::test]
async fn directories_stay_around_a_path_that_the_step_sets() {
    let double = Double::start().await;
    let double = double.on("GET /environment", 200, complete(json!({"PATH": "/bin:/own"})));
    let step = shell("echo $PATH").path_first("/first").path_last("/last");
    assert_eq!(run(on(&double, step)).await.1, "/first:/bin:/own:/last\n");
}

#[tokio::test]
async fn a_step_without_its_whole_environment_fails() {
    let unresolved = json!({
        "value": {"A": {"$type": "Secret", "name": "pw"}},
        "unresolvable": {
            "secrets": [{"name": "pw"}],
            "outputs": [{"from": "build", "name": "tag"}, {"from": "a", "name": "b"}],
            "connections": [{"type": "aws", "name": "prod"}],
        },
        "complete": false,
    });
    let cases = [
        (
            "unresolved",
            200,
            unresolved.to_string(),
            "secret \"pw\", connection type \"aws\" with name \"prod\", \
             output \"b\" of step \"a\", output \"tag\" of step \"build\"",
        ),
        ("evaluation error", 422, error("bad template"), "bad template"),
        ("refused", 403, error("no"), "403"),
        ("empty", 200, String::new(), "empty"),
        ("no map", 200, complete(3).to_string(), "not a map"),
        ("impossible name", 200, complete(json!({"A=B": "c"})).to_string(), "A=B"),
        ("zero byte", 200, complete(json!({"Z": "a\u{0}"})).to_string(), "\"Z\""),
        (
            "unknown encoding",
            200,
            complete(json!({"E": {"$encoding": "rot13", "data": "n"}})).to_string(),
            "\"E\"",
        ),
    ];
    for (name, status, body, expected) in cases {
        let double = Double::start().await.on("GET /environment", status, body);
        let (ended, out, _) = run(on(&double, shell("echo started"))).await;
        let ended = ended.unwrap();
        assert!(ended.reason().unwrap().contains(expected), "{name}: {ended:?}");
        assert_eq!((ended.exit_code(), out.as_str()), (1, ""), "{name}");
        let last = reports(&double).pop().unwrap();
        assert_eq!(last, (SATISFIED.to_owned(), json!(1)), "{name}");
    }
}

#[tokio::test]
async fn cancelling_before_the_start_is_reported_as_a_failure() {
    let undecided = json!({"resolved": false, "success": false});
    let cases = [("by the token", false), ("by a signal", true)];
    for (name, by_signal) in cases {
        let double = Double::start().await.off("GET /conditions");
        let double = double.on("GET /conditions", 200, &undecided);
        let (signal, signals) = mpsc::channel(1);
        let (cancel, (output, _chunks)) = (CancellationToken::new(), mpsc::channel(1));
        let step = on(&double, shell("true")).signals(signals);
        let running = tokio::spawn(step.run(output, cancel.clone()));
        tokio::time::sleep(Duration::from_millis(100)).await;
        if by_signal {
            signal.send(Signal::Quit).await.unwrap();
        } else {
            cancel.cancel();
        }
        let ended = running.await.unwrap().unwrap();
        assert_eq!(ended, Ended::Cancelled { program: None }, "{name}");
        let last = reports(&double).pop().unwrap();
        assert_eq!(last, ("WhenConditionFailure".to_owned(), Value::Null), "{name}");
    }
}

#[tokio::test]
async fn an_end_that_nobody_takes_note_of_is_an_error() {
    let double = Double::start().await.off("PUT /status");
    let double = double.on("PUT /status", 201, "").on("PUT /status", 201, "").on(
        "PUT /status",
        403,
        error("not allowed"),
    );
    let error = run(on(&double, shell("exit 2"))).await.0.unwrap_err();
    match error {
        EntrypointError::Unreported { ended, source } => {
            assert_eq!(ended, Ended::Exited { code: 2 });
            let text = format!("{} {source:?}", source.chain());
            assert!(text.contains("not allowed"), "{text}");
            assert!(!text.contains("canary"), "{text}");
        }
        other => panic!("{other:?}"),
    }
}
