use relay_core::Journal as _;
use serde_json::json;

use crate::world::World;

const EVALUATION: &str = "rma_expression_evaluation_error";

#[tokio::test]
async fn a_spec_is_evaluated_as_far_as_possible() {
    let api = World::new()
        .parameters(r#"{"name": "shop", "big": 9007199254740993, "odd": "${secrets.top}"}"#)
        .secret("top", "hush")
        .spec(
            r#"{"title": "Release of ${parameters.name}",
                "big": {"$type": "Parameter", "name": "big"},
                "huge": 18446744073709551615,
                "secret": {"$type": "Secret", "name": "top"},
                "text": "${parameters.odd}",
                "later": {"$type": "Output", "from": "deploy", "name": "digest"},
                "bytes": {"$encoding": "base64", "data": "/wA="}}"#,
        )
        .serve();
    let answer = api.get("/spec").await;
    answer.is(
        "whole",
        200,
        json!({
            "value": {
                "title": "Release of shop",
                "big": 9_007_199_254_740_993_i64,
                "huge": u64::MAX,
                "secret": "hush",
                "text": "${secrets.top}",
                "later": {"$type": "Output", "from": "deploy", "name": "digest"},
                "bytes": {"$encoding": "base64", "data": "/wA="},
            },
            "unresolvable": {"outputs": [{"from": "deploy", "name": "digest"}]},
            "complete": false,
        }),
    );
    assert!(answer.text().contains("9007199254740993"), "all digits");

    api.journal_of("deploy").set_output("digest", "sha256:abc".into()).await.unwrap();
    let answer = api.get("/spec").await.json();
    assert_eq!(answer["complete"], true);
    assert_eq!(answer["value"]["later"], "sha256:abc");
}

#[tokio::test]
async fn queries_touch_only_what_they_ask_for() {
    let api = World::new()
        .spec(
            r#"{"nested": {"items": [{"name": "first"}, {"name": "second"}]},
                "n": 1,
                "broken": "${nothing(}",
                "open": {"$type": "Parameter", "name": "later"}}"#,
        )
        .serve();
    for (query, value) in [
        ("q=nested.items[1].name", json!("second")),
        ("q=n+%2B+1", json!(2)),
        ("lang=jsonpath&q=$.nested.items[*].name", json!(["first", "second"])),
        ("lang=path-template&q=<${nested.items[0].name}>", json!("<first>")),
        ("lang=jsonpath-template&q=<{.nested.items[0].name}>", json!("<first>")),
        ("lang=jsonpath-template&q=message", json!("message")),
        ("lang=jsonpath&q=$.none", json!(null)),
    ] {
        let uri = format!("/spec?{}", query.replace('<', "%3C").replace('>', "%3E"));
        let expected = json!({"value": value, "unresolvable": {}, "complete": true});
        api.get(&uri).await.is(query, 200, expected);
    }
    api.get("/spec?q=open").await.is(
        "unresolved",
        200,
        json!({"value": null, "unresolvable": {"parameters": [{"name": "later"}]}, "complete": false}),
    );
    for query in ["q=nested.nothing", "q=nested..x", "q=broken", "q=concat('a')", "q=parameters.n"]
    {
        api.get(&format!("/spec?{query}")).await.fails(query, 422, EVALUATION);
    }
    api.get("/spec").await.fails("the broken part fails the whole", 422, EVALUATION);
}

#[tokio::test]
async fn an_unknown_language_is_the_whole_answer() {
    let api = World::new().spec("{}").serve();
    let answer = api.get("/spec?lang=JSONPath&q=a").await;
    answer.fails("case matters", 422, "rma_expression_unsupported_language_error");
    assert_eq!(answer.friendly(), r#"We don't know the query language "JSONPath"."#);
    for query in ["lang=", "lang=path", "q=&lang=jsonpath"] {
        assert_eq!(api.get(&format!("/spec?{query}")).await.status, 200, "{query}");
    }
}

#[tokio::test]
async fn no_spec_is_404_whatever_is_asked() {
    let api = World::new().serve();
    for path in ["/spec", "/spec?q=a", "/spec?lang=none", "/environment", "/environment/A"] {
        api.get(path).await.fails(path, 404, "rma_model_not_found_error");
    }
}

#[tokio::test]
async fn answers_belong_to_conditions() {
    let api = World::new().spec(r#"{"$type": "Answer", "askRef": "a", "name": "b"}"#).serve();
    api.journal_of("build").set_state("b", true.into());
    let answer = api.get("/spec").await.json();
    assert_eq!(answer["unresolvable"], json!({"answers": [{"askRef": "a", "name": "b"}]}));
}

#[tokio::test]
async fn numbers_that_json_cannot_carry_are_an_evaluation_error_with_their_place() {
    let api = World::new().spec(r#"{"a": ["${1.0 / 0}"]}"#).serve();
    let answer = api.get("/spec").await;
    answer.fails("infinity", 422, EVALUATION);
    assert!(answer.friendly().contains("a.0: infinity"), "{}", answer.friendly());
}

#[tokio::test]
async fn environments_answer_in_the_envelope_of_the_spec() {
    let api = World::new()
        .secret("token", "xoxb")
        .environment(
            r##"{"CHANNEL": "#releases", "TOKEN": {"$type": "Secret", "name": "token"},
                "LATER": {"$type": "Secret", "name": "none"}}"##,
        )
        .serve();
    api.get("/environment").await.is(
        "all",
        200,
        json!({
            "value": {"CHANNEL": "#releases", "TOKEN": "xoxb",
                      "LATER": {"$type": "Secret", "name": "none"}},
            "unresolvable": {"secrets": [{"name": "none"}]},
            "complete": false,
        }),
    );
    let one = json!({"value": "xoxb", "unresolvable": {}, "complete": true});
    api.get("/environment/TOKEN").await.is("one", 200, one);
    api.get("/environment/token").await.fails("case", 404, "rma_model_not_found_error");

    let api = World::new().environment(r#"{"GOOD": 1, "BAD": "${nope()}"}"#).serve();
    api.get("/environment").await.fails("one fails all", 422, EVALUATION);
    assert_eq!(api.get("/environment/GOOD").await.status, 200);
    api.get("/environment/BAD").await.fails("itself", 422, EVALUATION);

    let api = World::new().environment("null").serve();
    api.get("/environment").await.fails("null is none", 404, "rma_model_not_found_error");
}
