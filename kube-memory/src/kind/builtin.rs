//! The built-in kinds.

use super::{BuiltIn, Form, Kind};
use crate::names::NameRule;
use crate::schema::{Additional, Schema, Shape};
use k8s_openapi::api::{
    admissionregistration::v1 as admission, apps::v1 as apps, autoscaling::v2 as autoscaling,
    batch::v1 as batch, coordination::v1 as coordination, core::v1 as core,
    discovery::v1 as discovery, events::v1 as events, networking::v1 as networking,
    policy::v1 as policy, rbac::v1 as rbac, scheduling::v1 as scheduling, storage::v1 as storage,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as extensions;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope, Resource};
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::sync::OnceLock;

/// Whether objects of a scope live in namespaces.
trait Scope {
    const NAMESPACED: bool;
}

impl Scope for NamespaceResourceScope {
    const NAMESPACED: bool = true;
}

impl Scope for ClusterResourceScope {
    const NAMESPACED: bool = false;
}

/// The table of built-in kinds.
pub(super) fn kinds() -> Vec<Kind> {
    let mut kinds = vec![
        kind::<core::Namespace>(&["ns"]).status().selectable(&["status.phase"]),
        kind::<core::ConfigMap>(&["cm"]),
        kind::<core::Secret>(&[]).selectable(&["type"]),
        kind::<core::ServiceAccount>(&["sa"]),
        kind::<core::Pod>(&["po"]).status().generation().selectable(&[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ]),
        kind::<core::PodTemplate>(&[]).generation(),
        kind::<core::Service>(&["svc"]).status().selectable(&["spec.clusterIP", "spec.type"]),
        kind::<core::Endpoints>(&["ep"]),
        kind::<core::Event>(&["ev"]).selectable(&[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ]),
        kind::<core::LimitRange>(&["limits"]),
        kind::<core::ResourceQuota>(&["quota"]).status(),
        kind::<core::Node>(&["no"]).status().selectable(&["spec.unschedulable"]),
        kind::<core::PersistentVolume>(&["pv"]).status(),
        kind::<core::PersistentVolumeClaim>(&["pvc"]).status(),
        kind::<core::ReplicationController>(&["rc"]).status().generation(),
        kind::<apps::Deployment>(&["deploy"]).status().generation(),
        kind::<apps::ReplicaSet>(&["rs"]).status().generation(),
        kind::<apps::StatefulSet>(&["sts"]).status().generation(),
        kind::<apps::DaemonSet>(&["ds"]).status().generation(),
        kind::<apps::ControllerRevision>(&[]),
        kind::<batch::Job>(&[]).status().generation().selectable(&["status.successful"]),
        kind::<batch::CronJob>(&["cj"]).status().generation(),
        kind::<networking::NetworkPolicy>(&["netpol"]).generation(),
        kind::<networking::Ingress>(&["ing"]).status().generation(),
        kind::<networking::IngressClass>(&[]).generation(),
        kind::<rbac::Role>(&[]).path_names(),
        kind::<rbac::RoleBinding>(&[]).path_names(),
        kind::<rbac::ClusterRole>(&[]).path_names(),
        kind::<rbac::ClusterRoleBinding>(&[]).path_names(),
        kind::<coordination::Lease>(&[]).conditional(),
        kind::<events::Event>(&["ev"]),
        kind::<discovery::EndpointSlice>(&[]).generation(),
        kind::<policy::PodDisruptionBudget>(&["pdb"]).status().generation().conditional(),
        kind::<autoscaling::HorizontalPodAutoscaler>(&["hpa"]).status(),
        kind::<scheduling::PriorityClass>(&["pc"]).generation(),
        kind::<storage::StorageClass>(&["sc"]),
        kind::<admission::ValidatingWebhookConfiguration>(&[]).generation(),
        kind::<admission::MutatingWebhookConfiguration>(&[]).generation(),
        kind::<extensions::CustomResourceDefinition>(&["crd", "crds"])
            .status()
            .generation()
            .conditional(),
    ];
    for kind in &mut kinds {
        match kind.plural.as_str() {
            "namespaces" => kind.names = NameRule::Label,
            "services" => kind.names = NameRule::Label1035,
            _ => {}
        }
    }
    kinds
}

/// Reads the metadata of an object as its type: unknown fields are dropped.
pub(super) fn normalize_metadata(object: &mut Value) -> serde_json::Result<()> {
    if let Some(metadata) = object.get_mut("metadata") {
        let decoded: ObjectMeta = serde_json::from_value(metadata.take())?;
        *metadata = serde_json::to_value(decoded)?;
        metadata_schema().drop_empty(metadata);
    }
    Ok(())
}

/// The schema of `metadata`, which every kind has.
pub(crate) fn metadata_schema() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(schema_of::<ObjectMeta>)
}

fn kind<K>(short_names: &[&str]) -> Kind
where
    K: Resource + Serialize + DeserializeOwned + JsonSchema,
    K::Scope: Scope,
{
    Kind {
        group: K::GROUP.to_owned(),
        version: K::VERSION.to_owned(),
        plural: K::URL_PATH_SEGMENT.to_owned(),
        singular: K::KIND.to_lowercase(),
        kind: K::KIND.to_owned(),
        list_kind: format!("{}List", K::KIND),
        short_names: short_names.iter().map(|&name| name.to_owned()).collect(),
        categories: Vec::new(),
        namespaced: K::Scope::NAMESPACED,
        status: false,
        generation: false,
        unconditional_update: true,
        names: NameRule::Subdomain,
        selectable: Vec::new(),
        form: Form::BuiltIn(BuiltIn {
            decode: decode::<K>,
            schema: schema_of::<K>,
            cached: OnceLock::new(),
        }),
    }
}

impl Kind {
    fn status(mut self) -> Self {
        self.status = true;
        self
    }

    fn generation(mut self) -> Self {
        self.generation = true;
        self
    }

    fn conditional(mut self) -> Self {
        self.unconditional_update = false;
        self
    }

    fn path_names(mut self) -> Self {
        self.names = NameRule::PathSegment;
        self
    }

    fn selectable(mut self, paths: &[&str]) -> Self {
        self.selectable = paths.iter().map(|&path| path.to_owned()).collect();
        self
    }
}

fn decode<K>(object: Value) -> serde_json::Result<Value>
where
    K: Serialize + DeserializeOwned,
{
    let mut decoded = serde_json::to_value(serde_json::from_value::<K>(object)?)?;
    if let Some(map) = decoded.as_object_mut() {
        map.remove("apiVersion");
        map.remove("kind");
    }
    Ok(decoded)
}

fn schema_of<K: JsonSchema>() -> Schema {
    let mut generator = SchemaGenerator::default();
    // Asking for a reference is what puts the type itself among the definitions.
    let _ = generator.subschema_for::<K>();
    Schema::of_type(&K::schema_name(), generator.definitions())
}

impl Schema {
    /// Drops empty lists and maps, which the server's own types do not tell from absent ones.
    pub(crate) fn drop_empty(&self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                for (name, child) in map.iter_mut() {
                    self.field(name).drop_empty(child);
                }
                map.retain(|name, child| {
                    let schema = self.field(name);
                    let free_map = schema.shape == Shape::Object
                        && !matches!(schema.additional, Additional::None);
                    let empty = match child {
                        Value::Object(map) => free_map && map.is_empty(),
                        Value::Array(items) => items.is_empty(),
                        _ => false,
                    };
                    !empty || self.required.contains(name)
                });
            }
            Value::Array(items) => {
                for item in items {
                    self.item().drop_empty(item);
                }
            }
            _ => {}
        }
    }
}
