//! Conditions as Tekton and Knative write them: all but type and status may be missing.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};

use crate::v1beta1::ConditionStatus;

/// A condition of a Tekton or Knative object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// When it changed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    /// Why, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Condition {
    /// The condition `Succeeded`: true, false, or not known yet.
    #[must_use]
    pub fn succeeded(known: Option<bool>, reason: &str, message: &str, now: Timestamp) -> Self {
        Self {
            kind: "Succeeded".to_owned(),
            status: known.into(),
            last_transition_time: Some(Time(now)),
            reason: Some(reason.to_owned()),
            message: (!message.is_empty()).then(|| message.to_owned()),
        }
    }

    /// The condition `Succeeded` of a list.
    #[must_use]
    pub fn of(conditions: &[Self]) -> Option<&Self> {
        conditions.iter().find(|condition| condition.kind == "Succeeded")
    }

    /// Whether the condition `Succeeded` of a list says that the work is done.
    #[must_use]
    pub fn is_done(conditions: &[Self]) -> bool {
        Self::of(conditions).is_some_and(|condition| condition.status != ConditionStatus::Unknown)
    }
}
