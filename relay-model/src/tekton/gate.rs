use serde::{Deserialize, Serialize};

/// The API version of gates, which are custom tasks that the operator carries out.
pub const GATE_API_VERSION: &str = "relay.sh/v1beta1";
/// Their kind.
pub const GATE_KIND: &str = "Gate";
/// The result that says whether the step runs.
pub const RESULT_DECISION: &str = "decision";
/// The result that says why.
pub const RESULT_REASON: &str = "reason";
/// The name of the answer that an approval waits for.
pub const APPROVAL: &str = "approval";

/// What a gate is given: which step it guards. Everything else is in the snapshot of the workflow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateSpec {
    /// The step's name.
    pub step: String,
}

/// What a gate decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The step runs.
    Run,
    /// It does not.
    Skip,
}

impl Decision {
    /// The value of the result.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Skip => "skip",
        }
    }
}

/// Why a gate decided so (`design.md` decision 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateReason {
    /// All conditions hold.
    Satisfied,
    /// A condition that the author wrote does not hold.
    ConditionFalse,
    /// A step that has to succeed did not.
    DependencyNotSucceeded,
    /// A condition is no boolean, or cannot be evaluated.
    EvaluationError,
    /// A condition needs an output that its step did not set.
    OutputMissing,
    /// An approval was rejected.
    Rejected,
    /// An approval was not answered in time.
    Expired,
}

impl GateReason {
    const ALL: [Self; 7] = [
        Self::Satisfied,
        Self::ConditionFalse,
        Self::DependencyNotSucceeded,
        Self::EvaluationError,
        Self::OutputMissing,
        Self::Rejected,
        Self::Expired,
    ];

    /// The value of the result.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Satisfied => "Satisfied",
            Self::ConditionFalse => "ConditionFalse",
            Self::DependencyNotSucceeded => "DependencyNotSucceeded",
            Self::EvaluationError => "EvaluationError",
            Self::OutputMissing => "OutputMissing",
            Self::Rejected => "Rejected",
            Self::Expired => "Expired",
        }
    }

    /// The reason of this value.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }

    /// What it means for the step.
    #[must_use]
    pub fn decision(self) -> Decision {
        if self == Self::Satisfied { Decision::Run } else { Decision::Skip }
    }
}
