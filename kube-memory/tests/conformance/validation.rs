//! Rules of names, labels, config maps and secrets.

use crate::cases;
use crate::scene::{Scene, from, refused, status};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

cases! {
    names_are_subdomains,
    long_names_are_refused,
    label_keys_are_checked,
    label_values_are_checked,
    annotation_keys_are_checked,
    finalizers_are_checked,
    owner_references_are_checked,
    config_map_keys_are_checked,
    config_maps_have_a_limit,
    secrets_have_a_limit,
    immutable_config_maps_stay,
    immutable_secrets_stay,
    immutable_objects_keep_their_labels_free,
    secret_types_stay,
}

async fn made(scene: &Scene, object: serde_json::Value) -> kube::Result<ConfigMap> {
    scene.api::<ConfigMap>().create(&PostParams::default(), &from(object)).await
}

async fn names_are_subdomains(scene: Scene) {
    let message = "ConfigMap \"A_b\" is invalid: metadata.name: Invalid value: \"A_b\": a lowercase \
                   RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
                   '.', and must start and end with an alphanumeric character (e.g. \
                   'example.com', regex used for validation is \
                   '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
    let object = json!({ "metadata": { "name": "A_b" } });
    refused(made(&scene, object).await, 422, "Invalid", message);
    made(&scene, json!({ "metadata": { "name": "a.b-c.1" } })).await.unwrap();
}

async fn long_names_are_refused(scene: Scene) {
    let name = "a".repeat(254);
    let message = format!(
        "ConfigMap \"{name}\" is invalid: metadata.name: Invalid value: \"{name}\": must be no more \
         than 253 characters"
    );
    refused(made(&scene, json!({ "metadata": { "name": name } })).await, 422, "Invalid", &message);
    made(&scene, json!({ "metadata": { "name": "a".repeat(253) } })).await.unwrap();
}

async fn label_keys_are_checked(scene: Scene) {
    let object = json!({ "metadata": { "name": "a", "labels": { "a b": "1" } } });
    let message = "ConfigMap \"a\" is invalid: metadata.labels: Invalid value: \"a b\": name part \
                   must consist of alphanumeric characters, '-', '_' or '.', and must start and \
                   end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or \
                   '123-abc', regex used for validation is \
                   '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    refused(made(&scene, object).await, 422, "Invalid", message);
    let labels = json!({ "example.com/Name_1.x": "", "a": "Value_1.x" });
    made(&scene, json!({ "metadata": { "name": "a", "labels": labels } })).await.unwrap();
    for key in ["", "/a", "a/", "a/b/c", "A/b", &"x".repeat(64)] {
        let object = json!({ "metadata": { "name": "b", "labels": { key: "1" } } });
        assert_eq!(status(made(&scene, object).await.unwrap_err()).code, 422, "{key}");
    }
}

async fn label_values_are_checked(scene: Scene) {
    let object = json!({ "metadata": { "name": "a", "labels": { "a": "b c" } } });
    let message = "ConfigMap \"a\" is invalid: metadata.labels: Invalid value: \"b c\": a valid \
                   label must be an empty string or consist of alphanumeric characters, '-', '_' \
                   or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  \
                   or 'my_value',  or '12345', regex used for validation is \
                   '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
    refused(made(&scene, object).await, 422, "Invalid", message);
    let object = json!({ "metadata": { "name": "a", "labels": { "a": "b".repeat(64) } } });
    assert_eq!(status(made(&scene, object).await.unwrap_err()).code, 422);
}

async fn annotation_keys_are_checked(scene: Scene) {
    let object = json!({ "metadata": { "name": "a", "annotations": { "a b": "any thing" } } });
    assert_eq!(status(made(&scene, object).await.unwrap_err()).code, 422);
    let object =
        json!({ "metadata": { "name": "a", "annotations": { "a": "x".repeat(300 << 10) } } });
    assert_eq!(status(made(&scene, object).await.unwrap_err()).code, 422);
    let object =
        json!({ "metadata": { "name": "a", "annotations": { "Example.com/a": "any thing" } } });
    made(&scene, object).await.unwrap();
}

async fn finalizers_are_checked(scene: Scene) {
    let object = json!({ "metadata": { "name": "a", "finalizers": ["a b"] } });
    assert_eq!(status(made(&scene, object).await.unwrap_err()).code, 422);
    let object = json!({ "metadata": { "name": "a", "finalizers": ["plain"] } });
    let status = status(made(&scene, object).await.unwrap_err());
    assert_eq!(status.code, 422);
    assert!(status.message.contains("metadata.finalizers"), "{}", status.message);
}

async fn owner_references_are_checked(scene: Scene) {
    let reference = json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": "", "uid": "" });
    let object = json!({ "metadata": { "name": "a", "ownerReferences": [reference] } });
    let status = status(made(&scene, object).await.unwrap_err());
    let causes = status.details.unwrap().causes;
    let fields: Vec<_> = causes.iter().map(|cause| cause.field.as_str()).collect();
    assert_eq!(fields, ["metadata.ownerReferences.name", "metadata.ownerReferences.uid"]);
}

async fn config_map_keys_are_checked(scene: Scene) {
    let object = json!({ "metadata": { "name": "a" }, "data": { "a b": "1" } });
    let message = "ConfigMap \"a\" is invalid: data[a b]: Invalid value: \"a b\": a valid config \
                   key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  \
                   or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
    refused(made(&scene, object).await, 422, "Invalid", message);
    for key in ["", ".", "..", "..a", &"x".repeat(254)] {
        let object = json!({ "metadata": { "name": "a" }, "data": { key: "1" } });
        assert_eq!(status(made(&scene, object).await.unwrap_err()).code, 422, "{key}");
    }
    made(&scene, json!({ "metadata": { "name": "a" }, "data": { ".a_B-1": "1" } })).await.unwrap();
}

async fn config_maps_have_a_limit(scene: Scene) {
    let object = json!({ "metadata": { "name": "a" }, "data": { "a": "x".repeat((1 << 20) + 1) } });
    let message = "ConfigMap \"a\" is invalid: []: Too long: may not be more than 1048576 bytes";
    refused(made(&scene, object).await, 422, "Invalid", message);
    made(&scene, json!({ "metadata": { "name": "a" }, "data": { "a": "x".repeat(1 << 20) } }))
        .await
        .unwrap();
}

async fn secrets_have_a_limit(scene: Scene) {
    let object: Secret = from(
        json!({ "metadata": { "name": "a" }, "stringData": { "a": "x".repeat((1 << 20) + 1) } }),
    );
    let made = scene.api::<Secret>().create(&PostParams::default(), &object).await;
    let message = "Secret \"a\" is invalid: data: Too long: may not be more than 1048576 bytes";
    refused(made, 422, "Invalid", message);
}

async fn immutable_config_maps_stay(scene: Scene) {
    let object = json!({ "metadata": { "name": "a" }, "data": { "a": "1" }, "immutable": true });
    made(&scene, object).await.unwrap();
    let api = scene.api::<ConfigMap>();
    for (patch, message) in [
        (
            json!({ "data": { "a": "2" } }),
            "ConfigMap \"a\" is invalid: data: Forbidden: field is immutable when `immutable` is set",
        ),
        (
            json!({ "binaryData": { "b": "MQ==" } }),
            "ConfigMap \"a\" is invalid: binaryData: Forbidden: field is immutable when `immutable` is set",
        ),
        (
            json!({ "immutable": false }),
            "ConfigMap \"a\" is invalid: immutable: Forbidden: field is immutable when `immutable` is set",
        ),
    ] {
        let after = api.patch("a", &PatchParams::default(), &Patch::Merge(patch)).await;
        refused(after, 422, "Invalid", message);
    }
}

async fn immutable_secrets_stay(scene: Scene) {
    let api = scene.api::<Secret>();
    let object = from(json!({ "metadata": { "name": "a" }, "immutable": true }));
    api.create(&PostParams::default(), &object).await.unwrap();
    let patch = Patch::Merge(json!({ "stringData": { "a": "2" } }));
    let after = api.patch("a", &PatchParams::default(), &patch).await;
    let message =
        "Secret \"a\" is invalid: data: Forbidden: field is immutable when `immutable` is set";
    refused(after, 422, "Invalid", message);
}

async fn immutable_objects_keep_their_labels_free(scene: Scene) {
    made(&scene, json!({ "metadata": { "name": "a" }, "immutable": true })).await.unwrap();
    let patch = Patch::Merge(json!({ "metadata": { "labels": { "a": "b" } } }));
    scene.api::<ConfigMap>().patch("a", &PatchParams::default(), &patch).await.unwrap();
}

async fn secret_types_stay(scene: Scene) {
    let api = scene.api::<Secret>();
    let object = from(json!({ "metadata": { "name": "a" }, "type": "test.dev/x" }));
    api.create(&PostParams::default(), &object).await.unwrap();
    let patch = Patch::Merge(json!({ "type": "test.dev/y" }));
    let after = api.patch("a", &PatchParams::default(), &patch).await;
    let message =
        "Secret \"a\" is invalid: type: Invalid value: \"test.dev/y\": field is immutable";
    refused(after, 422, "Invalid", message);
}
