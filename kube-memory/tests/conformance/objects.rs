//! Creating, reading, replacing.

use crate::cases;
use crate::scene::{Scene, from, refused, status, widget};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::Role;
use kube::ResourceExt;
use kube::api::PostParams;
use serde_json::{Value, json};

cases! {
    create_fills_in_metadata,
    create_of_what_exists_is_refused,
    create_generates_names,
    create_without_a_name_is_refused,
    create_with_a_resource_version_is_refused,
    create_in_another_namespace_is_refused,
    create_with_dry_run_stores_nothing,
    create_drops_unknown_fields,
    create_with_strict_validation_refuses_unknown_fields,
    create_of_another_kind_is_refused,
    create_with_a_wrong_type_is_refused,
    create_ignores_the_status,
    get_of_nothing_is_refused,
    get_of_a_grouped_kind_names_the_group,
    unknown_resources_are_not_found,
    update_changes_the_version,
    update_of_an_old_version_is_refused,
    update_without_a_version_is_allowed_for_most_kinds,
    update_without_a_version_is_refused_for_leases,
    update_without_a_version_is_refused_for_custom_kinds,
    update_with_another_name_is_refused,
    update_with_another_uid_is_refused,
    update_of_nothing_is_refused,
    update_without_change_keeps_the_version,
    update_with_dry_run_stores_nothing,
    update_keeps_system_metadata,
    update_ignores_the_status,
    generation_counts_changes_of_the_spec,
    config_maps_have_no_generation,
}

fn named(name: &str) -> ConfigMap {
    from(json!({ "metadata": { "name": name }, "data": { "a": "1" } }))
}

async fn create_fills_in_metadata(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let made = api.create(&PostParams::default(), &named("a")).await.unwrap();
    assert_eq!(made.namespace().as_ref(), Some(&scene.namespace));
    assert_eq!(made.uid().unwrap().len(), 36);
    assert!(made.creation_timestamp().is_some());
    assert!(made.resource_version().is_some());
    assert_eq!(made.managed_fields().len(), 1);
    assert_eq!(api.get("a").await.unwrap(), made);
}

async fn create_of_what_exists_is_refused(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    api.create(&PostParams::default(), &named("a")).await.unwrap();
    let again = api.create(&PostParams::default(), &named("a")).await;
    let status = refused(again, 409, "AlreadyExists", "configmaps \"a\" already exists");
    let details = status.details.unwrap();
    assert_eq!((details.name.as_str(), details.kind.as_str()), ("a", "configmaps"));
}

async fn create_generates_names(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let object = from(json!({ "metadata": { "generateName": "a-" } }));
    let made = api.create(&PostParams::default(), &object).await.unwrap();
    assert!(made.name_any().starts_with("a-"));
    assert_eq!(made.name_any().len(), 7);
    assert_eq!(made.metadata.generate_name.as_deref(), Some("a-"));
}

async fn create_without_a_name_is_refused(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let made = api.create(&PostParams::default(), &ConfigMap::default()).await;
    let message = "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName \
                   is required";
    refused(made, 422, "Invalid", message);
}

async fn create_with_a_resource_version_is_refused(scene: Scene) {
    let object: ConfigMap = from(json!({ "metadata": { "name": "a", "resourceVersion": "7" } }));
    let made = scene.api::<ConfigMap>().create(&PostParams::default(), &object).await;
    let status = status(made.unwrap_err());
    assert_eq!(status.message, "resourceVersion should not be set on objects to be created");
}

async fn create_in_another_namespace_is_refused(scene: Scene) {
    let object: ConfigMap = from(json!({ "metadata": { "name": "a", "namespace": "default" } }));
    let made = scene.api::<ConfigMap>().create(&PostParams::default(), &object).await;
    let message = "the namespace of the provided object does not match the namespace sent on the \
                   request";
    refused(made, 400, "BadRequest", message);
}

async fn create_with_dry_run_stores_nothing(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let made = api.create(&params, &named("a")).await.unwrap();
    assert_eq!(made.data, named("a").data);
    assert_eq!(api.get_opt("a").await.unwrap(), None);
}

async fn create_drops_unknown_fields(scene: Scene) {
    let path = format!("/api/v1/namespaces/{}/configmaps", scene.namespace);
    let object = json!({ "metadata": { "name": "a" }, "bogus": 1, "data": { "x": "1" } });
    let made = scene.send("POST", &path, object).await.unwrap();
    assert_eq!(made.get("bogus"), None);
    let widgets = scene.widgets().await;
    let object = widget("w", json!({ "spec": { "size": 1, "bogus": 1 }, "more": {} }));
    let made = widgets.create(&PostParams::default(), &object).await.unwrap();
    assert_eq!(made.data["spec"].get("bogus"), None);
    assert_eq!(made.data.get("more"), None);
}

