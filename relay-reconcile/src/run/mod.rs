//! Run: a workflow in execution (`operator.md` §6 and §7, `design.md` decisions 3 and 4).
//!
//! # Expected flow
//!
//! 1. The workflow and its tenant are there: the workflow is copied into `RUN-immutable`, which
//!    owns everything else; from then on, edits of the workflow do not reach the run.
//!    Registries are asked, beside the reconciles, what those images run whose steps name no program.
//! 2. `RUN-mutable` is made, and a PipelineRun with a task for each step and a gate, a custom task,
//!    in front of each step that has to wait for something.
//! 3. Tekton, or the embedded executor, carries it out. Gates are decided here when their turn
//!    comes.
//! 4. Status is computed from gates, TaskRuns and what steps reported, until all steps have ended.
//!
//! # Guarantees
//!
//! A run that has ended stays as it is. Objects are made once. A step whose gate says `skip` never
//! gets a pod. Every run ends, also when its pods never start or its PipelineRun is deleted.
//!
//! # Assumptions
//!
//! One operator at a time works on a run. Whoever carries out the PipelineRun keeps to Tekton's
//! semantics of `runAfter`, `when` and `onError`.
//!
//! # Caveats
//!
//! A PipelineRun that is deleted under an unfinished run is not made again: steps would run twice.
//!
//! A tenant takes the rights in its runs' namespace with it. A run that is deleted after that is let
//! go: its objects go with the namespace that was made for the tenant, or, in the run's own
//! namespace, with the run, which owns `RUN-immutable` there.
//!
//! # Errors
//!
//! Failed calls are tried again with back-off. What cannot succeed by trying again, such as a
//! workflow with a cycle, ends the run with a condition that says so.

mod apply;
mod bell;
mod children;
mod controller;
mod cut;
mod gate;
mod graph;
mod intake;
mod objects;
mod observe;
mod pipeline;
mod plan;
mod program;
mod progress;
mod reconcile;
mod report;
mod snapshot;
mod start;
mod status;
mod task;
mod token;

pub use controller::controller;
pub use progress::{GateDecision, TaskEnding};
pub(crate) use reconcile::RETRYING;
pub use reconcile::{Reconciler, reconcile};
