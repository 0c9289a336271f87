use axum::http::Method;
use relay_core::Value;
use serde_json::json;

use crate::world::{World, step, trigger};

const MALFORMED: &str = "rma_api_malformed_request_error";

#[tokio::test]
async fn bodies_by_media_type() {
    let api = World::new().serve();
    let path = "/outputs/o";
    for (name, media_type, body, expected) in [
        ("json", Some("application/json"), br#"{"a": [1, null]}"#.as_slice(), r#"{"a":[1,null]}"#),
        ("parameters", Some("application/json; charset=utf-8"), b"1", "1"),
        ("case", Some("Application/JSON"), b"true", "true"),
        ("space", Some(" application/json ;x=y"), b"true", "true"),
        ("text", Some("text/plain"), b"{}", r#""{}""#),
        ("text with parameters", Some("text/plain; charset=utf-8"), b"x", r#""x""#),
        ("octets", Some("application/octet-stream"), b"x", r#""x""#),
        ("none", None, b"raw", r#""raw""#),
        ("empty type", Some(""), b"raw", r#""raw""#),
        ("empty", None, b"", r#""""#),
        ("bytes", None, b"\xff\x00", r#"{"$encoding":"base64","data":"/wA="}"#),
        ("exact", Some("application/json"), b"12345678901234567890", "12345678901234567890"),
        ("null", Some("application/json"), b"null", "null"),
        (
            "encoded",
            Some("application/json"),
            br#"[{"$encoding": "base64", "data": "b2s="}]"#,
            r#"["ok"]"#,
        ),
    ] {
        let answer = api.by(&step("build"), Method::PUT, path, media_type, body.to_vec()).await;
        answer.is_empty(name, 201);
        let stored = api.output("build", "o").await.map(|value| value.to_json());
        assert_eq!(stored.as_deref(), Some(expected), "{name}");
    }
}

#[tokio::test]
async fn bodies_that_are_refused_store_nothing() {
    let api = World::new().serve();
    let deep = "[".repeat(600) + &"]".repeat(600);
    for (name, media_type, body, code) in [
        ("html", "text/html", "x", "rma_api_unknown_request_media_type_error"),
        ("yaml", "application/yaml", "x", "rma_api_unknown_request_media_type_error"),
        ("almost", "application/jsonp", "1", "rma_api_unknown_request_media_type_error"),
        ("empty", "application/json", "", MALFORMED),
        ("no json", "application/json", "{", MALFORMED),
        ("trailing data", "application/json", "{} garbage", MALFORMED),
        ("leading zero", "application/json", "01", MALFORMED),
        ("out of range", "application/json", "1e999", MALFORMED),
        ("byte order mark", "application/json", "\u{feff}1", MALFORMED),
        ("too deep", "application/json", &deep, MALFORMED),
        ("encoding", "application/json", r#"{"$encoding": "rot13", "data": "x"}"#, MALFORMED),
        ("base64", "application/json", r#"{"$encoding": "base64", "data": "?"}"#, MALFORMED),
    ] {
        let body = body.to_owned();
        let answer =
            api.by(&step("build"), Method::PUT, "/outputs/o", Some(media_type), body).await;
        answer.fails(name, 422, code);
        assert_eq!(api.output("build", "o").await, None, "{name}");
    }
}

#[tokio::test]
async fn an_unknown_media_type_is_named() {
    let api = World::new().serve();
    let answer = api.by(&step("build"), Method::PUT, "/outputs/o", Some("text/html"), "x").await;
    let template = "We don't know how to decode a request body with media type {{pre mediaType}}.";
    let text = "We don't know how to decode a request body with media type `text/html`.";
    answer.is(
        "envelope",
        422,
        json!({"error": {
            "domain": "rma",
            "section": "api",
            "code": "rma_api_unknown_request_media_type_error",
            "title": "Unknown media type",
            "description": {"friendly": template, "technical": template},
            "arguments": {"mediaType": "text/html"},
            "formatted": {"friendly": text, "technical": text},
        }}),
    );
    assert!(answer.text().ends_with("}\n"));
}

#[tokio::test]
async fn every_step_of_the_run_reads_them() {
    let api = World::new().serve();
    api.put("/outputs/a%2Fb", "52311").await.is_empty("set", 201);
    api.put("/outputs/a%2Fb", "52312").await.is_empty("set again", 201);
    let expected = json!({"task_name": "build", "key": "a/b", "value": 52312, "metadata": null});
    api.get("/outputs/build/a%2Fb").await.is("own", 200, expected.clone());
    let answer = api.by(&step("deploy"), Method::GET, "/outputs/build/a%2Fb", None, "").await;
    answer.is("other", 200, expected);

    for path in
        ["/outputs/build/none", "/outputs/none/a", "/outputs/%2F/x", "/outputs/a%2F..%2Fb/x"]
    {
        api.get(path).await.fails(path, 404, "rma_model_not_found_error");
    }
}

#[tokio::test]
async fn metadata_comes_before_or_after_the_value() {
    let api = World::new().serve();
    let path = "/outputs/o/metadata";
    for (name, body, expected) in [
        ("as python sends it", r#"{"sensitive": true}"#, true),
        ("missing", "{}", false),
        ("as ni sends it", r#"{"Sensitive": true}"#, true),
        ("null", "null", false),
        ("null member", r#"{"sensitive": null}"#, false),
        ("unknown members", r#"{"sensitive": true, "other": 1}"#, true),
    ] {
        api.put(path, body).await.is_empty(name, 201);
        api.put("/outputs/o", "1").await.is_empty(name, 201);
        let metadata = &api.get("/outputs/build/o").await.json()["metadata"];
        assert_eq!(*metadata, json!({"sensitive": expected}), "{name}");
    }
    for (name, body) in [
        ("empty", ""),
        ("text", r#""yes""#),
        ("list", "[]"),
        ("number", r#"{"sensitive": 1}"#),
        ("text member", r#"{"sensitive": "true"}"#),
        ("trailing", "{} {}"),
    ] {
        api.put(path, body).await.fails(name, 422, MALFORMED);
    }
}

#[tokio::test]
async fn an_output_may_be_called_metadata() {
    let api = World::new().serve();
    api.put("/outputs/metadata", "1").await.is_empty("value", 201);
    api.put("/outputs/metadata/metadata", r#"{"sensitive": true}"#).await.is_empty("its own", 201);
    let expected = json!({
        "task_name": "build", "key": "metadata", "value": 1, "metadata": {"sensitive": true},
    });
    api.get("/outputs/build/metadata").await.is("plain", 200, expected.clone());
    api.get("/outputs/build/%6Detadata").await.is("encoded", 200, expected);
}

#[tokio::test]
async fn triggers_have_none() {
    let api = World::new().serve();
    api.put("/outputs/o", "1").await.is_empty("a step has", 201);
    for (method, path) in [
        (Method::PUT, "/outputs/o"),
        (Method::PUT, "/outputs/o/metadata"),
        (Method::GET, "/outputs/build/o"),
        (Method::GET, "/outputs/build/metadata"),
        (Method::POST, "/decorators/d"),
    ] {
        let answer = api.by(&trigger(), method, path, None, "{}").await;
        answer.fails(path, 403, "rma_model_authorization_error");
    }
    assert_eq!(api.output("build", "o").await, Some(Value::from(1)));
}

#[tokio::test]
async fn what_a_cluster_could_not_store_is_refused() {
    let api = World::new().serve();
    let unstorable = "rma_model_unstorable_error";
    let link = r#"{"type": "link", "uri": "https://example.com"}"#;
    // 253 bytes with what stands before the name; in it a byte that keys cannot have counts four.
    for (name, length, status) in [
        ("a", 190, 201),
        ("a", 191, 422),
        ("a", 5000, 422),
        ("%20", 47, 201),
        ("%20", 48, 422),
        ("_.", 38, 201),
        ("_.", 39, 422),
    ] {
        let case = format!("{length} of {name:?}");
        let path = format!("/outputs/{}", name.repeat(length));
        for (path, body) in [(path.clone(), "1"), (path + "/metadata", "{}")] {
            let answer = api.put(&path, body).await;
            assert_eq!(answer.status.as_u16(), status, "{case}: {}", answer.text());
            if status == 422 {
                answer.fails(&case, 422, unstorable);
            }
        }
    }
    for (length, status) in [(196, 201), (197, 422)] {
        let answer = api.post(&format!("/decorators/{}", "d".repeat(length)), link).await;
        assert_eq!(answer.status.as_u16(), status, "{length}: {}", answer.text());
    }
    let long = format!("/outputs/build/{}", "a".repeat(5000));
    api.get(&long).await.fails("long", 404, "rma_model_not_found_error");
}

#[tokio::test]
async fn a_run_has_room_for_so_much_and_no_more() {
    let api = World::new().serve();
    let text = format!("\"{}\"", "x".repeat(200_000));
    for name in ["a", "b", "c", "d"] {
        api.put(&format!("/outputs/{name}"), &text).await.is_empty(name, 201);
    }
    let full = "rma_model_too_large_error";
    api.put("/outputs/e", &text).await.fails("no room", 413, full);
    assert_eq!(api.output("build", "e").await, None);
    let of_deploy = api.by(&step("deploy"), Method::PUT, "/outputs/e", None, text.clone()).await;
    of_deploy.fails("the steps of a run share it", 413, full);
    api.put("/outputs/d", &text).await.is_empty("in the place of what was there", 201);
    api.put("/outputs/d", "1").await.is_empty("less", 201);
    api.put("/outputs/e", &text).await.is_empty("room again", 201);
    let status = r#"{"process_state": {"exit_code": 1}}"#;
    api.put("/outputs/f", &text).await.fails("full again", 413, full);
    api.put("/status", status).await.is_empty("how a step ended always has room", 201);
}
