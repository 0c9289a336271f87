//! A run of a cluster, told as one of this machine is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::runtime::watcher;
use kube::runtime::{WatchStreamExt as _, watcher::Event as Change};
use relay_local::executor::{News, StepNews};
use relay_local::{Event, Masks, Narrator, Phase, Stream};
use relay_model::v1beta1::{Run, RunStatus, StepStatus, Workflow};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::tail::{Piece, Pods};
use super::{Cluster, Problem};
use crate::summary::ASKING;

/// How many pieces of logs, and events, wait for a slow reader.
const BACKLOG: usize = 64;
/// How long the log of a step that has ended may take to come in.
const LATE: Duration = Duration::from_secs(5);
/// How long an operator may take to see a run.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many failures in a row make it hopeless.
const HOPELESS: usize = 5;

/// What is to be seen of a run.
#[derive(Clone, Debug)]
pub(super) enum Shown {
    /// Its states.
    States,
    /// Its states and its logs.
    All,
    /// The logs: of one step, or of all.
    Logs(Option<String>),
}

impl Shown {
    fn has_log(&self, step: &str) -> bool {
        match self {
            Self::States => false,
            Self::All | Self::Logs(None) => true,
            Self::Logs(Some(wanted)) => wanted == step,
        }
    }
}

/// What there is to tell.
#[derive(Debug)]
pub(super) enum Told {
    Event(Event),
    /// What the run waits for before it can begin.
    Note(String),
}

/// What was seen of a run.
#[derive(Debug)]
pub(super) struct Followed {
    /// Its last status.
    pub(super) status: RunStatus,
    /// What could not be read of its logs, and why.
    pub(super) unread: Vec<String>,
}

/// Tells what happens to a run until it has ended.
pub(super) struct Follower {
    cluster: Cluster,
    run: String,
    shown: Shown,
    approvals: HashSet<String>,
    narrator: Narrator,
    tails: HashMap<String, JoinHandle<()>>,
    /// The steps whose end was told.
    ended: HashSet<String>,
    unread: Vec<String>,
    pieces: (mpsc::Sender<Piece>, mpsc::Receiver<Piece>),
    events: mpsc::Sender<Told>,
    /// The note that was told last.
    note: Option<String>,
}

impl Follower {
    /// With the events that it tells.
    pub(super) fn new(
        cluster: &Cluster,
        run: &Run,
        workflow: Option<&Workflow>,
        shown: Shown,
        masks: Arc<Masks>,
    ) -> (Self, mpsc::Receiver<Told>) {
        let steps = workflow.map(|known| known.spec.steps.as_slice()).unwrap_or_default();
        let approvals = steps.iter().filter(|step| step.is_approval());
        let approvals: HashSet<_> = approvals.map(|step| step.name.clone()).collect();
        let (events, told) = mpsc::channel(BACKLOG);
        let name = run.name_any();
        let follower = Self {
            cluster: cluster.clone(),
            narrator: Narrator::new(&name, masks, approvals.clone()),
            run: name,
            shown,
            approvals,
            tails: HashMap::new(),
            ended: HashSet::new(),
            unread: Vec::new(),
            pieces: mpsc::channel(BACKLOG),
            events,
            note: None,
        };
        (follower, told)
    }

    pub(super) async fn run(mut self) -> Result<Followed, Problem> {
        let config = watcher::Config::default().fields(&format!("metadata.name={}", self.run));
        let changes = watcher(self.cluster.runs(), config).default_backoff();
        let mut changes = std::pin::pin!(changes.into_stream());
        let (mut failures, mut was_seen, mut is_pending) = (0, false, true);
        let patience = tokio::time::sleep(PATIENCE);
        let mut patience = std::pin::pin!(patience);
        loop {
            tokio::select! {
                () = &mut patience, if is_pending => {
                    is_pending = false;
                    let run = &self.run;
                    self.note(format!("no operator has taken up run {run} yet; is there one?")).await;
                }
                change = changes.next() => match change {
                    Some(Ok(Change::InitApply(run) | Change::Apply(run))) => {
                        (failures, was_seen) = (0, true);
                        is_pending &= run.status.is_none();
                        if let Some(status) = self.seen(&run).await {
                            let unread = std::mem::take(&mut self.unread);
                            return Ok(Followed { status, unread });
                        }
                    }
                    Some(Ok(Change::InitDone)) if !was_seen => return Err(self.gone()),
                    Some(Ok(Change::InitDone | Change::Init)) => was_seen = false,
                    Some(Err(error)) => {
                        failures += 1;
                        if failures >= HOPELESS {
                            let doing = format!("watch run {:?}", self.run);
                            return Err(Problem::Failed { doing, why: error.to_string() });
                        }
                    }
                    Some(Ok(Change::Delete(_))) | None => return Err(self.gone()),
                },
                Some(piece) = self.pieces.1.recv() => self.piece(piece).await,
            }
        }
    }