async fn create_with_strict_validation_refuses_unknown_fields(scene: Scene) {
    scene.widgets().await;
    let path = format!(
        "/apis/test.kube-memory.dev/v1/namespaces/{}/widgets?fieldValidation=Strict",
        scene.namespace
    );
    let object = json!({
        "apiVersion": "test.kube-memory.dev/v1",
        "kind": "Widget",
        "metadata": { "name": "a" },
        "spec": { "size": 1, "bogus": 1 },
    });
    let status = scene.send("POST", &path, object).await.unwrap_err();
    assert_eq!((status.code, status.reason.as_str()), (400, "BadRequest"));
    assert!(status.message.contains("strict decoding error: unknown field \"spec.bogus\""));
}

async fn create_of_another_kind_is_refused(scene: Scene) {
    let path = format!("/api/v1/namespaces/{}/configmaps", scene.namespace);
    let object = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "a" } });
    let status = scene.send("POST", &path, object).await.unwrap_err();
    assert_eq!((status.code, status.reason.as_str()), (400, "BadRequest"));
    let object = json!({ "apiVersion": "v2", "kind": "ConfigMap", "metadata": { "name": "a" } });
    let status = scene.send("POST", &path, object).await.unwrap_err();
    assert_eq!((status.code, status.reason.as_str()), (400, "BadRequest"));
}

async fn create_with_a_wrong_type_is_refused(scene: Scene) {
    let path = format!("/api/v1/namespaces/{}/configmaps", scene.namespace);
    let object = json!({ "metadata": { "name": "a" }, "data": { "a": 1 } });
    let status = scene.send("POST", &path, object).await.unwrap_err();
    assert_eq!((status.code, status.reason.as_str()), (400, "BadRequest"));
    assert!(
        status
            .message
            .starts_with("ConfigMap in version \"v1\" cannot be handled as a ConfigMap: ")
    );
}

async fn create_ignores_the_status(scene: Scene) {
    let api = scene.widgets().await;
    let object = widget("a", json!({ "spec": { "size": 1 }, "status": { "phase": "x" } }));
    let made = api.create(&PostParams::default(), &object).await.unwrap();
    assert_eq!(made.data.get("status"), None);
}

async fn get_of_nothing_is_refused(scene: Scene) {
    let found = scene.api::<ConfigMap>().get("a").await;
    refused(found, 404, "NotFound", "configmaps \"a\" not found");
}

async fn get_of_a_grouped_kind_names_the_group(scene: Scene) {
    let found = scene.api::<Role>().get("a").await;
    let message = "roles.rbac.authorization.k8s.io \"a\" not found";
    let details = refused(found, 404, "NotFound", message).details.unwrap();
    assert_eq!(details.group, "rbac.authorization.k8s.io");
}

async fn unknown_resources_are_not_found(scene: Scene) {
    for path in ["/api/v1/namespaces/default/wombats", "/apis/wombat.dev/v1/wombats"] {
        let status = scene.send("GET", path, Value::Null).await.unwrap_err();
        assert_eq!(status.code, 404, "{path}: {status:?}");
    }
    let status = scene.send("GET", "/api/v1/wombats/a", Value::Null).await.unwrap_err();
    assert_eq!(status.message, "the server could not find the requested resource");
    assert_eq!(status.reason, "NotFound");
}

async fn update_changes_the_version(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let mut object = api.create(&PostParams::default(), &named("a")).await.unwrap();
    let before = object.resource_version();
    object.data = Some([("a".to_owned(), "2".to_owned())].into());
    let after = api.replace("a", &PostParams::default(), &object).await.unwrap();
    assert_ne!(after.resource_version(), before);
    assert_eq!(api.get("a").await.unwrap().data.unwrap()["a"], "2");
}

async fn update_of_an_old_version_is_refused(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let mut object = api.create(&PostParams::default(), &named("a")).await.unwrap();
    object.data = None;
    api.replace("a", &PostParams::default(), &object).await.unwrap();
    let again = api.replace("a", &PostParams::default(), &object).await;
    let message = "Operation cannot be fulfilled on configmaps \"a\": the object has been \
                   modified; please apply your changes to the latest version and try again";
    refused(again, 409, "Conflict", message);
}

async fn update_without_a_version_is_allowed_for_most_kinds(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    api.create(&PostParams::default(), &named("a")).await.unwrap();
    let object = from(json!({ "metadata": { "name": "a" }, "data": { "b": "2" } }));
    let after = api.replace("a", &PostParams::default(), &object).await.unwrap();
    assert_eq!(after.data.unwrap()["b"], "2");
}

