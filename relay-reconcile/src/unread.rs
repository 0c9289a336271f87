//! Objects as they come, read part by part.
//!
//! An API server takes documents that nest deeper than any reader here follows, and it repeats
//! their structure in `managedFields`. Read as a whole, one such object would fail the list that
//! it is in, and with it the work on all others. So the metadata that matters is read first, and
//! the rest when it is needed, on its own.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::marker::PhantomData;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::api::ObjectMeta;
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tracing::warn;

/// An object of a kind, of which only metadata has been read.
#[derive(Clone, Debug, Deserialize)]
#[serde(bound(deserialize = ""))]
pub(crate) struct Unread<K> {
    #[serde(deserialize_with = "metadata")]
    pub(crate) metadata: ObjectMeta,
    #[serde(default)]
    spec: Option<Box<RawValue>>,
    #[serde(default)]
    status: Option<Box<RawValue>>,
    #[serde(skip)]
    kind: PhantomData<fn() -> K>,
}

impl<K> Unread<K> {
    /// Its spec.
    pub(crate) fn spec<S: DeserializeOwned>(&self) -> serde_json::Result<S> {
        serde_json::from_str(self.spec.as_ref().map_or("{}", |raw| raw.get()))
    }

    /// Its status, if it has one.
    pub(crate) fn status<S: DeserializeOwned>(&self) -> serde_json::Result<Option<S>> {
        self.status.as_ref().map_or(Ok(None), |raw| serde_json::from_str(raw.get()))
    }
}

/// What a watch tells, with each object read; nothing, where one cannot be.
pub(crate) fn read<K, O>(
    event: Event<Unread<K>>,
    read: impl FnOnce(Unread<K>) -> Option<O>,
) -> Option<Event<O>> {
    Some(match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::InitApply(object) => Event::InitApply(read(object)?),
        Event::Apply(object) => Event::Apply(read(object)?),
        Event::Delete(object) => Event::Delete(read(object)?),
    })
}

/// The same, where of an object that is gone it is enough to know which one it was.
pub(crate) fn read_or_bare<K, O>(
    event: Event<Unread<K>>,
    read: impl FnOnce(Unread<K>) -> Option<O>,
    bare: impl FnOnce(ObjectMeta) -> O,
) -> Option<Event<O>> {
    match event {
        Event::Delete(object) => Some(Event::Delete(bare(object.metadata))),
        other => self::read(other, read),
    }
}

/// The same, where what cannot be read is left out, and said so in the log: one object that somebody
/// spoilt must not hide the others.
pub(crate) fn read_or_skip<K: Resource<DynamicType = ()>, O>(
    event: Event<Unread<K>>,
    read: impl FnOnce(Unread<K>) -> serde_json::Result<O>,
    bare: impl FnOnce(ObjectMeta) -> O,
) -> Option<Event<O>> {
    let read = |object: Unread<K>| {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let skipped = |error: &serde_json::Error| {
            warn!(kind = %K::kind(&()), namespace, name, %error, "an object cannot be read");
        };
        read(object).inspect_err(skipped).ok()
    };
    read_or_bare(event, read, bare)
}

/// Reads metadata, but for `managedFields` and what `kubectl apply` notes: they are large, deep, and
/// nothing here looks at them.
pub(crate) fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Metadata {
        annotations: Option<BTreeMap<String, String>>,
        creation_timestamp: Option<Time>,
        deletion_timestamp: Option<Time>,
        finalizers: Option<Vec<String>>,
        generation: Option<i64>,
        labels: Option<BTreeMap<String, String>>,
        name: Option<String>,
        namespace: Option<String>,
        owner_references: Option<Vec<OwnerReference>>,
        resource_version: Option<String>,
        uid: Option<String>,
    }
    const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

    let mut read = Metadata::deserialize(deserializer)?;
    if let Some(annotations) = &mut read.annotations {
        annotations.remove(LAST_APPLIED);
    }
    Ok(ObjectMeta {
        annotations: read.annotations,
        creation_timestamp: read.creation_timestamp,
        deletion_timestamp: read.deletion_timestamp,
        finalizers: read.finalizers,
        generation: read.generation,
        labels: read.labels,
        name: read.name,
        namespace: read.namespace,
        owner_references: read.owner_references,
        resource_version: read.resource_version,
        uid: read.uid,
        ..ObjectMeta::default()
    })
}

impl<K: Resource<DynamicType = ()>> Resource for Unread<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
