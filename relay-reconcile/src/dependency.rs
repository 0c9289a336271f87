//! The link from an object back to the custom resource that it exists for. Owner references cannot
//! cross namespaces, annotations can (`operator.md` §2.2).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt as _};
use relay_model::annotation;
use serde::{Deserialize, Serialize};

/// The custom resource that an object exists for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DependencyOf {
    /// Its API version.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

impl DependencyOf {
    /// The link to an object.
    pub fn new<K: Resource<DynamicType = ()>>(object: &K) -> Self {
        Self {
            api_version: K::api_version(&()).into_owned(),
            kind: K::kind(&()).into_owned(),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            uid: object.uid().unwrap_or_default(),
        }
    }

    /// The link that an object carries. What does not parse is none.
    #[must_use]
    pub fn of(metadata: &ObjectMeta) -> Option<Self> {
        let text = metadata.annotations.as_ref()?.get(annotation::DEPENDENCY_OF)?;
        serde_json::from_str(text).ok()
    }

    /// The annotation's value.
    #[must_use]
    pub fn to_json(&self) -> String {
        // A struct of text is always JSON.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The reference to the object, if it is of this kind.
    #[must_use]
    pub fn object_ref<K: Resource<DynamicType = ()>>(&self) -> Option<ObjectRef<K>> {
        (self.kind == K::kind(&()) && self.api_version == K::api_version(&()))
            .then(|| ObjectRef::new(&self.name).within(&self.namespace))
    }
}

/// An owner reference with which the owner's deletion takes the object along.
pub(crate) fn owned_by<K: Resource<DynamicType = ()>>(owner: &K) -> Option<OwnerReference> {
    let owner = owner.controller_owner_ref(&())?;
    Some(OwnerReference { block_owner_deletion: Some(true), ..owner })
}