async fn update_without_a_version_is_refused_for_leases(scene: Scene) {
    let api = scene.api::<Lease>();
    let object: Lease = from(json!({ "metadata": { "name": "a" }, "spec": {} }));
    api.create(&PostParams::default(), &object).await.unwrap();
    let object: Lease =
        from(json!({ "metadata": { "name": "a" }, "spec": { "holderIdentity": "x" } }));
    let after = api.replace("a", &PostParams::default(), &object).await;
    let message = "leases.coordination.k8s.io \"a\" is invalid: metadata.resourceVersion: Invalid \
                   value: 0: must be specified for an update";
    refused(after, 422, "Invalid", message);
}

async fn update_without_a_version_is_refused_for_custom_kinds(scene: Scene) {
    let api = scene.widgets().await;
    let object = widget("a", json!({ "spec": { "size": 1 } }));
    api.create(&PostParams::default(), &object).await.unwrap();
    let after = api.replace("a", &PostParams::default(), &object).await;
    let message = "widgets.test.kube-memory.dev \"a\" is invalid: metadata.resourceVersion: Invalid \
                   value: 0: must be specified for an update";
    refused(after, 422, "Invalid", message);
}

async fn update_with_another_name_is_refused(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    api.create(&PostParams::default(), &named("a")).await.unwrap();
    let after = api.replace("a", &PostParams::default(), &named("b")).await;
    let message = "the name of the object (b) does not match the name on the URL (a)";
    refused(after, 400, "BadRequest", message);
}

async fn update_with_another_uid_is_refused(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let mut object = api.create(&PostParams::default(), &named("a")).await.unwrap();
    let uid = object.metadata.uid.replace("other".into()).unwrap();
    let after = api.replace("a", &PostParams::default(), &object).await;
    let status = status(after.unwrap_err());
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    let message =
        format!("Precondition failed: UID in precondition: other, UID in object meta: {uid}");
    assert!(status.message.ends_with(&message), "{}", status.message);
}

async fn update_of_nothing_is_refused(scene: Scene) {
    let after = scene.api::<ConfigMap>().replace("a", &PostParams::default(), &named("a")).await;
    refused(after, 404, "NotFound", "configmaps \"a\" not found");
}

async fn update_without_change_keeps_the_version(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let object = api.create(&PostParams::default(), &named("a")).await.unwrap();
    let after = api.replace("a", &PostParams::default(), &object).await.unwrap();
    assert_eq!(after.resource_version(), object.resource_version());
}

async fn update_with_dry_run_stores_nothing(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let object = api.create(&PostParams::default(), &named("a")).await.unwrap();
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let changed = from(json!({ "metadata": { "name": "a" }, "data": { "b": "2" } }));
    let after = api.replace("a", &params, &changed).await.unwrap();
    assert_eq!(after.data.unwrap()["b"], "2");
    assert_eq!(api.get("a").await.unwrap(), object);
}

async fn update_keeps_system_metadata(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let object = api.create(&PostParams::default(), &named("a")).await.unwrap();
    let changed = from(json!({
        "metadata": { "name": "a", "creationTimestamp": "2001-01-01T00:00:00Z", "generation": 9 },
    }));
    let after = api.replace("a", &PostParams::default(), &changed).await.unwrap();
    assert_eq!(after.uid(), object.uid());
    assert_eq!(after.creation_timestamp(), object.creation_timestamp());
    assert_eq!(after.metadata.generation, None);
}

async fn update_ignores_the_status(scene: Scene) {
    let api = scene.widgets().await;
    let object = widget("a", json!({ "spec": { "size": 1 } }));
    let mut object = api.create(&PostParams::default(), &object).await.unwrap();
    object.data["status"] = json!({ "phase": "x" });
    let after = api.replace("a", &PostParams::default(), &object).await.unwrap();
    assert_eq!(after.data.get("status"), None);
    assert_eq!(after.resource_version(), object.resource_version());
}

async fn generation_counts_changes_of_the_spec(scene: Scene) {
    let api = scene.widgets().await;
    let object = widget("a", json!({ "spec": { "size": 1 } }));
    let mut object = api.create(&PostParams::default(), &object).await.unwrap();
    assert_eq!(object.metadata.generation, Some(1));
    object.labels_mut().insert("a".into(), "b".into());
    let mut object = api.replace("a", &PostParams::default(), &object).await.unwrap();
    assert_eq!(object.metadata.generation, Some(1));
    object.data["spec"]["size"] = json!(2);
    let object = api.replace("a", &PostParams::default(), &object).await.unwrap();
    assert_eq!(object.metadata.generation, Some(2));
}

async fn config_maps_have_no_generation(scene: Scene) {
    let made = scene.api::<ConfigMap>().create(&PostParams::default(), &named("a")).await.unwrap();
    assert_eq!(made.metadata.generation, None);
}
