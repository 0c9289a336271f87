//! Kinds that are defined at run time.

use crate::cases;
use crate::scene::{GROUP, Scene, eventually, refused, status, unique, widget};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

cases! {
    schemas_refuse,
    schemas_accept,
    schemas_fill_in_defaults,
    schemas_drop_unknown_fields,
    schemas_keep_free_fields,
    all_broken_rules_are_listed,
    updates_are_validated,
    definitions_without_a_schema_are_refused,
    definitions_with_another_name_are_refused,
    definitions_report_their_names,
    versions_share_their_objects,
    kinds_without_a_status_count_it_as_spec,
    deleting_a_definition_deletes_its_objects,
    numbers_and_texts_may_share_a_field,
}

async fn schemas_refuse(scene: Scene) {
    let api = scene.widgets().await;
    let mut wrong = Vec::new();
    for (spec, reason, field, message) in [
        (json!({}), "FieldValueRequired", "spec.size", "Required value"),
        (
            json!({ "size": "1" }),
            "FieldValueTypeInvalid",
            "spec.size",
            "Invalid value: \"string\": spec.size in body must be of type integer: \"string\"",
        ),
        (
            json!({ "size": 1.5 }),
            "FieldValueTypeInvalid",
            "spec.size",
            "Invalid value: \"number\": spec.size in body must be of type integer: \"number\"",
        ),
        (
            json!({ "size": 0 }),
            "FieldValueInvalid",
            "spec.size",
            "Invalid value: 0: spec.size in body should be greater than or equal to 1",
        ),
        (
            json!({ "size": 11 }),
            "FieldValueInvalid",
            "spec.size",
            "Invalid value: 11: spec.size in body should be less than or equal to 10",
        ),
        (
            json!({ "size": 1, "ratio": 0 }),
            "FieldValueInvalid",
            "spec.ratio",
            "Invalid value: 0: spec.ratio in body should be greater than 0",
        ),
        (
            json!({ "size": 1, "color": "blue" }),
            "FieldValueNotSupported",
            "spec.color",
            "Unsupported value: \"blue\": supported values: \"red\", \"green\"",
        ),
        (
            json!({ "size": 1, "code": "A1" }),
            "FieldValueInvalid",
            "spec.code",
            "Invalid value: \"A1\": spec.code in body should match '^[a-z]+$'",
        ),
        (
            json!({ "size": 1, "code": "a" }),
            "FieldValueInvalid",
            "spec.code",
            "Invalid value: \"a\": spec.code in body should be at least 2 chars long",
        ),
        (
            json!({ "size": 1, "code": "abcde" }),
            "FieldValueTooLong",
            "spec.code",
            "Too long: may not be more than 4 bytes",
        ),
        (
            json!({ "size": 1, "at": "noon" }),
            "FieldValueTypeInvalid",
            "spec.at",
            "Invalid value: \"noon\": spec.at in body must be of type date-time: \"noon\"",
        ),
        (
            json!({ "size": 1, "on": "yes" }),
            "FieldValueTypeInvalid",
            "spec.on",
            "Invalid value: \"string\": spec.on in body must be of type boolean: \"string\"",
        ),
        (
            json!({ "size": 1, "tags": [] }),
            "FieldValueInvalid",
            "spec.tags",
            "Invalid value: 0: spec.tags in body should have at least 1 items",
        ),
        (
            json!({ "size": 1, "tags": ["a", "b", "c", "d"] }),
            "FieldValueTooMany",
            "spec.tags",
            "Too many: 4: must have at most 3 items",
        ),
        (
            json!({ "size": 1, "tags": ["a", "a"] }),
            "FieldValueDuplicate",
            "spec.tags[1]",
            "Duplicate value: \"a\"",
        ),
        (
            json!({ "size": 1, "map": { "a": 1 } }),
            "FieldValueTypeInvalid",
            "spec.map.a",
            "Invalid value: \"integer\": spec.map.a in body must be of type string: \"integer\"",
        ),
        (
            json!({ "size": 1, "map": [] }),
            "FieldValueTypeInvalid",
            "spec.map",
            "Invalid value: \"array\": spec.map in body must be of type object: \"array\"",
        ),
        (
            json!({ "size": 1, "list": "a" }),
            "FieldValueTypeInvalid",
            "spec.list",
            "Invalid value: \"string\": spec.list in body must be of type array: \"string\"",
        ),
        (
            json!({ "size": 1, "list": [1] }),
            "FieldValueTypeInvalid",
            "spec.list[0]",
            "Invalid value: \"integer\": spec.list[0] in body must be of type string: \"integer\"",
        ),
        (
            json!({ "size": 1, "parts": [{ "count": 2 }] }),
            "FieldValueRequired",
            "spec.parts[0].name",
            "Required value",
        ),
        (
            json!({ "size": 1, "parts": [{ "name": "a" }, { "name": "a" }] }),
            "FieldValueDuplicate",
            "spec.parts[1]",
            "Duplicate value: {\"name\":\"a\"}",
        ),
        (
            json!({ "size": 1, "port": true }),
            "FieldValueTypeInvalid",
            "spec.port",
            "Invalid value: \"boolean\": spec.port in body must be of type integer,string: \"boolean\"",
        ),
        (json!({ "size": null }), "FieldValueRequired", "spec.size", "Required value"),
        (json!({ "size": 1, "code": null }), "", "", ""),
        (json!({ "size": 1, "color": null }), "", "", ""),
    ] {
        let object = widget("a", json!({ "spec": spec }));
        match api.create(&PostParams::default(), &object).await {
            Ok(_) => {
                api.delete("a", &DeleteParams::default()).await.unwrap();
                if !reason.is_empty() {
                    wrong.push(format!("{spec}: accepted"));
                }
            }
            Err(error) => {
                let causes = status(error).details.unwrap().causes;
                let found = (
                    causes[0].reason.as_str(),
                    causes[0].field.as_str(),
                    causes[0].message.as_str(),
                );
                if found != (reason, field, message) {
                    wrong.push(format!("{spec}: {found:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

async fn schemas_accept(scene: Scene) {
    let api = scene.widgets().await;
    let spec = json!({
        "size": 10, "color": "green", "code": "abcd", "ratio": 0.5, "at": "2020-01-01T00:00:00Z",
        "note": null, "on": true, "tags": ["a"], "list": [], "map": {}, "deep": { "level": 1 },
        "parts": [{ "name": "a", "count": 3 }], "whole": { "a": "b" }, "free": {},
    });
    let object = widget("a", json!({ "spec": spec }));
    let made = api.create(&PostParams::default(), &object).await.unwrap();
    assert_eq!(made.data["spec"], spec);
}

async fn schemas_fill_in_defaults(scene: Scene) {
    let api = scene.widgets().await;
    let object = widget("a", json!({ "spec": { "size": 1, "parts": [{ "name": "a" }] } }));
    let made = api.create(&PostParams::default(), &object).await.unwrap();
    assert_eq!(
        made.data["spec"],
        json!({
            "size": 1,
            "color": "red",
            "deep": { "level": 7 },
            "parts": [{ "name": "a", "count": 1 }],
        })
    );
}

async fn schemas_drop_unknown_fields(scene: Scene) {
    let api = scene.widgets().await;
    let object = widget("a", json!({ "spec": { "size": 1 } }));
    let made = api.create(&PostParams::default(), &object).await.unwrap();
    let patch = Patch::Merge(json!({ "spec": { "bogus": 1, "deep": { "bogus": 1 } } }));
    let after = api.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(after, made);
}

async fn schemas_keep_free_fields(scene: Scene) {
    let api = scene.widgets().await;
    let free = json!({ "a": [1, { "b": null }], "c": { "d": 1.5 } });
    let object = widget("a", json!({ "spec": { "size": 1, "free": free } }));
    let made = api.create(&PostParams::default(), &object).await.unwrap();
    assert_eq!(made.data["spec"]["free"], free);
}

async fn all_broken_rules_are_listed(scene: Scene) {
    let api = scene.widgets().await;
    let object = widget("a", json!({ "spec": { "size": 0, "on": 1 } }));
    let made = api.create(&PostParams::default(), &object).await;
    let status = status(made.unwrap_err());
    let mut fields: Vec<_> = status.details.unwrap().causes.into_iter().map(|c| c.field).collect();
    fields.sort();
    assert_eq!(fields, ["spec.on", "spec.size"]);
    assert!(status.message.starts_with("Widget.test.kube-memory.dev \"a\" is invalid: [spec."));
}

async fn updates_are_validated(scene: Scene) {
    let api = scene.widgets().await;
    let object = widget("a", json!({ "spec": { "size": 1 } }));
    api.create(&PostParams::default(), &object).await.unwrap();
    let patch = Patch::Merge(json!({ "spec": { "size": 99 } }));
    let after = api.patch("a", &PatchParams::default(), &patch).await;
    let message = "Widget.test.kube-memory.dev \"a\" is invalid: spec.size: Invalid value: 99: \
                   spec.size in body should be less than or equal to 10";
    refused(after, 422, "Invalid", message);
    let patch = Patch::Merge(json!({ "status": { "seen": "x" } }));
    let after = api.patch_status("a", &PatchParams::default(), &patch).await;
    // The real server names the field a second time, there without the leading `status`.
    let status = status(after.unwrap_err());
    assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
    assert_eq!(status.details.unwrap().causes[0].field, "status.seen");
}

fn definition(plural: &str, kind: &str, versions: &Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{GROUP}") },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": { "plural": plural, "kind": kind },
            "versions": versions,
        },
    })
}

fn version(name: &str, storage: bool) -> Value {
    json!({
        "name": name,
        "served": true,
        "storage": storage,
        "schema": { "openAPIV3Schema": {
            "type": "object",
            "properties": { "spec": { "type": "object", "x-kubernetes-preserve-unknown-fields": true }, "status": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } },
        } },
    })
}

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

async fn definitions_without_a_schema_are_refused(scene: Scene) {
    let versions = json!([{ "name": "v1", "served": true, "storage": true }]);
    let made = scene.send("POST", DEFINITIONS, definition("blanks", "Blank", &versions)).await;
    let status = made.unwrap_err();
    assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
    let causes = status.details.unwrap().causes;
    assert!(
        causes.iter().any(|c| c.field == "spec.versions[0].schema.openAPIV3Schema"),
        "{causes:?}"
    );
}

async fn definitions_with_another_name_are_refused(scene: Scene) {
    let mut definition = definition("blanks", "Blank", &json!([version("v1", true)]));
    definition["metadata"]["name"] = json!("others.test.kube-memory.dev");
    let status = scene.send("POST", DEFINITIONS, definition).await.unwrap_err();
    assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
    assert!(status.message.contains("must be spec.names.plural+\".\"+spec.group"));
}

async fn definitions_report_their_names(scene: Scene) {
    scene.widgets().await;
    let api: Api<CustomResourceDefinition> = Api::all(scene.client.clone());
    let definition = api.get("widgets.test.kube-memory.dev").await.unwrap();
    let status = definition.status.unwrap();
    let names = status.accepted_names.unwrap();
    assert_eq!((names.kind.as_str(), names.plural.as_str()), ("Widget", "widgets"));
    assert_eq!(status.stored_versions.unwrap(), ["v1"]);
    let conditions = status.conditions.unwrap();
    for kind in ["NamesAccepted", "Established"] {
        assert!(conditions.iter().any(|c| c.type_ == kind && c.status == "True"));
    }
}

fn resource(plural: &str, kind: &str, version: &str) -> ApiResource {
    ApiResource {
        group: GROUP.into(),
        version: version.into(),
        api_version: format!("{GROUP}/{version}"),
        kind: kind.into(),
        plural: plural.into(),
    }
}

async fn versions_share_their_objects(scene: Scene) {
    let versions = json!([version("v1", true), version("v1beta1", false)]);
    scene.define(definition("doubles", "Double", &versions)).await;
    let (new, old) =
        (resource("doubles", "Double", "v1"), resource("doubles", "Double", "v1beta1"));
    let (client, namespace) = (scene.client.clone(), scene.namespace.clone());
    let new_api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &new);
    let old_api: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &old);
    let object = DynamicObject::new("a", &old).data(json!({ "spec": { "x": 1 } }));
    old_api.create(&PostParams::default(), &object).await.unwrap();
    let seen = new_api.get("a").await.unwrap();
    assert_eq!(seen.types.unwrap().api_version, "test.kube-memory.dev/v1");
    assert_eq!(seen.data["spec"]["x"], 1);
    let list = old_api.list(&Default::default()).await.unwrap();
    assert_eq!(list.items[0].types.clone().unwrap().api_version, "test.kube-memory.dev/v1beta1");
}

async fn kinds_without_a_status_count_it_as_spec(scene: Scene) {
    scene.define(definition("plains", "Plain", &json!([version("v1", true)]))).await;
    let resource = resource("plains", "Plain", "v1");
    let api: Api<DynamicObject> =
        Api::namespaced_with(scene.client.clone(), &scene.namespace, &resource);
    let object = DynamicObject::new("a", &resource).data(json!({ "status": { "x": 1 } }));
    let made = api.create(&PostParams::default(), &object).await.unwrap();
    assert_eq!(made.data["status"], json!({ "x": 1 }));
    let patch = Patch::Merge(json!({ "status": { "x": 2 } }));
    let after = api.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(after.metadata.generation, Some(2));
    let after = api.patch_status("a", &PatchParams::default(), &patch).await;
    assert_eq!(status(after.unwrap_err()).code, 404);
}

async fn deleting_a_definition_deletes_its_objects(scene: Scene) {
    let plural = unique("t").replace('-', "");
    let kind = format!("T{plural}");
    scene.define(definition(&plural, &kind, &json!([version("v1", true)]))).await;
    let resource = resource(&plural, &kind, "v1");
    let api: Api<DynamicObject> =
        Api::namespaced_with(scene.client.clone(), &scene.namespace, &resource);
    let mut object = DynamicObject::new("a", &resource).data(json!({}));
    object.finalizers_mut().push("test.dev/a".into());
    // The kind may be served a moment before it can be written.
    eventually("a first object", async || api.create(&PostParams::default(), &object).await.ok())
        .await;
    let definitions: Api<CustomResourceDefinition> = Api::all(scene.client.clone());
    let name = format!("{plural}.{GROUP}");
    definitions.delete(&name, &DeleteParams::default()).await.unwrap();
    eventually("the object is marked", async || {
        api.get("a").await.ok()?.metadata.deletion_timestamp
    })
    .await;
    assert!(definitions.get_opt(&name).await.unwrap().is_some());
    let patch = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    api.patch("a", &PatchParams::default(), &patch).await.unwrap();
    eventually("the definition is gone", async || {
        definitions.get_opt(&name).await.unwrap().is_none().then_some(())
    })
    .await;
    eventually("the kind is gone", async || {
        api.get("a").await.err().map(|e| status(e).code == 404)
    })
    .await;
}

async fn numbers_and_texts_may_share_a_field(scene: Scene) {
    let api = scene.widgets().await;
    for (name, port) in [("a", json!(80)), ("b", json!("http"))] {
        let object = widget(name, json!({ "spec": { "size": 1, "port": port } }));
        let made = api.create(&PostParams::default(), &object).await.unwrap();
        assert_eq!(made.data["spec"]["port"], port);
    }
}
