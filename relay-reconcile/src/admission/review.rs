//! One question of the API server to its answer.

use k8s_openapi::api::core::v1::Pod;
use kube::core::admission::{AdmissionResponse, AdmissionReview, SerializePatchError};
use kube::core::response::Status;
use kube::core::{DynamicObject, TypeMeta};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::PodPolicy;

/// The versions of the question that are understood; the answer has the same.
const VERSIONS: [&str; 2] = ["admission.k8s.io/v1", "admission.k8s.io/v1beta1"];
const KIND: &str = "AdmissionReview";

/// What is answered, and what that means.
#[derive(Clone, Debug)]
pub struct Reviewed {
    /// For the API server.
    pub answer: AdmissionReview<DynamicObject>,
    /// What was decided.
    pub outcome: Outcome,
    /// The pod, as `NAMESPACE/NAME`, for the log; without a name where that is still to be made.
    pub pod: String,
    /// Why the pod is denied.
    pub denied: Option<String>,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Let in as it is.
    Untouched,
    /// Let in with changes.
    Patched,
    /// Denied for what it asks for (code 403).
    Refused,
    /// Denied for not being a pod (code 400).
    Undecodable,
}

impl Outcome {
    /// One word for programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Untouched => "untouched",
            Self::Patched => "patched",
            Self::Refused => "refused",
            Self::Undecodable => "undecodable",
        }
    }
}

/// Why a question cannot be answered at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotAReview {
    /// It is not JSON, or lacks what every review has.
    #[error("this is no AdmissionReview")]
    Unreadable(#[source] serde_json::Error),
    /// The patch cannot be written as JSON.
    #[error("the answer cannot be written")]
    Unanswerable(#[source] SerializePatchError),
    /// It is of a kind or version that is not known.
    #[error("this is no AdmissionReview of v1 or v1beta1 with a request")]
    Unknown,
}

/// The question, as far as it matters. The object is read on its own, since a pod that cannot be
/// read is denied rather than failed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Question<'a> {
    api_version: String,
    kind: String,
    #[serde(borrow)]
    request: Option<Request<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    uid: String,
    operation: String,
    resource: Resource,
    #[serde(default)]
    sub_resource: Option<String>,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    group: String,
    resource: String,
}

impl Request<'_> {
    /// Whether a pod is made, and not something that belongs to one, such as its binding to a node.
    fn creates_pod(&self) -> bool {
        self.operation == "CREATE"
            && self.resource.group.is_empty()
            && self.resource.resource == "pods"
            && self.sub_resource.as_deref().unwrap_or_default().is_empty()
    }
}

/// Answers one question: the body of a request of the API server.
///
/// What does not create a pod is let in untouched. A pod that cannot be read is denied with code
/// 400, one that asks for what [`PodPolicy::enforce`] refuses with code 403; any other one is let
/// in with a JSON Patch, or without where there is nothing to change.
///
/// # Errors
///
/// When the question cannot be read, so that no answer would be understood.
pub fn review(body: &[u8], policy: &PodPolicy) -> Result<Reviewed, NotAReview> {
    let question: Question<'_> = serde_json::from_slice(body).map_err(NotAReview::Unreadable)?;
    let is_known = question.kind == KIND && VERSIONS.contains(&question.api_version.as_str());
    let Some(request) = question.request.filter(|_| is_known) else {
        return Err(NotAReview::Unknown);
    };
    let pod = format!(
        "{}/{}",
        request.namespace.as_deref().unwrap_or_default(),
        request.name.as_deref().unwrap_or_default(),
    );
    let types = TypeMeta { api_version: question.api_version, kind: question.kind };
    let (outcome, mut answer) = decide(&request, policy)?;
    answer.types = types;
    answer.uid = request.uid;
    let denied = (!answer.allowed).then(|| answer.result.message.clone());
    Ok(Reviewed { answer: answer.into_review(), outcome, pod, denied })
}

fn decide(
    request: &Request<'_>,
    policy: &PodPolicy,
) -> Result<(Outcome, AdmissionResponse), NotAReview> {
    if !request.creates_pod() {
        return Ok((Outcome::Untouched, allowed()));
    }
    let text = request.object.map_or("null", RawValue::get);
    let pod: Pod = match serde_json::from_str(text) {
        Ok(pod) => pod,
        Err(error) => {
            let why = format!("the pod cannot be read: {error}");
            return Ok((Outcome::Undecodable, denied(&why, "BadRequest", 400)));
        }
    };
    match policy.enforce(&pod) {
        Err(violations) => {
            Ok((Outcome::Refused, denied(&violations.to_string(), "Forbidden", 403)))
        }
        Ok(patch) if patch.is_empty() => Ok((Outcome::Untouched, allowed())),
        Ok(patch) => {
            Ok((Outcome::Patched, allowed().with_patch(patch).map_err(NotAReview::Unanswerable)?))
        }
    }
}

fn allowed() -> AdmissionResponse {
    let mut answer = AdmissionResponse::invalid("");
    answer.allowed = true;
    answer.result = Status::success().with_code(200);
    answer
}

fn denied(message: &str, reason: &str, code: u16) -> AdmissionResponse {
    let mut answer = AdmissionResponse::invalid("");
    answer.result = Status::failure(message, reason).with_code(code);
    answer
}
