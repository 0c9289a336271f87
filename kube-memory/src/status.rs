//! Refusals in the words of the API server.

use serde_json::{Value, json};
use std::fmt::Write as _;

/// The answer of an operation, or why it was refused.
pub(crate) type Result<T, E = Refusal> = std::result::Result<T, E>;

/// A request that the API does not grant; becomes a `Status` object on the wire.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    /// The HTTP status code.
    pub(crate) code: u16,
    /// The machine-readable reason, such as `NotFound`.
    pub(crate) reason: String,
    /// The sentence for people.
    pub(crate) message: String,
    /// What the refusal is about: name, group, kind, causes.
    pub(crate) details: Option<Value>,
}

/// The resource that a refusal speaks about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) group: &'a str,
    pub(crate) plural: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
}

impl Subject<'_> {
    fn resource(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    fn details(&self, kind: &str) -> Value {
        let mut details = json!({ "name": self.name, "kind": kind });
        if !self.group.is_empty()
            && let Some(map) = details.as_object_mut()
        {
            map.insert("group".into(), self.group.into());
        }
        details
    }
}

impl Refusal {
    pub(crate) fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Self { code, reason: reason.to_owned(), message: message.into(), details: None }
    }

    /// The path names no resource that is served.
    pub(crate) fn unknown_resource() -> Self {
        let message = "the server could not find the requested resource";
        Self { details: Some(json!({})), ..Self::new(404, "NotFound", message) }
    }

    /// What etcd says of an object that does not fit into one of its requests.
    pub(crate) fn too_large() -> Self {
        Self::new(500, "", "etcdserver: request is too large")
    }

    pub(crate) fn not_found(subject: Subject<'_>) -> Self {
        let message = format!("{} \"{}\" not found", subject.resource(), subject.name);
        Self {
            details: Some(subject.details(subject.plural)),
            ..Self::new(404, "NotFound", message)
        }
    }

    pub(crate) fn already_exists(subject: Subject<'_>) -> Self {
        let message = format!("{} \"{}\" already exists", subject.resource(), subject.name);
        Self {
            details: Some(subject.details(subject.plural)),
            ..Self::new(409, "AlreadyExists", message)
        }
    }

    /// The object changed since the caller read it.
    pub(crate) fn modified(subject: Subject<'_>) -> Self {
        Self::conflict(
            subject,
            "the object has been modified; please apply your changes to the latest version \
             and try again",
        )
    }

    pub(crate) fn conflict(subject: Subject<'_>, why: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{}\": {why}",
            subject.resource(),
            subject.name
        );
        Self {
            details: Some(subject.details(subject.plural)),
            ..Self::new(409, "Conflict", message)
        }
    }

    pub(crate) fn forbidden(subject: Subject<'_>, why: &str, causes: Vec<Value>) -> Self {
        let message = format!("{} \"{}\" is forbidden: {why}", subject.resource(), subject.name);
        let mut details = subject.details(subject.plural);
        if !causes.is_empty()
            && let Some(map) = details.as_object_mut()
        {
            map.insert("causes".into(), causes.into());
        }
        Self { details: Some(details), ..Self::new(403, "Forbidden", message) }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self { details: Some(json!({})), ..Self::new(405, "MethodNotAllowed", message) }
    }

    pub(crate) fn unsupported_media_type(supported: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            supported.join(", ")
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// The history from `requested` on is gone; `oldest` is where it begins now.
    pub(crate) fn expired(requested: u64, oldest: u64) -> Self {
        let message = format!("too old resource version: {requested} ({oldest})");
        Self::new(410, "Expired", message)
    }

    /// The caller asks for a state that lies in the future.
    pub(crate) fn too_large_version(requested: u64, current: u64) -> Self {
        let message = format!("Too large resource version: {requested}, current: {current}");
        Self {
            details: Some(json!({
                "causes": [{
                    "reason": "ResourceVersionTooLarge",
                    "message": "Too large resource version",
                }],
                "retryAfterSeconds": 1,
            })),
            ..Self::new(504, "Timeout", format!("Timeout: {message}"))
        }
    }

    /// The object breaks a rule; every broken rule is listed.
    pub(crate) fn invalid(subject: Subject<'_>, errors: &[FieldError]) -> Self {
        let mut list = String::new();
        for (index, error) in errors.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            // Writing to a string cannot fail.
            let _ = write!(list, "{separator}{error}");
        }
        if errors.len() > 1 {
            list = format!("[{list}]");
        }
        let qualified = if subject.group.is_empty() {
            subject.kind.to_owned()
        } else {
            format!("{}.{}", subject.kind, subject.group)
        };
        let message = format!("{qualified} \"{}\" is invalid: {list}", subject.name);
        let mut details = subject.details(subject.kind);
        if let Some(map) = details.as_object_mut() {
            map.insert("causes".into(), errors.iter().map(FieldError::cause).collect());
        }
        Self { details: Some(details), ..Self::new(422, "Invalid", message) }
    }

    /// Several field managers own what an apply wants to change.
    pub(crate) fn apply_conflict(message: String, causes: &[Value]) -> Self {
        Self { details: Some(json!({ "causes": causes })), ..Self::new(409, "Conflict", message) }
    }

    /// The `Status` object for the wire.
    pub(crate) fn to_value(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        });
        if let Some(map) = status.as_object_mut()
            && !self.reason.is_empty()
        {
            map.insert("reason".into(), self.reason.clone().into());
        }
        if let (Some(details), Some(map)) = (&self.details, status.as_object_mut()) {
            map.insert("details".into(), details.clone());
        }
        status
    }
}

