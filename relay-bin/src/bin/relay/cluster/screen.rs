//! A run of a cluster on the screen.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt as _;
use relay_local::{Answer, Event, EventKind, Phase};
use relay_model::v1beta1::{Run, RunStatus, Workflow};
use tokio::time::MissedTickBehavior;

use super::follow::{Followed, Follower, Shown, Told};
use super::masks::{Hidden, hidden};
use super::{Cluster, Problem};
use crate::advice::cluster_advice;
use crate::follow::messages;
use crate::outline::Outline;
use crate::questions::{Outcome, Questions, Typed};
use crate::run::asks;
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
    let hidden = match &shown {
        Shown::States => Hidden { masks: Arc::default(), problem: None },
        Shown::All | Shown::Logs(_) => hidden(cluster).await,
    };
    hidden.problem.iter().for_each(|problem| print::note(problem));
    let screen = Screen::new(&outline, globals.out, terminal);
    let (follower, mut events) = Follower::new(cluster, run, workflow, shown, hidden.masks);
    let following = tokio::spawn(follower.run());
    let name = run.name_any();
    let mut answers = Answers::new(cluster, &name, globals, asks());
    let mut times = Times::default();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // What waits for room on the screen. Nothing more is asked of the run until it is empty.
    let mut pending: VecDeque<Message> = VecDeque::new();
    let is_left = loop {
        tokio::select! {
            room = screen.messages().reserve(), if !pending.is_empty() => match room {
                Ok(room) => if let Some(message) = pending.pop_front() {
                    room.send(message);
                },
                Err(_) => break false,
            },
            told = events.recv(), if pending.is_empty() => match told {
                Some(Told::Event(event)) => {
                    times.see(&event);
                    pending.extend(answers.event(event, &outline).await);
                }
                Some(Told::Note(note)) => pending.push_back(Message::Note(note)),
                None => break false,
            },
            typed = answers.questions.typed() => pending.extend(answers.typed(&typed).await),
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

/// The approvals of a run that somebody is asked for, or told how to answer.
pub(super) struct Answers<'a> {
    cluster: &'a Cluster,
    run: &'a str,
    questions: Questions,
    /// All of them are approved.
    approves: bool,
    asks: bool,
}

impl<'a> Answers<'a> {
    /// `asks` says that there is somebody to ask.
    pub(super) fn new(cluster: &'a Cluster, run: &'a str, globals: Globals, asks: bool) -> Self {
        let asks = asks && !globals.yes;
        Self { cluster, run, questions: Questions::new(asks), approves: globals.yes, asks }
    }

    /// What an event shows, and what it asks.
    pub(super) async fn event(&mut self, event: Event, outline: &Outline) -> Vec<Message> {
        let asking = match &event.kind {
            EventKind::Waiting { step } => Some(Arc::clone(step)),
            _ => None,
        };
        let mut shown: Vec<_> = messages(event, &mut self.questions, outline, |_| false).collect();
        if let Some(step) = asking {
            if self.approves {
                shown.push(self.answer(&step, Answer::Approved).await);
            } else if !self.asks {
                let run = self.run;
                let how = format!("relay approve {run} {step}, or relay reject {run} {step}");
                shown.push(Message::Note(format!("{step} waits for an answer: {how}")));
            }
        }
        shown
    }

    /// What comes of a line that was typed.
    async fn typed(&mut self, typed: &Typed) -> Vec<Message> {
        match self.questions.answer(typed) {
            Outcome::Answered(step, answer, next) => {
                let answered = self.answer(&step, answer).await;
                // The question goes, whatever came of its answer.
                let over = matches!(answered, Message::Note(_)).then_some(Message::Asked(None));
                over.into_iter().chain([answered]).chain(next.map(Message::Ask)).collect()
            }
            Outcome::Again(question) => vec![Message::Ask(question)],
            Outcome::Late => Vec::new(),
        }
    }

    /// Answers; somebody else may have been faster, or this person may not.
    async fn answer(&self, step: &Arc<str>, answer: Answer) -> Message {
        match super::answer::answer(self.cluster, self.run, step, answer).await {
            Ok(()) => Message::Asked(Some((Arc::clone(step), answer))),
            Err(problem) => Message::Note(problem.to_string()),
        }
    }
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
