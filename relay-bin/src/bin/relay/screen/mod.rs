//! What is seen of a run while it goes on: lines for people, objects for programs, or a log with
//! the progress of all steps below it.
//!
//! Writing has a thread of its own. A reader that stands still then stops the run, since few
//! messages wait for it, but not the answer to a signal.

mod json;
mod live;
mod paint;
mod plain;
mod terminal;
mod tree;

use std::io::{self, Write as _};
use std::sync::Arc;

use relay_local::{Answer, Event};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use crate::Out;
use crate::outline::Outline;
use crate::questions::Question;

pub(crate) use paint::{Paint, one_line};
pub(crate) use terminal::Terminal;

/// How many messages wait for a slow reader.
const BACKLOG: usize = 16;

/// What is to be shown.
#[derive(Debug)]
pub(crate) enum Message {
    /// Something happened.
    Event(Event),
    /// A question is asked.
    Ask(Question),
    /// The question is over: a step got an answer that was typed, or there is nothing to ask.
    Asked(Option<(Arc<str>, Answer)>),
    /// The run is being cancelled.
    Cancelling,
    /// Something that programs need not know.
    Note(String),
    /// The run is left before it has ended; its last event.
    Left(Event),
    /// Time has passed.
    Tick,
}

/// One way to show messages.
trait View: Send {
    fn show(&mut self, message: Message) -> io::Result<()>;
    /// All messages there are were shown.
    fn flush(&mut self) -> io::Result<()>;
    /// There will be no more.
    fn close(&mut self) -> io::Result<()> {
        self.flush()
    }
}

/// The thread that shows a run.
#[derive(Debug)]
pub(crate) struct Screen {
    messages: mpsc::Sender<Message>,
    closed: oneshot::Receiver<io::Result<()>>,
}

impl Screen {
    pub(crate) fn new(outline: &Outline, out: Out, terminal: Terminal) -> Self {
        let view: Box<dyn View> = match out {
            Out::Json => Box::new(json::Json::default()),
            Out::Text if terminal.live => Box::new(live::Live::new(outline, terminal)),
            Out::Text => Box::new(plain::Plain::new(outline, terminal)),
        };
        let (messages, received) = mpsc::channel(BACKLOG);
        let (done, closed) = oneshot::channel();
        std::thread::spawn(move || {
            // Fails when nobody waits.
            let _ = done.send(show(received, view));
        });
        Self { messages, closed }
    }

    /// Where messages go. Closed when nobody sees them any more.
    pub(crate) fn messages(&self) -> &mpsc::Sender<Message> {
        &self.messages
    }

    /// Waits until everything was shown and the terminal is as it was.
    ///
    /// # Errors
    ///
    /// When something could not be shown, after which nothing was.
    pub(crate) async fn close(self) -> io::Result<()> {
        drop(self.messages);
        // Fails when the thread is gone, and then there is nothing to wait for.
        self.closed.await.unwrap_or(Ok(()))
    }
}

/// Writes to the person at the terminal, past what is written for others.
fn prompt(text: &str) -> io::Result<()> {
    let mut stderr = io::stderr();
    stderr.write_all(text.as_bytes())?;
    stderr.flush()
}

fn show(mut messages: mpsc::Receiver<Message>, mut view: Box<dyn View>) -> io::Result<()> {
    loop {
        let message = match messages.try_recv() {
            Ok(message) => Some(message),
            Err(TryRecvError::Disconnected) => None,
            Err(TryRecvError::Empty) => {
                view.flush()?;
                messages.blocking_recv()
            }
        };
        match message {
            Some(message) => view.show(message)?,
            None => return view.close(),
        }
    }
}
