use relay_core::Value;
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn secrets() {
    let mut world = World::new().secret("plain", "  two spaces  ").secret("nul", "a\0b");
    world.secrets = world
        .secrets
        .with_secret("bytes", Value::from_bytes(b"\x00\x01\x02\xff"))
        .with_connection("aws", "main", Value::map([("key", "AKIA".into())]));
    let api = world.serve();
    for (name, value) in [
        ("plain", json!("  two spaces  ")),
        ("nul", json!({"$encoding": "base64", "data": "YQBi"})),
        ("bytes", json!({"$encoding": "base64", "data": "AAEC/w=="})),
    ] {
        let answer = api.get(&format!("/secrets/{name}")).await;
        answer.is(name, 200, json!({"key": name, "value": value}));
    }
    for path in ["/secrets/none", "/secrets/Plain", "/secrets/aws%2Fmain"] {
        api.get(path).await.fails(path, 404, "rma_model_not_found_error");
    }
}

#[tokio::test]
async fn state_is_the_callers_own() {
    let api = World::new().serve();
    let list = Value::from_json(r#"[1, "two", null]"#).unwrap();
    api.journal_of("build").set_state("list", list);
    api.journal_of("deploy").set_state("other", true.into());
    let expected = json!({"key": "list", "value": [1, "two", null]});
    api.get("/state/list").await.is("own", 200, expected);
    for path in ["/state/other", "/state/none"] {
        api.get(path).await.fails(path, 404, "rma_model_not_found_error");
    }
}
