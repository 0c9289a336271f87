//! What people ask of workflows and runs: to start, an answer, an end (`operator.md` §3.4 and §6.3).

use std::collections::BTreeMap;

use relay_core::Value;
use serde_json::json;

use super::{Condition, Run, RunSpec, RunState, StepStatus, Workflow, WorkflowReference};
use crate::tekton::APPROVAL;
use crate::workflow_file::suggestion;

/// An answer to an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Its dependents go on.
    Approved,
    /// They are skipped.
    Rejected,
}

impl Answer {
    /// The value of the answer.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }

    /// The merge patch of a Run with this answer for a step.
    #[must_use]
    pub fn patch(self, step: &str) -> serde_json::Value {
        json!({"spec": {"state": {"steps": {step: {APPROVAL: self.as_str()}}}}})
    }
}

/// The merge patch that cancels a Run.
#[must_use]
pub fn cancel_patch() -> serde_json::Value {
    json!({"spec": {"state": {"workflow": {"cancel": true}}}})
}

/// Something that cannot be asked of a run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// It is over.
    #[error("run {0:?} has ended already")]
    RunEnded(String),
    /// The step is over.
    #[error("step {step:?} of run {run:?} has ended already: {how}")]
    StepEnded {
        /// The run.
        run: String,
        /// The step.
        step: String,
        /// How, in a word.
        how: String,
    },
    /// There is no such step.
    #[error("run {run:?} has no step {step:?}{hint}")]
    NoStep {
        /// The run.
        run: String,
        /// The step.
        step: String,
        /// What may be meant.
        hint: String,
    },
    /// The step asks nothing.
    #[error("step {step:?} of run {run:?} asks nothing: {known}")]
    NoApproval {
        /// The run.
        run: String,
        /// The step.
        step: String,
        /// Which steps do.
        known: String,
    },
}

impl Run {
    /// The merge patch that answers an approval, also one that has not been reached yet. `workflow` is
    /// the run's, where it is still there: it tells approvals from other steps.
    ///
    /// # Errors
    ///
    /// [`RequestError`], when there is nothing to answer.
    pub fn answer(
        &self,
        workflow: Option<&Workflow>,
        step: &str,
        answer: Answer,
    ) -> Result<serde_json::Value, RequestError> {
        let (run, step) = (self.open()?, step.to_owned());
        let known = self.status.as_ref().map(|status| status.steps.as_slice()).unwrap_or_default();
        let planned = workflow.map(|known| known.spec.steps.as_slice()).unwrap_or_default();
        let status = known.iter().find(|known| known.name == step);
        let plan = planned.iter().find(|known| known.name == step);
        if let Some(how) = status.and_then(ended) {
            return Err(RequestError::StepEnded { run, step, how });
        }
        // A run goes by the workflow as it was when it began.
        if status.is_none() && (plan.is_none() || !known.is_empty()) {
            let planned = planned.iter().filter(|_| known.is_empty());
            let names = known.iter().map(|step| step.name.as_str());
            let hint = suggestion(&step, names.chain(planned.map(|step| step.name.as_str())));
            return Err(RequestError::NoStep { run, step, hint });
        }
        let asks = status.is_some_and(StepStatus::waits_for_approval);
        if !asks && plan.is_some_and(|plan| !plan.is_approval()) {
            let approvals = planned.iter().filter(|step| step.is_approval());
            let names: Vec<_> = approvals.map(|step| step.name.as_str()).collect();
            let known = match names.as_slice() {
                [] => "its workflow has no approvals".to_owned(),
                names => format!("the approvals of its workflow are {}", names.join(", ")),
            };
            return Err(RequestError::NoApproval { run, step, known });
        }
        Ok(answer.patch(&step))
    }

    /// The merge patch that cancels the run.
    ///
    /// # Errors
    ///
    /// [`RequestError::RunEnded`].
    pub fn cancel(&self) -> Result<serde_json::Value, RequestError> {
        self.open().map(|_| cancel_patch())
    }

    /// The name of a run that goes on.
    fn open(&self) -> Result<String, RequestError> {
        let name = self.metadata.name.clone().unwrap_or_default();
        match &self.status {
            Some(status) if status.is_completed() => Err(RequestError::RunEnded(name)),
            _ => Ok(name),
        }
    }
}

impl StepStatus {
    /// Whether somebody has to answer now.
    #[must_use]
    pub fn waits_for_approval(&self) -> bool {
        let completed = self.condition("Completed");
        completed.and_then(|condition| condition.reason.as_deref()) == Some("WaitingForApproval")
    }
}

/// How a step ended, if it did.
fn ended(step: &StepStatus) -> Option<String> {
    let is = |kind| step.condition(kind).is_some_and(Condition::is_true);
    if !is("Completed") {
        return None;
    }
    let reason = step.condition("Succeeded").and_then(|condition| condition.reason.clone());
    Some(reason.unwrap_or_else(|| if is("Succeeded") { "Succeeded" } else { "Failed" }.to_owned()))
}

