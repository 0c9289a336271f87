//! Taking in what a watch tells of runs.

use kube::runtime::events::EventType;
use kube::runtime::watcher::Event;
use relay_model::v1beta1::{Run, RunSpec, RunStatus};
use tracing::warn;

use super::report;
use super::status::Written;
use crate::telemetry::News;
use crate::unread::Unread;
use crate::{Context, unread};

/// A run of which there is as much as its reconciles look at: of one that has ended or is being
/// deleted, neither what it was given nor what came of its steps.
fn read(run: &Unread<Run>) -> Result<Run, Box<Refused>> {
    let mut read = Run { metadata: run.metadata.clone(), ..Run::default() };
    match run.status::<RunStatus>() {
        Ok(status) => read.status = status,
        // Whoever wrote that, it is written anew.
        Err(error) => warn!(run = ?read.metadata.name, %error, "a status cannot be read"),
    }
    let ended = read.status.as_mut().filter(|status| report::is_final(status));
    if let Some(status) = ended {
        status.steps = Vec::new();
        return Ok(read);
    }
    if read.metadata.deletion_timestamp.is_some() {
        return Ok(read);
    }
    match run.spec::<RunSpec>() {
        Ok(spec) => Ok(Run { spec, ..read }),
        Err(error) => Err(Box::new(Refused { run: read, error })),
    }
}

/// A run that cannot be read, as far as it can, and why.
struct Refused {
    run: Run,
    error: serde_json::Error,
}

/// What a watch tells, with the run read. One that cannot be read is told so, and left alone.
pub(super) async fn take_in(context: &Context, event: Event<Unread<Run>>) -> Option<Event<Run>> {
    let mut refused = None;
    let read = |run| match read(&run) {
        Ok(run) => Some(run),
        Err(wrong) => {
            refused = Some(wrong);
            None
        }
    };
    let event = unread::read_or_bare(event, read, |metadata| Run { metadata, ..Run::default() });
    if let Some(refused) = refused {
        refuse(context, &refused).await;
    }
    event
}

async fn refuse(context: &Context, Refused { run, error }: &Refused) {
    let note = format!("the run cannot be read: {error}");
    let before = run.status.clone().unwrap_or_default();
    // One that has started goes on as it was read before.
    if before.start_time.is_none() {
        let now = context.clock.now();
        let status = report::ended(run, &before, false, "InvalidRun", &note, now);
        if let Err(error) = Written::new(run, None).write(context, run, status).await {
            warn!(run = ?run.metadata.name, error = error.chain(), "a run cannot be refused");
        }
    }
    let reason = "InvalidRun".to_owned();
    context.telemetry.tell(run, News { type_: EventType::Warning, reason, note });
}
