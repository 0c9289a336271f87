//! The workflow file, form `apiVersion: v1` (`workflow-file.md`).
//!
//! [`WorkflowFile::parse`] reads a text and finds everything that is wrong with it in one pass;
//! [`WorkflowFile::convert`](WorkflowFile::convert) turns it into custom resources, and [`render`]
//! shows findings to people.

mod alias;
mod convert;
mod document;
mod drawing;
mod expressions;
mod finding;
mod graph;
mod parameters;
mod reader;
mod render;
mod resources;
mod steps;
mod triggers;

use std::collections::BTreeMap;

use relay_core::expr::{Mention, Reference};
use relay_core::yaml::Location;
use relay_core::{Expression, Value};

pub use convert::{PrintError, Resources};
pub use drawing::Drawing;
pub use finding::{Code, Finding, Level, Related, suggestion};
pub use graph::{Dependency, Origin};
pub use render::{Style, render};
pub use resources::ResourceSet;

/// A workflow as its author wrote it.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct WorkflowFile {
    /// Its name: the file's where none is given.
    pub name: String,
    /// One line about it.
    pub summary: Option<String>,
    /// More about it.
    pub description: Option<String>,
    /// Where to read on.
    pub homepage: Option<String>,
    /// Where the file comes from.
    pub source: Option<String>,
    /// Labels for search.
    pub tags: Vec<String>,
    /// The parameters, by name.
    pub parameters: BTreeMap<String, Parameter>,
    /// The steps in the order of the file, which means nothing.
    pub steps: Vec<Step>,
    /// What starts it.
    pub triggers: Vec<Trigger>,
    /// Whether the file was in the form of resources.
    pub holds_resources: bool,
    /// The resources that are run, where the file holds a Workflow in that form.
    pub resources: Option<Box<ResourceSet>>,
    /// The resources of a file that is in that form, triggers too, as they are written.
    pub documents: Vec<Value>,
}

/// What reading a text came to.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The workflow; `None` when there are errors.
    pub file: Option<WorkflowFile>,
    /// Errors and warnings, in the order of the file.
    pub findings: Vec<Finding>,
}

/// A parameter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameter {
    /// What it is for.
    pub description: Option<String>,
    /// Its value when none is given. `None` says that one has to be given; null is a default.
    pub default: Option<Value>,
    /// Where it is declared.
    pub location: Location,
}

/// A step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub location: Location,
    /// What it is for.
    pub description: Option<String>,
    /// What it does.
    pub action: StepAction,
    /// One condition, or a list of them.
    pub when: Option<Value>,
    /// The steps it waits for, explicit ones first.
    pub dependencies: Vec<Dependency>,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum StepAction {
    /// Runs a container.
    Container(Container),
    /// Waits for an answer.
    Approval,
}

/// What a step or a webhook runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Container {
    /// The image.
    pub image: String,
    /// Lines of a script.
    pub input: Vec<String>,
    /// Where the script is, if it is not in `input`.
    pub input_file: Option<InputFile>,
    /// One executable.
    pub command: Option<String>,
    /// Its arguments.
    pub args: Vec<String>,
    /// What can be read of the specification.
    pub spec: BTreeMap<String, Value>,
    /// Environment variables.
    pub env: BTreeMap<String, Value>,
}

impl Container {
    /// Whether the step runs what its image starts, since it names nothing else.
    #[must_use]
    pub fn runs_image(&self) -> bool {
        self.input.is_empty() && self.input_file.is_none() && self.command.is_none()
    }
}

/// Where a script is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFile {
    /// A URL, or a path relative to the workflow file.
    pub path: String,
    /// Where this is written.
    pub location: Location,
}

/// What starts a workflow.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// Its name.
    pub name: String,
    /// Where events come from.
    pub source: TriggerSource,
    /// The condition on events.
    pub when: Option<Value>,
    /// The expression for the identity of an event.
    pub key: Option<Value>,
    /// Expressions for the parameters of the run.
    pub parameters: BTreeMap<String, Value>,
    /// Where it stands.
    pub location: Location,
}

/// Where events come from.
#[derive(Clone, Debug, PartialEq)]
pub enum TriggerSource {
    /// The clock: a cron line.
    Schedule(String),
    /// HTTP requests, received by a container.
    Webhook(Container),
    /// The API.
    Push,
}

impl WorkflowFile {
    /// Reads a text: a workflow file, or documents that are a Workflow and perhaps its Tenant, a Run
    /// and triggers. `default_name` is the name where the file gives none.
    ///
    /// ```
    /// use relay_model::workflow_file::WorkflowFile;
    ///
    /// let parsed = WorkflowFile::parse("steps:\n- name: a\n  imgae: alpine\n", "demo");
    /// assert!(parsed.file.is_none());
    /// assert_eq!(
    ///     parsed.findings[0].in_file("demo.yaml").to_string(),
    ///     "demo.yaml:3:3: error[unknown-key]: key \"imgae\" of step \"a\" is not known; \
    ///      did you mean \"image\"?",
    /// );
    /// ```
    #[must_use]
    pub fn parse(text: &str, default_name: &str) -> Parsed {
        document::parse(text, default_name)
    }

    /// The step of this name.
    #[must_use]
    pub fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.name == name)
    }

    /// What a step refers to by constant names.
    pub fn references(step: &Step) -> impl Iterator<Item = Reference> {
        let trees = match &step.action {
            StepAction::Container(container) => {
                container.spec.values().chain(container.env.values()).cloned().collect()
            }
            StepAction::Approval => Vec::new(),
        };
        let trees = trees.into_iter().chain(step.when.clone());
        let mentions = trees.flat_map(|tree| Expression::parse(&tree).mentions());
        mentions.filter_map(|mention| match mention {
            Mention::Reference(reference) => Some(reference),
            _ => None,
        })
    }

    /// The scripts that are in files of their own, by step.
    pub fn input_files(&self) -> impl Iterator<Item = (&str, &InputFile)> {
        self.steps.iter().filter_map(|step| match &step.action {
            StepAction::Container(container) => {
                Some((step.name.as_str(), container.input_file.as_ref()?))
            }
            StepAction::Approval => None,
        })
    }

    /// Puts the text of a script in the place of its file.
    pub fn set_input(&mut self, step: &str, text: String) {
        for step in self.steps.iter_mut().filter(|known| known.name == step) {
            if let StepAction::Container(container) = &mut step.action {
                container.input_file = None;
                container.input = vec![text];
                return;
            }
        }
    }
}