impl Workflow {
    /// A run of this workflow, which gets its name from the API server.
    #[must_use]
    pub fn start(&self, parameters: BTreeMap<String, Value>) -> Run {
        let name = self.metadata.name.clone().unwrap_or_default();
        let mut run = Run::new(
            "",
            RunSpec {
                workflow_ref: WorkflowReference { name: name.clone() },
                parameters,
                state: RunState::default(),
            },
        );
        run.metadata.name = None;
        run.metadata.generate_name = Some(format!("{name}-"));
        run.metadata.namespace.clone_from(&self.metadata.namespace);
        run
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::v1beta1::{RunStatus, Step, WorkflowSpec};

    fn workflow() -> Workflow {
        let step = |name: &str, image: &str| {
            let mut step = Step { name: name.to_owned(), ..Step::default() };
            step.container.image = image.to_owned();
            step
        };
        let steps = vec![step("build", "x"), step("ask", ""), step("later", "")];
        Workflow::new(
            "w",
            WorkflowSpec { tenant_ref: Default::default(), parameters: Vec::new(), steps },
        )
    }

    /// Each step with what is the matter with it.
    fn run(steps: &[(&str, &str)], is_over: bool) -> Run {
        let condition = |kind, is| Condition::new(kind, is, Timestamp::UNIX_EPOCH);
        let steps = steps.iter().map(|(name, state)| StepStatus {
            name: (*name).to_owned(),
            conditions: match *state {
                "waits" => Vec::new(),
                "asks" => vec![condition("Completed", None).because("WaitingForApproval", "")],
                reason => vec![
                    condition("Completed", Some(true)),
                    condition("Succeeded", Some(false)).because(reason, ""),
                ],
            },
            ..StepStatus::default()
        });
        let mut run = Run::new("w-1", RunSpec::default());
        run.status = Some(RunStatus {
            conditions: vec![condition("Completed", Some(is_over))],
            steps: steps.collect(),
            ..RunStatus::default()
        });
        run
    }

    #[test]
    fn answers() {
        let steps = [("build", "waits"), ("ask", "asks"), ("later", "waits"), ("no", "Rejected")];
        let patch =
            |step: &str| json!({"spec": {"state": {"steps": {step: {"approval": "approved"}}}}});
        for (name, steps, is_over, workflow, step, expected) in [
            ("asked", &steps[..], false, Some(workflow()), "ask", Ok(patch("ask"))),
            ("asked, the workflow is gone", &steps, false, None, "ask", Ok(patch("ask"))),
            ("not asked yet", &steps, false, Some(workflow()), "later", Ok(patch("later"))),
            ("not begun yet", &[], false, Some(workflow()), "later", Ok(patch("later"))),
            ("over", &steps, true, None, "ask", Err("run \"w-1\" has ended already")),
            (
                "answered",
                &steps,
                false,
                None,
                "no",
                Err("step \"no\" of run \"w-1\" has ended already: Rejected"),
            ),
            (
                "no approval",
                &steps,
                false,
                Some(workflow()),
                "build",
                Err(
                    "step \"build\" of run \"w-1\" asks nothing: the approvals of its workflow are \
                     ask, later",
                ),
            ),
            (
                "no step",
                &steps,
                false,
                Some(workflow()),
                "aks",
                Err("run \"w-1\" has no step \"aks\"; did you mean \"ask\"?"),
            ),
            (
                "a step of the workflow as it is now",
                &steps[..1],
                false,
                Some(workflow()),
                "ask",
                Err("run \"w-1\" has no step \"ask\""),
            ),
        ] {
            let answer = run(steps, is_over).answer(workflow.as_ref(), step, Answer::Approved);
            assert_eq!(
                answer.map_err(|error| error.to_string()),
                expected.map_err(str::to_owned),
                "{name}"
            );
        }
    }

    #[test]
    fn starting_and_cancelling() {
        let mut started = workflow().start([("p".to_owned(), Value::from(1))].into());
        assert_eq!(started.metadata.generate_name.as_deref(), Some("w-"));
        assert_eq!(
            (started.metadata.name.clone(), started.spec.workflow_ref.name.as_str()),
            (None, "w")
        );
        let patch = started.cancel().unwrap();
        assert_eq!(patch, json!({"spec": {"state": {"workflow": {"cancel": true}}}}));
        started.spec = serde_json::from_value({
            let mut spec = json!(started.spec);
            spec["state"] = patch["spec"]["state"].clone();
            spec
        })
        .unwrap();
        assert!(started.spec.is_cancelled());
        assert!(run(&[], true).cancel().is_err());
    }
}
