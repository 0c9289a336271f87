//! From a URL to a typed request.

use crate::selector::{FieldSelector, LabelSelector};
use crate::status::{Refusal, Result};
use crate::storage::Object;
use http::{Method, Uri};
use percent_encoding::percent_decode_str;

/// What a URL asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Route {
    /// `/healthz`, `/livez`, `/readyz`.
    Health,
    /// `/version`.
    Version,
    /// `/api`.
    CoreVersions,
    /// `/apis`.
    Groups,
    /// `/apis/GROUP`.
    Group(String),
    /// `/api/v1` and `/apis/GROUP/VERSION`.
    Resources {
        /// The API group, empty for the core group.
        group: String,
        /// The version within the group.
        version: String,
    },
    /// A resource or one object of it.
    Object(Target),
    /// Nothing that an API server knows.
    Unknown,
}

/// The resource, and where it is given the object, that a URL names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Target {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verb {
    /// Read one object.
    Get,
    /// Read a collection.
    List,
    /// Follow a collection.
    Watch,
    /// Make an object.
    Create,
    /// Replace an object.
    Update,
    /// Change parts of an object; server-side apply too.
    Patch,
    /// Delete an object.
    Delete,
    /// Delete the objects of a collection.
    DeleteCollection,
}

impl Verb {
    /// Whether the verb asks for a change.
    #[must_use]
    pub fn is_write(self) -> bool {
        !matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

/// The query of a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pub(crate) labels: LabelSelector,
    pub(crate) fields: FieldSelector,
    pub(crate) limit: usize,
    pub(crate) resume: Option<String>,
    pub(crate) revision: Option<u64>,
    bad_revision: Option<String>,
    pub(crate) exact: bool,
    pub(crate) not_older: bool,
    pub(crate) watch: bool,
    pub(crate) bookmarks: bool,
    pub(crate) initial_events: Option<bool>,
    pub(crate) timeout_seconds: Option<u64>,
    pub(crate) dry_run: bool,
    pub(crate) force: bool,
    pub(crate) manager: Option<String>,
    pub(crate) strict: bool,
    pub(crate) propagation: Option<String>,
}

/// Takes a path apart.
pub(crate) fn route(uri: &Uri) -> Route {
    let decoded: Vec<String> = uri
        .path()
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
        .collect();
    let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["healthz" | "livez" | "readyz", ..] => Route::Health,
        ["version"] => Route::Version,
        ["api"] => Route::CoreVersions,
        ["apis"] => Route::Groups,
        ["apis", group] => Route::Group((*group).to_owned()),
        ["api", version, rest @ ..] => resource("", version, rest),
        ["apis", group, version, rest @ ..] => resource(group, version, rest),
        _ => Route::Unknown,
    }
}

fn resource(group: &str, version: &str, rest: &[&str]) -> Route {
    let target = |namespace: Option<&str>, plural: &str, name: Option<&str>, sub: &[&str]| {
        Route::Object(Target {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
            subresource: (!sub.is_empty()).then(|| sub.join("/")),
        })
    };
    match rest {
        [] => Route::Resources { group: group.to_owned(), version: version.to_owned() },
        // A namespace is itself an object, with subresources of its own.
        ["namespaces", name, sub @ ("status" | "finalize")] if group.is_empty() => {
            target(None, "namespaces", Some(name), &[sub])
        }
        ["namespaces", namespace, plural] => target(Some(namespace), plural, None, &[]),
        ["namespaces", namespace, plural, name, sub @ ..] => {
            target(Some(namespace), plural, Some(name), sub)
        }
        [plural] => target(None, plural, None, &[]),
        [plural, name, sub @ ..] => target(None, plural, Some(name), sub),
    }
}

/// The verb of a request on a resource.
///
/// # Errors
/// 405 where the method means nothing for the target.
pub(crate) fn verb(method: &Method, target: &Target, query: &Query) -> Result<Verb> {
    match (method.as_str(), &target.name) {
        ("GET", _) if query.watch => Ok(Verb::Watch),
        ("GET", Some(_)) => Ok(Verb::Get),
        ("GET", None) => Ok(Verb::List),
        ("POST", None) => Ok(Verb::Create),
        ("PUT", Some(_)) => Ok(Verb::Update),
        ("PATCH", Some(_)) => Ok(Verb::Patch),
        ("DELETE", Some(_)) => Ok(Verb::Delete),
        ("DELETE", None) => Ok(Verb::DeleteCollection),
        _ => Err(Refusal::method_not_allowed()),
    }
}

