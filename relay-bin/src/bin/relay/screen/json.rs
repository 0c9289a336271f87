//! Objects for programs.

use std::io::{self, BufWriter, Stdout, Write as _};

use relay_local::EventKind;

use super::{Message, View};
use crate::print;

/// An object for each event but the last, which is completed when the run is gone.
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
            _ => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
