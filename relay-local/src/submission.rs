//! What is to be run, and how.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use relay_core::Value;
use relay_model::annotation;
use relay_model::tekton::APPROVAL;
use relay_model::v1beta1::{
    Answer, Run, RunSpec, RunState, Tenant, TenantSpec, Workflow, WorkflowReference,
};
use relay_model::workflow_file::{ResourceSet, WorkflowFile};

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Submission {
    pub(crate) tenant: Tenant,
    pub(crate) workflow: Workflow,
    pub(crate) run: Run,
}

/// How long things may take (`design.md` decision 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The run; for ever where nothing is said.
    pub run: Option<SignedDuration>,
    /// Each step; for ever where nothing is said.
    pub step: Option<SignedDuration>,
    /// An approval, until it is over without an answer. Where nothing is said it is over at once:
    /// nobody is asked on behalf of a program.
    pub approval: Option<SignedDuration>,
}

impl Submission {
    /// The workflow of a file, with these values of its parameters. A file that holds resources is
    /// submitted as it is, with the values given here winning over those of its Run.
    #[must_use]
    pub fn new(file: &WorkflowFile, parameters: BTreeMap<String, Value>) -> Self {
        if let Some(set) = file.resources.as_deref() {
            return Self::of_resources(set, parameters);
        }
        let workflow = file.convert(None).workflow;
        let tenant = Tenant::new(&workflow.spec.tenant_ref.name, TenantSpec::default());
        let workflow_name = workflow.metadata.name.clone().unwrap_or_default();
        let name = relay_model::name::object_name(&format!("{workflow_name}-1"));
        let spec = RunSpec {
            workflow_ref: WorkflowReference { name: workflow_name },
            parameters,
            state: RunState::default(),
        };
        let run = Run::new(&name, spec);
        Self { tenant, workflow, run }.with_limits(Limits::default())
    }

    fn of_resources(set: &ResourceSet, parameters: BTreeMap<String, Value>) -> Self {
        let mut workflow = set.workflow.clone();
        let tenant_name = workflow.spec.tenant_ref.name.clone();
        let mut tenant =
            set.tenant.clone().unwrap_or_else(|| Tenant::new(&tenant_name, TenantSpec::default()));
        let workflow_name = workflow.metadata.name.clone().unwrap_or_default();
        let mut run = set.run.clone().unwrap_or_else(|| {
            let name = relay_model::name::object_name(&format!("{workflow_name}-1"));
            let workflow_ref = WorkflowReference { name: workflow_name };
            Run::new(&name, RunSpec { workflow_ref, ..RunSpec::default() })
        });
        run.spec.parameters.extend(parameters);
        // There is one namespace here.
        tenant.metadata.namespace = None;
        workflow.metadata.namespace = None;
        run.metadata.namespace = None;
        Self { tenant, workflow, run }.with_limits(Limits::default())
    }

    /// With these limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        let annotations = self.run.metadata.annotations.get_or_insert_default();
        for (key, limit) in [
            (annotation::TIMEOUT, limits.run),
            (annotation::STEP_TIMEOUT, limits.step),
            (annotation::APPROVAL_TIMEOUT, Some(limits.approval.unwrap_or_default())),
        ] {
            match limit {
                Some(limit) => annotations.insert(key.to_owned(), format!("{limit:#}")),
                None => annotations.remove(key),
            };
        }
        self
    }

    /// With an answer to an approval, given before it is asked for.
    #[must_use]
    pub fn with_answer(mut self, step: &str, answer: Answer) -> Self {
        let state = self.run.spec.state.steps.entry(step.to_owned()).or_default();
        state.insert(APPROVAL.to_owned(), answer.as_str().into());
        self
    }
}
