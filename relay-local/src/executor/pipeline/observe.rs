//! What the objects of a pipeline tell.

use jiff::Timestamp;
use kube::api::ObjectMeta;
use relay_model::knative_condition::Condition;
use relay_model::tekton::{
    CUSTOM_CANCELLED, ChildReference, CustomRun, PIPELINE_TASK_LABEL, TaskRun,
};
use relay_model::v1beta1::ConditionStatus;

use super::child::{custom_reference, task_reference};
use super::schedule::{Outcome, Verdict};
use crate::executor::changes::Identity;

/// News for the one who conducts a PipelineRun.
#[derive(Debug)]
pub(super) enum News {
    /// A child is there, or has changed.
    Child(Seen),
    /// A child was taken away.
    ChildGone { kind: &'static str, name: String },
    /// Somebody wants the PipelineRun to end.
    Cancelled,
    /// The PipelineRun was taken away, or is about to be.
    Gone,
}

/// A child as it is now.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) task: String,
    pub(super) child: ChildReference,
    /// When it was taken up, if it was.
    pub(super) started: Option<Timestamp>,
    /// How it ended, if it did.
    pub(super) ended: Option<Outcome>,
}

impl Seen {
    pub(super) fn task_run(run: &TaskRun) -> Self {
        let status = run.status.as_ref();
        let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
        let verdict = verdict(conditions, |condition| {
            condition.reason.as_deref() == Some(crate::executor::REASON_CANCELLED)
        });
        Self {
            task: task(&run.metadata),
            child: task_reference(&run.metadata),
            started: status.and_then(|status| Some(status.start_time.as_ref()?.0)),
            ended: verdict.map(|verdict| Outcome { verdict, results: Vec::new() }),
        }
    }

    pub(super) fn custom_run(run: &CustomRun) -> Self {
        let status = run.status.as_ref();
        let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
        let verdict = verdict(conditions, |_| run.spec.status.as_deref() == Some(CUSTOM_CANCELLED));
        Self {
            task: task(&run.metadata),
            child: custom_reference(&run.metadata),
            started: status.and_then(|status| Some(status.start_time.as_ref()?.0)),
            ended: verdict.map(|verdict| Outcome {
                verdict,
                results: status.map(|status| status.results.clone()).unwrap_or_default(),
            }),
        }
    }
}

/// The UID of the PipelineRun that a child belongs to.
pub(super) fn owner(identity: &Identity) -> Option<&str> {
    let owner = identity.controller.as_ref()?;
    (owner.kind == "PipelineRun" && owner.api_version.starts_with("tekton.dev/"))
        .then_some(owner.uid.as_str())
}

fn task(metadata: &ObjectMeta) -> String {
    let labels = metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(PIPELINE_TASK_LABEL)).cloned().unwrap_or_default()
}

fn verdict(conditions: &[Condition], is_cancelled: impl Fn(&Condition) -> bool) -> Option<Verdict> {
    let condition = Condition::of(conditions)?;
    match condition.status {
        ConditionStatus::Unknown => None,
        ConditionStatus::True => Some(Verdict::Succeeded),
        ConditionStatus::False if is_cancelled(condition) => Some(Verdict::Cancelled),
        ConditionStatus::False => Some(Verdict::Failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn verdicts() {
        for (status, reason, asked, expected) in [
            ("Unknown", "Running", None, None),
            ("True", "Succeeded", None, Some(Verdict::Succeeded)),
            ("False", "Failed", None, Some(Verdict::Failed)),
            ("False", "FailureIgnored", None, Some(Verdict::Failed)),
            ("False", "TaskRunTimeout", None, Some(Verdict::Failed)),
            ("False", "TaskRunCancelled", Some("TaskRunCancelled"), Some(Verdict::Cancelled)),
        ] {
            let conditions = json!([{"type": "Succeeded", "status": status, "reason": reason}]);
            let run: TaskRun = serde_json::from_value(json!({
                "metadata": {"name": "r-t", "labels": {"tekton.dev/pipelineTask": "t"}},
                "spec": {"status": asked},
                "status": {"conditions": conditions},
            }))
            .unwrap();
            let seen = Seen::task_run(&run);
            assert_eq!((seen.task.as_str(), seen.child.name.as_str()), ("t", "r-t"));
            assert_eq!(seen.ended.map(|outcome| outcome.verdict), expected);
        }
        let run: CustomRun = serde_json::from_value(json!({
            "metadata": {"name": "r-g"},
            "spec": {"status": "RunCancelled"},
            "status": {
                "conditions": [{"type": "Succeeded", "status": "False"}],
                "results": [{"name": "decision", "value": "run"}],
            },
        }))
        .unwrap();
        let outcome = Seen::custom_run(&run).ended.unwrap();
        assert_eq!(outcome.verdict, Verdict::Cancelled);
        assert_eq!(outcome.results[0].value, "run");
    }
}