impl Query {
    /// Whether the selectors let an object through.
    pub(crate) fn selects(&self, object: &Object) -> bool {
        self.labels.matches(&object.head)
            && match self.fields.needs_only_metadata() {
                true => self.fields.matches(&object.head),
                false => self.fields.matches(&object.value()),
            }
    }

    /// Reads the query of a URL.
    ///
    /// # Errors
    /// 400 for a value that does not parse.
    pub(crate) fn parse(uri: &Uri) -> Result<Self> {
        let mut query = Self::default();
        for (key, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            if value.is_empty() {
                continue;
            }
            query.set(&key, &value)?;
        }
        if let Some(value) = &query.bad_revision {
            let message = format!(
                "resourceVersion: Invalid value: {value:?}: strconv.ParseUint: parsing {value:?}: \
                 invalid syntax"
            );
            return Err(if query.watch {
                Refusal::new(500, "", message)
            } else {
                Refusal::bad_request(format!("invalid resource version: {message}"))
            });
        }
        if query.watch && (query.exact || (query.not_older && query.initial_events.is_none())) {
            return Err(Refusal::bad_request(
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ));
        }
        Ok(query)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "labelSelector" => self.labels = LabelSelector::parse(value)?,
            "fieldSelector" => self.fields = FieldSelector::parse(value)?,
            "limit" => self.limit = number(key, value)?,
            "continue" => self.resume = Some(value.to_owned()),
            "resourceVersion" => {
                self.revision = value.parse().ok();
                if self.revision.is_none() {
                    self.bad_revision = Some(value.to_owned());
                }
            }
            "resourceVersionMatch" => match value {
                "Exact" => self.exact = true,
                _ => self.not_older = true,
            },
            "watch" => self.watch = truth(value),
            "allowWatchBookmarks" => self.bookmarks = truth(value),
            "sendInitialEvents" => self.initial_events = Some(truth(value)),
            "timeoutSeconds" => self.timeout_seconds = Some(number(key, value)?),
            "dryRun" => {
                if value != "All" {
                    return Err(Refusal::bad_request(format!(
                        "invalid dryRun value \"{value}\": supported values: \"All\""
                    )));
                }
                self.dry_run = true;
            }
            "force" => self.force = truth(value),
            "fieldManager" => self.manager = Some(value.to_owned()),
            "fieldValidation" => self.strict = value == "Strict",
            "propagationPolicy" => self.propagation = Some(value.to_owned()),
            _ => {}
        }
        Ok(())
    }
}

fn number<T: std::str::FromStr>(key: &str, value: &str) -> Result<T> {
    value.parse().map_err(|_| Refusal::bad_request(format!("{key}: \"{value}\" is not a number")))
}

fn truth(value: &str) -> bool {
    !matches!(value, "false" | "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: &str) -> Target {
        match route(&path.parse().unwrap()) {
            Route::Object(target) => target,
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn a_path_names_its_target() {
        let pod = target("/api/v1/namespaces/ns/pods/a/status");
        assert_eq!(pod.namespace.as_deref(), Some("ns"));
        assert_eq!(pod.name.as_deref(), Some("a"));
        assert_eq!(pod.subresource.as_deref(), Some("status"));
        let namespace = target("/api/v1/namespaces/ns/status");
        assert_eq!(namespace.plural, "namespaces");
        assert_eq!(namespace.name.as_deref(), Some("ns"));
        let all = target("/apis/apps/v1/deployments?watch=1");
        assert_eq!((all.group.as_str(), all.name), ("apps", None));
        assert_eq!(route(&"/apis/apps".parse().unwrap()), Route::Group("apps".into()));
        assert_eq!(route(&"/nothing".parse().unwrap()), Route::Unknown);
    }
}