    fn gone(&self) -> Problem {
        let doing = format!("see the end of run {:?}", self.run);
        Problem::Failed { doing, why: "it was deleted".to_owned() }
    }

    /// Tells what is new; the status, if it is the last one.
    async fn seen(&mut self, run: &Run) -> Option<RunStatus> {
        let status = run.status.clone().unwrap_or_default();
        match Phase::of(&status) {
            // That is told as an event of the step.
            Phase::Waiting { reason, .. } if reason == ASKING => {}
            Phase::Waiting { message, .. } => {
                self.note(format!("run {} waits: {message}", self.run)).await;
            }
            _ => {}
        }
        // What a step wrote comes before its end, and its end before what follows from that.
        let is_new = |step: &&StepStatus| has_ended(step) && !self.ended.contains(&step.name);
        let mut over: Vec<_> = status.steps.iter().filter(is_new).collect();
        over.sort_by_key(|step| ended_at(step));
        for step in over {
            let alone = RunStatus { steps: vec![step.clone()], ..RunStatus::default() };
            self.begun(run, &alone).await;
            self.rest(&step.name).await;
            let told = self.narrator.status(&alone, Timestamp::now());
            self.tell(told).await;
            self.ended.insert(step.name.clone());
        }
        self.begun(run, &status).await;
        let told = self.narrator.status(&status, Timestamp::now());
        self.tell(told).await;
        let is_last = status.is_completed()
            || matches!(&self.shown, Shown::Logs(Some(step))
                if status.steps.iter().any(|known| known.name == *step && has_ended(known)));
        is_last.then_some(status)
    }

    /// Tells which steps have begun, and begins to read what they write.
    async fn begun(&mut self, run: &Run, status: &RunStatus) {
        let begun = self.narrator.begun(status, Timestamp::now());
        self.tell(begun).await;
        for step in status.steps.iter().filter(|step| step.start_time.is_some()) {
            self.tail(run, &step.name);
        }
    }

    fn tail(&mut self, run: &Run, step: &str) {
        if !self.shown.has_log(step)
            || self.approvals.contains(step)
            || self.tails.contains_key(step)
        {
            return;
        }
        let (pods, to) = (Pods::of(&self.cluster, run), self.pieces.0.clone());
        let name = step.to_owned();
        let tail = tokio::spawn(async move {
            let read = pods.follow(&name, &to).await;
            // Fails when nobody listens any more.
            drop(to.send(Piece::End(name, read.err())).await);
        });
        self.tails.insert(step.to_owned(), tail);
    }

    /// Tells the rest of a step's log.
    async fn rest(&mut self, step: &str) {
        let Some(tail) = self.tails.get(step).filter(|tail| !tail.is_finished()) else {
            // What it sent last may still be on its way.
            while let Ok(piece) = self.pieces.1.try_recv() {
                self.piece(piece).await;
            }
            return;
        };
        let tail = tail.abort_handle();
        let late = tokio::time::sleep(LATE);
        let mut late = std::pin::pin!(late);
        loop {
            tokio::select! {
                Some(piece) = self.pieces.1.recv() => {
                    let is_last = matches!(&piece, Piece::End(ended, _) if ended == step);
                    self.piece(piece).await;
                    if is_last {
                        return;
                    }
                }
                () = &mut late => {
                    // Its pod is gone, or never came.
                    tail.abort();
                    self.unread.push(format!("step {step:?} has no log: its pod is not there"));
                    return;
                }
            }
        }
    }

    async fn piece(&mut self, piece: Piece) {
        let (step, bytes) = match piece {
            Piece::Output(step, bytes) => (step, bytes),
            Piece::End(_, problem) => {
                self.unread.extend(problem.map(|problem| problem.to_string()));
                return;
            }
        };
        // The API does not tell the streams of a container apart.
        let news = News::Output { stream: Stream::Stdout, bytes };
        let news = StepNews { run: self.run.as_str().into(), step: step.as_str().into(), news };
        let told = self.narrator.step(&news, Timestamp::now());
        self.tell(told).await;
    }

    async fn tell(&self, events: Vec<Event>) {
        let is_output = |event: &Event| matches!(event.kind, relay_local::EventKind::Output { .. });
        let only_logs = matches!(self.shown, Shown::Logs(_));
        for event in events.into_iter().filter(|event| !only_logs || is_output(event)) {
            // Fails when nobody listens any more, and then this is dropped soon.
            drop(self.events.send(Told::Event(event)).await);
        }
    }

    /// Tells what a run waits for, once.
    async fn note(&mut self, note: String) {
        if self.note.as_ref() != Some(&note) {
            self.note = Some(note.clone());
            drop(self.events.send(Told::Note(note)).await);
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        for tail in self.tails.values() {
            tail.abort();
        }
    }
}

fn has_ended(step: &StepStatus) -> bool {
    ended_at(step).is_some()
}

fn ended_at(step: &StepStatus) -> Option<Timestamp> {
    let completed = step.condition("Completed").filter(|condition| condition.is_true());
    completed.map(|condition| condition.last_transition_time.0)
}
