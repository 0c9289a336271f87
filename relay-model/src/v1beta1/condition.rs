use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It cannot be said yet.
    Unknown,
}

impl From<Option<bool>> for ConditionStatus {
    fn from(known: Option<bool>) -> Self {
        match known {
            Some(true) => Self::True,
            Some(false) => Self::False,
            None => Self::Unknown,
        }
    }
}

/// A condition of an object or a step (`operator.md` §3.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// When status, reason or message changed last.
    pub last_transition_time: Time,
    /// Why, in one word for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Condition {
    /// A condition that changed now, without reason and message. Stored times have no fractions of
    /// seconds, so neither has this.
    pub fn new(kind: &str, status: impl Into<ConditionStatus>, now: Timestamp) -> Self {
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Self {
            kind: kind.to_owned(),
            status: status.into(),
            last_transition_time: Time(now),
            reason: None,
            message: None,
        }
    }

    /// With a reason and a message; empty ones are left out.
    #[must_use]
    pub fn because(mut self, reason: &str, message: &str) -> Self {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        self.reason = given(reason);
        self.message = given(message);
        self
    }

    /// Whether it holds.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.status == ConditionStatus::True
    }

    /// The condition of this type in a list.
    #[must_use]
    pub fn find<'c>(conditions: &'c [Self], kind: &str) -> Option<&'c Self> {
        conditions.iter().find(|condition| condition.kind == kind)
    }

    /// Takes over the transition time of the stored condition where nothing else differs.
    #[must_use]
    pub fn keeping_time_of(mut self, stored: &[Self]) -> Self {
        if let Some(stored) = Self::find(stored, &self.kind)
            && (stored.status, &stored.reason, &stored.message)
                == (self.status, &self.reason, &self.message)
        {
            self.last_transition_time = stored.last_transition_time.clone();
        }
        self
    }
}
