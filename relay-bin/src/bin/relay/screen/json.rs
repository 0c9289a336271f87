//! Objects for programs.

use std::io::{self, BufWriter, Stdout, Write as _};

use relay_local::EventKind;

use super::{Message, View, prompt};
use crate::{print, summary};

/// An object for each event but the last, which is completed when the run is gone. Questions
/// go to standard error: programs do not answer them.
#[derive(Debug)]
pub(super) struct Json(BufWriter<Stdout>);

impl Default for Json {
    fn default() -> Self {
        Self(BufWriter::new(io::stdout()))
    }
}

impl View for Json {
    fn show(&mut self, message: Message) -> io::Result<()> {
        match message {
            Message::Event(event) if !matches!(event.kind, EventKind::Finished { .. }) => {
                writeln!(self.0, "{}", print::event_json(&event))
            }
            Message::Left(event) => writeln!(self.0, "{}", summary::left(&event)),
            Message::Ask(question) => {
                self.0.flush()?;
                question.show(prompt).map(drop)
            }
            Message::Asked(None) => prompt("\n"),
            Message::Event(_)
            | Message::Asked(Some(_))
            | Message::Cancelling
            | Message::Note(_)
            | Message::Tick => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
