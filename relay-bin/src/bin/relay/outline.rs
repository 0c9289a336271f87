//! What is shown of a workflow that runs.

use relay_core::Value;
use relay_model::annotation;
use relay_model::v1beta1::{Run, Workflow};
use relay_model::workflow_file::{StepAction, WorkflowFile};

/// What is shown of a workflow that runs.
#[derive(Clone, Debug)]
pub(crate) struct Outline {
    /// The name of its file.
    pub(crate) file: String,
    /// The steps, each behind all that it waits for.
    pub(crate) steps: Vec<Step>,
}

/// What is shown of a step.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) name: String,
    /// The steps that it waits for.
    pub(crate) waits_for: Vec<String>,
    /// The line of the file; 0 where it has none.
    pub(crate) line: usize,
    /// What an approval asks.
    pub(crate) question: Option<String>,
}

impl Outline {
    pub(crate) fn new(workflow: &WorkflowFile, file: String) -> Self {
        let steps = workflow.in_order().into_iter().map(|step| Step {
            name: step.name.clone(),
            waits_for: step.dependencies.iter().map(|edge| edge.step.clone()).collect(),
            line: step.location.line,
            question: (step.action == StepAction::Approval)
                .then(|| step.description.clone().unwrap_or_default()),
        });
        Self { file, steps: steps.collect() }
    }

    /// Of a workflow in a cluster.
    pub(crate) fn of_workflow(workflow: &Workflow) -> Self {
        let annotations = workflow.metadata.annotations.as_ref();
        let descriptions = annotations.and_then(|known| known.get(annotation::STEP_DESCRIPTIONS));
        let descriptions = descriptions.and_then(|text| Value::from_json(text).ok());
        let description = |name: &str| descriptions.as_ref()?.get(name)?.as_str();
        let steps = workflow.spec.steps.iter().map(|step| Step {
            name: step.name.clone(),
            waits_for: step.depends_on.clone(),
            line: 0,
            question: step
                .is_approval()
                .then(|| description(&step.name).unwrap_or_default().to_owned()),
        });
        Self { file: String::new(), steps: steps.collect() }
    }

    /// Of a run whose workflow is gone.
    pub(crate) fn of_status(run: &Run) -> Self {
        let steps = run.status.iter().flat_map(|status| &status.steps);
        let steps = steps.map(|step| Step {
            name: step.name.clone(),
            waits_for: Vec::new(),
            line: 0,
            question: None,
        });
        Self { file: String::new(), steps: steps.collect() }
    }

    fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.name == name)
    }

    /// What an approval asks.
    pub(crate) fn question(&self, step: &str) -> Option<&str> {
        self.step(step)?.question.as_deref()
    }

    /// Where a step is written: `FILE:LINE`.
    pub(crate) fn place(&self, step: &str) -> String {
        match self.step(step) {
            Some(step) if step.line > 0 => format!("{}:{}", self.file, step.line),
            _ => self.file.clone(),
        }
    }
}
