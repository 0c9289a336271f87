//! A run from its first event to its last.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use relay_local::{EngineError, Event, EventKind, Run};
use tokio::time::MissedTickBehavior;

use crate::outline::Outline;
use crate::preparation::Prepared;
use crate::questions::{Outcome, Questions};
use crate::screen::{Message, Screen};
use crate::signals::{Demand, Signals};
use crate::summary::Times;

/// How often what is drawn is drawn again.
const TICK: Duration = Duration::from_millis(100);
/// How long the screen may take to be left as it was found.
const PARTING: Duration = Duration::from_millis(500);

/// What was seen of a run.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    pub(crate) times: Times,
    /// The last event; `None` where the run was left before it came.
    pub(crate) last: Option<Event>,
    /// Why not all of it could be shown.
    pub(crate) unwritten: Option<io::Error>,
}

/// Shows what happens until the run has ended. A signal cancels it, and so does an output that
/// cannot be written; a second signal, or one to quit, does not wait for the steps: `None`.
pub(crate) async fn follow(
    run: &mut Run,
    signals: &mut Signals,
    screen: Screen,
    prepared: &Prepared,
    asks: bool,
) -> Result<Option<Followed>, EngineError> {
    let mut questions = Questions::new(asks);
    let mut followed = match events(run, signals, &screen, &mut questions, prepared).await {
        Ok(Some(followed)) => followed,
        left => {
            leave(run.name(), screen).await;
            return left;
        }
    };
    tokio::select! {
        closed = screen.close() => {
            followed.unwritten = closed.err();
            Ok(Some(followed))
        }
        _ = signals.next() => Ok(None),
    }
}

/// Tells programs that this is the end, as far as the reader lets us.
async fn leave(run: &str, screen: Screen) {
    let message = "left before all steps had ended".to_owned();
    let kind = EventKind::Finished { outcome: relay_local::Outcome::Cancelled, message };
    let last = Event::new(Timestamp::now(), run, kind);
    let told = async {
        // Fails where nothing can be shown any more.
        drop(screen.messages().send(Message::Left(last)).await);
        screen.close().await
    };
    drop(tokio::time::timeout(PARTING, told).await);
}

async fn events(
    run: &mut Run,
    signals: &mut Signals,
    screen: &Screen,
    questions: &mut Questions,
    prepared: &Prepared,
) -> Result<Option<Followed>, EngineError> {
    let mut followed = Followed::default();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // What waits for room on the screen. Nothing more is asked of the run until it is empty.
    let mut pending: VecDeque<Message> = VecDeque::new();
    let mut cancelled = false;
    loop {
        tokio::select! {
            room = screen.messages().reserve(), if !pending.is_empty() => match room {
                Ok(room) => if let Some(message) = pending.pop_front() {
                    room.send(message);
                },
                Err(_) => pending.clear(),
            },
            // Nothing is shown any more, and that may be all that is ever known.
            () = screen.messages().closed(), if !cancelled => {
                cancelled = true;
                run.cancel().await?;
            }
            event = next(run), if pending.is_empty() => {
                let Some(event) = event else { return Ok(Some(followed)) };
                followed.times.see(&event);
                if matches!(event.kind, EventKind::Finished { .. }) {
                    followed.last = Some(event.clone());
                }
                let answered = |step: &str| prepared.answered.contains(step);
                pending.extend(messages(event, questions, &prepared.outline, answered));
            }
            typed = questions.typed() => match questions.answer(&typed) {
                Outcome::Answered(step, answer, next) => {
                    run.answer(&step, answer).await?;
                    pending.push_back(Message::Asked(Some((step, answer))));
                    pending.extend(next.map(Message::Ask));
                }
                Outcome::Again(question) => pending.push_back(Message::Ask(question)),
                Outcome::Late => {}
            },
            demand = signals.next() => {
                if demand == Demand::Leave || std::mem::replace(&mut cancelled, true) {
                    return Ok(None);
                }
                run.cancel().await?;
                pending.push_back(Message::Cancelling);
            }
            // Where there is no room there is enough to draw.
            _ = tick.tick() => drop(screen.messages().try_send(Message::Tick)),
        }
    }
}

/// What an event shows, with the questions that begin and end with it. Of steps that are `answered`
/// nothing is asked.
pub(crate) fn messages(
    event: Event,
    questions: &mut Questions,
    outline: &Outline,
    answered: impl Fn(&str) -> bool,
) -> impl Iterator<Item = Message> {
    let mut after = Vec::new();
    match &event.kind {
        EventKind::Waiting { step } if !answered(step) => {
            let question = outline.question(step).unwrap_or_default();
            after.extend(questions.ask(step, question).map(Message::Ask));
        }
        EventKind::Succeeded { step }
        | EventKind::Failed { step, .. }
        | EventKind::Skipped { step, .. } => {
            if let Some(next) = questions.over(step) {
                after.push(Message::Asked(None));
                after.extend(next.map(Message::Ask));
            }
        }
        _ => {}
    }
    [Message::Event(event)].into_iter().chain(after)
}

async fn next(run: &mut Run) -> Option<Event> {
    run.events().next().await
}
