//! What a case works with.

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use kube::core::Status;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// The group of the kinds that the suite defines.
pub(crate) const GROUP: &str = "test.kube-memory.dev";

/// A client and a fresh namespace.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

impl Scene {
    pub(crate) async fn new(client: Client) -> Self {
        let namespace = unique("case");
        let scene = Self { client, namespace };
        scene.add_namespace(&scene.namespace).await;
        scene
    }

    pub(crate) async fn add_namespace(&self, name: &str) -> Namespace {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let namespace = from(json!({ "metadata": { "name": name } }));
        namespaces.create(&PostParams::default(), &namespace).await.unwrap()
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Config maps labelled `case`, so that those of the cluster itself stay out of lists.
    pub(crate) async fn config_maps(&self, objects: &[(&str, Value)]) -> Api<ConfigMap> {
        let api = self.api::<ConfigMap>();
        for (name, labels) in objects {
            let mut labels = labels.clone();
            labels["case"] = json!("yes");
            let object = from(json!({ "metadata": { "name": name, "labels": labels } }));
            api.create(&PostParams::default(), &object).await.unwrap();
        }
        api
    }

    /// The custom kind of the suite, defined on first use.
    pub(crate) async fn widgets(&self) -> Api<DynamicObject> {
        self.define(widget_definition()).await;
        Api::namespaced_with(self.client.clone(), &self.namespace, &widget_resource())
    }

    /// Creates a definition and waits until its kind is served.
    pub(crate) async fn define(&self, definition: Value) {
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let definition: CustomResourceDefinition = from(definition);
        let name = definition.metadata.name.clone().unwrap();
        match api.create(&PostParams::default(), &definition).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            other => drop(other.unwrap()),
        }
        let path = format!("/apis/{GROUP}/v1/{}", definition.spec.names.plural);
        eventually("the kind is served", async || {
            let definition = api.get(&name).await.unwrap();
            let conditions = definition.status?.conditions?;
            conditions.iter().find(|c| c.type_ == "Established" && c.status == "True")?;
            let request = http::Request::get(&path).body(Vec::new()).unwrap();
            self.client.request::<Value>(request).await.ok()
        })
        .await;
    }

    /// A request by hand.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        body: Value,
    ) -> Result<Value, Status> {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .body(body)
            .unwrap();
        self.client.request(request).await.map_err(status)
    }
}

/// A name that no other case has.
pub(crate) fn unique(prefix: &str) -> String {
    let random = Uuid::new_v4().simple().to_string();
    format!("{prefix}-{random:.8}")
}

pub(crate) fn from<T: DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).unwrap()
}

/// A custom object of the suite.
pub(crate) fn widget(name: &str, fields: Value) -> DynamicObject {
    let mut object = fields;
    object["apiVersion"] = json!(format!("{GROUP}/v1"));
    object["kind"] = json!("Widget");
    object["metadata"]["name"] = json!(name);
    from(object)
}

pub(crate) fn widget_resource() -> ApiResource {
    ApiResource {
        group: GROUP.into(),
        version: "v1".into(),
        api_version: format!("{GROUP}/v1"),
        kind: "Widget".into(),
        plural: "widgets".into(),
    }
}

/// The refusal that a call must have met.
pub(crate) fn status(error: kube::Error) -> Status {
    match error {
        kube::Error::Api(status) => *status,
        other => panic!("no status: {other:?}"),
    }
}

/// Asserts that a call was refused in just these words.
#[track_caller]
pub(crate) fn refused<T>(
    result: kube::Result<T>,
    code: u16,
    reason: &str,
    message: &str,
) -> Status {
    let status = status(result.err().expect("a refusal"));
    assert_eq!((status.code, status.reason.as_str()), (code, reason), "{status:?}");
    assert_eq!(status.message, message);
    status
}

/// Waits until something is there, for at most twenty seconds.
pub(crate) async fn eventually<F, T>(what: &str, mut check: F) -> T
where
    F: AsyncFnMut() -> Option<T>,
{
    for _ in 0..400 {
        if let Some(found) = check().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never came true: {what}");
}

fn widget_definition() -> Value {
    serde_json::from_str(include_str!("widget.json")).unwrap()
}
