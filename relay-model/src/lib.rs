//! The documents of Relay: custom resources, the workflow file, the few Tekton types in use, and
//! the conversion between them. Types and pure functions only; nothing here talks to anybody.
//!
//! ```
//! use relay_model::workflow_file::WorkflowFile;
//!
//! let text = r#"
//! parameters:
//!   name: {default: world}
//! steps:
//! - name: reply
//!   image: alpine
//!   spec: {text: !Output [greet, text]}
//!   input: ["ni get -p '{.text}'"]
//! - name: greet
//!   image: alpine
//!   spec: {name: "${parameters.name}"}
//!   input: ["ni output set -k text -v \"Hello, $(ni get -p '{.name}')\""]
//! "#;
//! let file = WorkflowFile::parse(text, "hello").file.ok_or("no workflow")?;
//! let workflow = file.convert(None).workflow;
//! // Using an output makes a dependency.
//! assert_eq!(workflow.spec.steps[0].depends_on, ["greet"]);
//! # Ok::<(), &'static str>(())
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`v1beta1`] | the custom resources Run, Tenant, Workflow, WebhookTrigger |
//! | [`triggers`] | what starts workflows beside webhooks: `triggers.relay.sh/v1alpha1` |
//! | [`workflow_file`] | the file form, its findings, and its conversion |
//! | [`schedule`] | cron lines, and when they fire |
//! | [`tekton`] | PipelineRun, TaskRun, CustomRun, and the gates made of the latter |
//! | [`knative_condition`] | conditions as Tekton and Knative write them |
//! | [`annotation`] | names of labels, annotations and finalizers |
//! | [`definitions`] | all custom resources, as an API server is told of them |
//! | [`name`] | names of objects that belong to others |

pub mod annotation;
pub mod definitions;
pub mod knative_condition;
pub mod name;
pub mod schedule;
pub mod tekton;
pub mod triggers;
pub mod v1beta1;
pub mod workflow_file;
