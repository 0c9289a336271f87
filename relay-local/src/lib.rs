//! The embedded engine: workflows on one machine, through the operator's own reconcilers.
//!
//! An [`Engine`] has an API server in memory, the reconcilers of `relay-reconcile`, the metadata
//! API of `relay-metadata` on a port of the loopback interface, and an [`executor`] that runs the
//! steps as processes. What a workflow does here is what it does in a cluster.
//!
//! ```no_run
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use futures::StreamExt as _;
//! use relay_local::{Engine, Submission};
//! use relay_model::workflow_file::WorkflowFile;
//!
//! let text = "steps: [{name: hello, image: any, input: [echo hello]}]";
//! let file = WorkflowFile::parse(text, "demo").file.ok_or("not a workflow")?;
//!
//! let engine = Engine::new("path/to/ni");
//! let mut run = engine.start(Submission::new(&file, Default::default())).await?;
//! while let Some(event) = run.events().next().await {
//!     println!("{event:?}");
//! }
//! println!("{}", run.finish().await?.outcome);
//! # Ok(()) }
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | `engine` | [`Engine`]: puts the parts together, and [`Run`] |
//! | `event` | [`Event`]: what a run says while it goes on |
//! | `mask` | [`Masks`]: secrets do not appear in what is shown |
//! | `narrator` | [`Narrator`]: from statuses and output to events, here and for runs of a cluster |
//! | `outcome` | [`Outcome`]: how a run ended, and [`Phase`]: where it is, as pure functions of its status |
//! | `submission` | [`Submission`]: what is to be run, with its limits and answers |
//! | [`executor`] | PipelineRuns and TaskRuns as processes |

mod engine;
mod event;
pub mod executor;
mod lines;
mod mask;
mod narrator;
mod outcome;
mod second_name;
mod submission;

pub use engine::{Engine, EngineError, Finished, Run};
pub use event::{Event, EventKind, Stream};
pub use mask::Masks;
pub use narrator::Narrator;
pub use outcome::{Outcome, Phase};
pub use relay_model::v1beta1::Answer;
pub use second_name::{NiDirectory, be_ni};
pub use submission::{Limits, Submission};
