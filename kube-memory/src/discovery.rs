//! What is served, as clients ask for it.

use crate::kind::{Kind, Registry};
use crate::request::Route;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The media type of all groups with all their resources in one document.
pub(crate) const AGGREGATED: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// The Kubernetes release whose behaviour is followed.
const RELEASE: (&str, &str, &str) = ("1", "35", "v1.35.0+memory");

/// What discovery answers with.
pub(crate) enum Answer {
    Text(&'static str),
    Json(Value),
    Aggregated(Value),
}

/// Answers a request that is not about objects.
pub(crate) fn answer(registry: &Registry, route: &Route, aggregated: bool) -> Option<Answer> {
    let json = match route {
        Route::Health => return Some(Answer::Text("ok")),
        Route::Version => version(),
        Route::CoreVersions if aggregated => {
            return Some(Answer::Aggregated(all_groups(registry, str::is_empty)));
        }
        Route::Groups if aggregated => {
            return Some(Answer::Aggregated(all_groups(registry, |group| !group.is_empty())));
        }
        Route::CoreVersions => json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [],
        }),
        Route::Groups => {
            let groups: Vec<Value> = groups(registry)
                .into_iter()
                .filter(|(name, _)| !name.is_empty())
                .map(|(name, versions)| group(name, &versions))
                .collect();
            json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
        }
        Route::Group(name) => {
            let groups = groups(registry);
            let versions = groups.get(name.as_str()).filter(|_| !name.is_empty())?;
            let mut group = group(name, versions);
            if let Some(map) = group.as_object_mut() {
                map.insert("kind".into(), "APIGroup".into());
                map.insert("apiVersion".into(), "v1".into());
            }
            group
        }
        Route::Resources { group, version } => resources(registry, group, version)?,
        Route::Object(_) | Route::Unknown => return None,
    };
    Some(Answer::Json(json))
}

fn version() -> Value {
    let (major, minor, git) = RELEASE;
    json!({
        "major": major,
        "minor": minor,
        "gitVersion": git,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": "memory",
    })
}

/// The versions of each group, the preferred one first.
fn groups(registry: &Registry) -> BTreeMap<&str, Vec<&str>> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for kind in registry.all() {
        let versions = groups.entry(&kind.group).or_default();
        if !versions.contains(&kind.version.as_str()) {
            versions.push(&kind.version);
        }
    }
    groups
}

fn group(name: &str, versions: &[&str]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({ "groupVersion": format!("{name}/{version}"), "version": version }))
        .collect();
    json!({ "name": name, "versions": versions, "preferredVersion": versions.first() })
}

fn verbs() -> Value {
    json!(["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"])
}

fn resources(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let mut resources = Vec::new();
    for kind in registry.all().filter(|kind| kind.group == group && kind.version == version) {
        let mut resource = json!({
            "name": kind.plural,
            "singularName": kind.singular,
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": verbs(),
        });
        if let Some(map) = resource.as_object_mut() {
            for (field, names) in
                [("shortNames", &kind.short_names), ("categories", &kind.categories)]
            {
                if !names.is_empty() {
                    map.insert(field.into(), json!(names));
                }
            }
        }
        resources.push(resource);
        if kind.status {
            resources.push(json!({
                "name": format!("{}/status", kind.plural),
                "singularName": "",
                "namespaced": kind.namespaced,
                "kind": kind.kind,
                "verbs": ["get", "patch", "update"],
            }));
        }
    }
    if resources.is_empty() {
        return None;
    }
    let group_version =
        if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": resources,
    }))
}

fn all_groups(registry: &Registry, wanted: impl Fn(&str) -> bool) -> Value {
    let items: Vec<Value> = groups(registry)
        .into_iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    let resources: Vec<Value> = registry
                        .all()
                        .filter(|kind| kind.group == name && kind.version == *version)
                        .map(|kind| aggregated(kind))
                        .collect();
                    json!({ "version": version, "resources": resources, "freshness": "Current" })
                })
                .collect();
            json!({ "metadata": { "name": name }, "versions": versions })
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    })
}

fn aggregated(kind: &Kind) -> Value {
    let response = json!({ "group": kind.group, "version": kind.version, "kind": kind.kind });
    let subresources = if kind.status {
        json!([{
            "subresource": "status",
            "responseKind": response,
            "verbs": ["get", "patch", "update"],
        }])
    } else {
        json!([])
    };
    json!({
        "resource": kind.plural,
        "responseKind": response,
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular,
        "verbs": verbs(),
        "shortNames": kind.short_names,
        "categories": kind.categories,
        "subresources": subresources,
    })
}
