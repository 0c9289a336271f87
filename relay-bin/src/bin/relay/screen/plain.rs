//! Lines, one after the other.

use std::collections::HashMap;
use std::io::{self, BufWriter, Stdout, Write as _};

use console::measure_text_width;
use relay_local::{Answer, Event, EventKind};

use super::paint::{Paint, log_text, one_line};
use super::terminal::Terminal;
use super::{Message, View, prompt};
use crate::outline::Outline;

/// The log, a line at a time.
#[derive(Debug)]
pub(super) struct Plain {
    stdout: BufWriter<Stdout>,
    log: Log,
    question: Question,
}

/// Whether a question is on the terminal.
#[derive(Debug)]
enum Question {
    None,
    /// It stands on the last line.
    Shown(String),
    /// The log went on below it.
    Buried(String),
}

impl Plain {
    pub(super) fn new(outline: &Outline, terminal: Terminal) -> Self {
        let log = Log::new(outline, terminal);
        Self { stdout: BufWriter::new(io::stdout()), log, question: Question::None }
    }

    fn line(&mut self, line: &str) -> io::Result<()> {
        if let Question::Shown(question) = &mut self.question
            && self.log.on_terminal
        {
            self.question = Question::Buried(std::mem::take(question));
            writeln!(self.stdout)?;
        }
        writeln!(self.stdout, "{line}")
    }
}

impl View for Plain {
    fn show(&mut self, message: Message) -> io::Result<()> {
        match message {
            Message::Event(event) => match self.log.line(&event) {
                Some(line) => self.line(&line),
                None => Ok(()),
            },
            Message::Ask(question) => {
                self.stdout.flush()?;
                self.question = Question::Shown(question.show(prompt)?);
                Ok(())
            }
            Message::Asked(answer) => {
                self.question = Question::None;
                if answer.is_none() { prompt("\n") } else { Ok(()) }
            }
            Message::Note(note) => {
                self.stdout.flush()?;
                prompt(&format!("{}\n", one_line(&note)))
            }
            Message::Cancelling | Message::Left(_) | Message::Tick => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()?;
        if let Question::Buried(question) = &mut self.question {
            prompt(question)?;
            self.question = Question::Shown(std::mem::take(question));
        }
        Ok(())
    }
}

/// Lines of the log, `STEP | text`.
#[derive(Debug)]
pub(super) struct Log {
    numbers: HashMap<String, usize>,
    width: usize,
    on_terminal: bool,
    paint: Paint,
}

impl Log {
    pub(super) fn new(outline: &Outline, terminal: Terminal) -> Self {
        let names = outline.steps.iter().map(|step| &step.name);
        Self {
            width: names.clone().map(|name| measure_text_width(name)).max().unwrap_or_default(),
            numbers: names.cloned().enumerate().map(|(at, name)| (name, at)).collect(),
            on_terminal: terminal.shows_log,
            paint: terminal.stdout,
        }
    }

    /// The line of an event, where it has one.
    pub(super) fn line(&self, event: &Event) -> Option<String> {
        let (step, text) = match &event.kind {
            EventKind::Output { step, text, .. } if self.on_terminal => (step, log_text(text)),
            EventKind::Output { step, text, .. } => (step, text.as_str().into()),
            EventKind::Waiting { step } => (step, "waits for an answer".into()),
            _ => return None,
        };
        Some(self.step_line(step, &text))
    }

    /// The line of an answer.
    pub(super) fn answer(&self, step: &str, answer: Answer) -> String {
        let text = match answer {
            Answer::Approved => "approved",
            Answer::Rejected => "rejected",
        };
        self.step_line(step, text)
    }

    fn step_line(&self, step: &str, text: &str) -> String {
        let number = self.numbers.get(step).copied().unwrap_or_default();
        let filler = self.width.saturating_sub(measure_text_width(step));
        let prefix = self.paint.numbered(number, format_args!("{step}{:filler$} |", ""));
        format!("{prefix} {text}")
    }
}