/// One broken rule of an object, with the path of the field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FieldError {
    reason: &'static str,
    path: String,
    body: String,
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.body)
    }
}

impl FieldError {
    pub(crate) fn required(path: impl Into<String>, detail: &str) -> Self {
        let body = if detail.is_empty() {
            "Required value".to_owned()
        } else {
            format!("Required value: {detail}")
        };
        Self::with("FieldValueRequired", path, body)
    }

    pub(crate) fn invalid(path: impl Into<String>, value: &Value, detail: &str) -> Self {
        let body = format!("Invalid value: {}: {detail}", shown(value));
        Self::with("FieldValueInvalid", path, body)
    }

    pub(crate) fn wrong_type(path: impl Into<String>, value: &Value, detail: &str) -> Self {
        let body = format!("Invalid value: {}: {detail}", shown(value));
        Self::with("FieldValueTypeInvalid", path, body)
    }

    pub(crate) fn unsupported(path: impl Into<String>, value: &Value, allowed: &[Value]) -> Self {
        let allowed: Vec<String> = allowed.iter().map(shown).collect();
        let body = format!(
            "Unsupported value: {}: supported values: {}",
            shown(value),
            allowed.join(", ")
        );
        Self::with("FieldValueNotSupported", path, body)
    }

    pub(crate) fn duplicate(path: impl Into<String>, value: &Value) -> Self {
        let body = format!("Duplicate value: {}", shown(value));
        Self::with("FieldValueDuplicate", path, body)
    }

    pub(crate) fn too_long(path: impl Into<String>, limit: u64) -> Self {
        let body = format!("Too long: may not be more than {limit} bytes");
        Self::with("FieldValueTooLong", path, body)
    }

    pub(crate) fn too_many(path: impl Into<String>, count: usize, limit: u64) -> Self {
        let body = format!("Too many: {count}: must have at most {limit} items");
        Self::with("FieldValueTooMany", path, body)
    }

    pub(crate) fn forbidden(path: impl Into<String>, detail: &str) -> Self {
        Self::with("FieldValueForbidden", path, format!("Forbidden: {detail}"))
    }

    fn with(reason: &'static str, path: impl Into<String>, body: String) -> Self {
        Self { reason, path: path.into(), body }
    }

    fn cause(&self) -> Value {
        json!({ "reason": self.reason, "message": self.body, "field": self.path })
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        other => other.to_string(),
    }
}
