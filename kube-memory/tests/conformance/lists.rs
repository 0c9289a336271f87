//! Reading collections.

use crate::cases;
use crate::scene::{Scene, refused, status, widget};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{Api, ListParams, PostParams};
use serde_json::{Value, json};

cases! {
    lists_are_in_order_of_names,
    label_selectors_choose,
    bad_label_selectors_are_refused,
    fields_choose_by_name_and_namespace,
    other_fields_are_refused,
    custom_fields_choose_where_declared,
    pages_follow_each_other,
    bad_continue_tokens_are_refused,
    lists_carry_a_version,
    lists_of_the_future_are_refused,
    lists_over_all_namespaces,
    lists_of_custom_kinds_are_typed,
    metadata_alone_can_be_read,
}

fn names(objects: &[ConfigMap]) -> Vec<String> {
    objects.iter().map(ResourceExt::name_any).collect()
}

async fn four(scene: &Scene) -> Api<ConfigMap> {
    scene
        .config_maps(&[
            ("d", json!({ "tier": "db" })),
            ("a", json!({ "tier": "web", "new": "" })),
            ("c", json!({})),
            ("b", json!({ "tier": "web" })),
        ])
        .await
}

async fn lists_are_in_order_of_names(scene: Scene) {
    let api = four(&scene).await;
    let list = api.list(&ListParams::default().labels("case")).await.unwrap();
    assert_eq!(names(&list.items), ["a", "b", "c", "d"]);
}

async fn label_selectors_choose(scene: Scene) {
    let api = four(&scene).await;
    for (selector, expected) in [
        ("tier=web", "a b"),
        ("tier==web,new", "a"),
        ("tier!=web", "c d"),
        ("tier", "a b d"),
        ("!tier", "c"),
        ("tier in (web,db)", "a b d"),
        ("tier in (db)", "d"),
        ("tier notin (web)", "c d"),
        ("tier notin (web),tier", "d"),
        ("new=", "a"),
    ] {
        let params = ListParams::default().labels(&format!("case=yes,{selector}"));
        let list = api.list(&params).await.unwrap();
        assert_eq!(names(&list.items).join(" "), expected, "{selector}");
    }
}

async fn bad_label_selectors_are_refused(scene: Scene) {
    for selector in ["a in web", "a==", "=b,", "a b", "-a=1"] {
        let list = scene.api::<ConfigMap>().list(&ListParams::default().labels(selector)).await;
        if selector == "a==" {
            assert!(list.is_ok());
            continue;
        }
        let status = status(list.unwrap_err());
        assert_eq!((status.code, status.reason.as_str()), (400, "BadRequest"), "{selector}");
    }
}

async fn fields_choose_by_name_and_namespace(scene: Scene) {
    let api = four(&scene).await;
    for (selector, expected) in [
        ("metadata.name=a", "a"),
        ("metadata.name==b", "b"),
        ("metadata.name!=a", "b c d"),
        ("metadata.name=a,metadata.name!=a", ""),
        ("metadata.namespace=elsewhere", ""),
    ] {
        let params = ListParams::default().labels("case").fields(selector);
        let list = api.list(&params).await.unwrap();
        assert_eq!(names(&list.items).join(" "), expected, "{selector}");
    }
}

async fn other_fields_are_refused(scene: Scene) {
    let api = four(&scene).await;
    let list = api.list(&ListParams::default().fields("data.a=1")).await;
    let message = "\"data.a\" is not a known field selector: only \"metadata.name\", \
                   \"metadata.namespace\"";
    refused(list, 400, "BadRequest", message);
}

async fn custom_fields_choose_where_declared(scene: Scene) {
    let api = scene.widgets().await;
    for (name, color) in [("a", "red"), ("b", "green")] {
        let object = widget(name, json!({ "spec": { "size": 1, "color": color } }));
        api.create(&PostParams::default(), &object).await.unwrap();
    }
    let list = api.list(&ListParams::default().fields("spec.color=green")).await.unwrap();
    assert_eq!(list.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["b"]);
    let list = api.list(&ListParams::default().fields("spec.size=1")).await;
    assert_eq!(status(list.unwrap_err()).code, 400);
}

async fn pages_follow_each_other(scene: Scene) {
    let api = four(&scene).await;
    let params = ListParams::default().labels("case").limit(3);
    let first = api.list(&params).await.unwrap();
    assert_eq!(names(&first.items), ["a", "b", "c"]);
    let token = first.metadata.continue_.clone().unwrap();
    let second = api.list(&params.continue_token(&token)).await.unwrap();
    assert_eq!(names(&second.items), ["d"]);
    assert!(second.metadata.continue_.is_none_or(|token| token.is_empty()));
    assert_eq!(second.metadata.resource_version, first.metadata.resource_version);
}

async fn bad_continue_tokens_are_refused(scene: Scene) {
    let api = four(&scene).await;
    let list = api.list(&ListParams::default().limit(1).continue_token("bogus")).await;
    assert_eq!(status(list.unwrap_err()).code, 400);
}

async fn lists_carry_a_version(scene: Scene) {
    let api = four(&scene).await;
    let list = api.list(&ListParams::default().labels("case")).await.unwrap();
    let version: u64 = list.metadata.resource_version.unwrap().parse().unwrap();
    let newest = list.items.iter().map(|o| o.resource_version().unwrap().parse::<u64>().unwrap());
    assert!(version >= newest.max().unwrap());
    let path = format!("{}?labelSelector=case", api.resource_url());
    let list = scene.send("GET", &path, Value::Null).await.unwrap();
    assert_eq!(list["kind"], "ConfigMapList");
    assert_eq!(list["apiVersion"], "v1");
    assert_eq!(list["items"][0].get("kind"), None);
}

async fn lists_of_the_future_are_refused(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let list = api.list(&ListParams::default().at("999999999999")).await;
    let status = status(list.unwrap_err());
    assert_eq!((status.code, status.reason.as_str()), (504, "Timeout"));
    assert!(
        status.message.starts_with("Timeout: Too large resource version: 999999999999, current: ")
    );
}

async fn lists_over_all_namespaces(scene: Scene) {
    four(&scene).await;
    let all: Api<ConfigMap> = Api::all(scene.client.clone());
    let field = format!("metadata.namespace={}", scene.namespace);
    let list = all.list(&ListParams::default().labels("case").fields(&field)).await.unwrap();
    assert_eq!(list.items.len(), 4);
    let made =
        scene.send("POST", "/api/v1/configmaps", json!({ "metadata": { "name": "a" } })).await;
    assert_eq!(made.unwrap_err().code, 405);
}

async fn lists_of_custom_kinds_are_typed(scene: Scene) {
    let api = scene.widgets().await;
    let object = widget("a", json!({ "spec": { "size": 1 } }));
    api.create(&PostParams::default(), &object).await.unwrap();
    let list = scene.send("GET", api.resource_url(), Value::Null).await.unwrap();
    assert_eq!(list["kind"], "WidgetList");
    assert_eq!(list["items"][0]["kind"], "Widget");
    assert_eq!(list["items"][0]["apiVersion"], "test.kube-memory.dev/v1");
}

async fn metadata_alone_can_be_read(scene: Scene) {
    let api = four(&scene).await;
    let one = api.get_metadata("a").await.unwrap();
    assert_eq!(one.types.unwrap().kind, "PartialObjectMetadata");
    assert_eq!(one.metadata.name.as_deref(), Some("a"));
    let list = api.list_metadata(&ListParams::default().labels("case")).await.unwrap();
    assert_eq!(list.items.len(), 4);
    assert_eq!(list.types.kind, "PartialObjectMetadataList");
}
