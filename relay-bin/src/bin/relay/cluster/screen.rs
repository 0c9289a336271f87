//! A run of a cluster on the screen.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt as _;
use relay_local::{Event, EventKind, Phase};
use relay_model::v1beta1::{Run, RunStatus, Workflow};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::follow::{Followed, Follower, Shown, Told};
use super::{Cluster, Problem};
use crate::advice::cluster_advice;
use crate::outline::Outline;
use crate::screen::{Message, Screen, Terminal};
use crate::signals::Signals;
use crate::summary::{Summary, Times};
use crate::{Globals, print};

const TICK: Duration = Duration::from_millis(100);
/// Somebody did not want to see the end.
const LEFT: u8 = 130;

/// Shows a run until it has ended; what became of it, unless somebody left before.
async fn watch(
    cluster: &Cluster,
    run: &Run,
    workflow: Option<&Workflow>,
    shown: Shown,
    terminal: Terminal,
    globals: Globals,
) -> Result<Option<(RunStatus, Times, io::Result<()>)>, Problem> {
    let failed = |error: &dyn std::error::Error| Problem::Failed {
        doing: "listen to signals".to_owned(),
        why: error.to_string(),
    };
    let mut signals = Signals::new().map_err(|error| failed(&error))?;
    let outline = match workflow {
        Some(workflow) => Outline::of_workflow(workflow),
        None => Outline::of_status(run),
    };
    let screen = Screen::new(&outline, globals.out, terminal);
    let (follower, mut events) = Follower::new(cluster, run, workflow, shown);
    let following = tokio::spawn(follower.run());
    let mut times = Times::default();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let is_left = loop {
        tokio::select! {
            event = next(&mut events, screen.messages()) => match event {
                Some((Told::Event(event), room)) => {
                    times.see(&event);
                    room.send(Message::Event(event));
                }
                Some((Told::Note(note), room)) => room.send(Message::Note(note)),
                None => break false,
            },
            _ = signals.next() => break true,
            () = screen.messages().closed() => break false,
            _ = tick.tick() => drop(screen.messages().try_send(Message::Tick)),
        }
    };
    drop(events);
    if is_left {
        following.abort();
        drop(tokio::time::timeout(Duration::from_millis(500), screen.close()).await);
        return Ok(None);
    }
    let written = screen.close().await;
    if written.is_err() {
        following.abort();
    }
    match following.await {
        Ok(followed) => {
            let Followed { status, unread } = followed?;
            unread.iter().for_each(|what| print::note(what));
            Ok(Some((status, times, written)))
        }
        Err(_) => Ok(Some((run.status.clone().unwrap_or_default(), times, written))),
    }
}

/// What is told next, and room for it on the screen.
async fn next<'m>(
    events: &mut mpsc::Receiver<Told>,
    messages: &'m mpsc::Sender<Message>,
) -> Option<(Told, mpsc::Permit<'m, Message>)> {
    let room = messages.reserve().await.ok()?;
    Some((events.recv().await?, room))
}

/// Shows a run until it has ended, and then what became of it; the exit code.
pub(super) async fn to_the_end(
    cluster: &Cluster,
    run: &Run,
    workflow: Option<&Workflow>,
    shown: Shown,
    globals: Globals,
) -> Result<u8, Problem> {
    let name = run.name_any();
    let terminal = Terminal::detect(globals.out, globals.talks());
    let watched = watch(cluster, run, workflow, shown, terminal, globals).await?;
    let Some((status, times, written)) = watched else {
        print::note(&format!("run {name} goes on; to end it: relay cancel {name}"));
        return Ok(LEFT);
    };
    let phase = Phase::of(&status);
    let Some(outcome) = phase.outcome() else {
        return Ok(print::unwritten(written.err()).unwrap_or(0));
    };
    let summary = Summary { phase, status: &status, times: &times };
    let last = EventKind::Finished { outcome, message: String::new() };
    let last = print::event_json(&Event::new(Timestamp::now(), name.as_str(), last));
    let told = summary.print(&name, &cluster_advice(&name), terminal.stderr, globals.out, last);
    Ok(print::unwritten(written.err().or(told.err())).unwrap_or(outcome.exit_code()))
}

/// Shows the logs of a run that goes on; the exit code.
pub(super) async fn logs(
    cluster: &Cluster,
    run: &Run,
    workflow: Option<&Workflow>,
    step: Option<String>,
    globals: Globals,
) -> Result<u8, Problem> {
    let terminal = Terminal { live: false, ..Terminal::detect(globals.out, globals.talks()) };
    let shown = Shown::Logs(step);
    let watched = watch(cluster, run, workflow, shown, terminal, globals).await?;
    Ok(watched.map_or(LEFT, |(_, _, written)| print::unwritten(written.err()).unwrap_or(0)))
}
