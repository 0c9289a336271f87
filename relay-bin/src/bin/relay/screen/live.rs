//! The log, with the progress of all steps below it.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use console::{Term, measure_text_width};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use relay_local::Answer;

use super::paint::{Paint, one_line};
use super::plain::Log;
use super::terminal::Terminal;
use super::tree::{Size, Tree};
use super::{Message, View, prompt};
use crate::echo::EchoOff;
use crate::outline::Outline;
use crate::questions::Question;

/// How long a change may wait to be drawn.
const INTERVAL: Duration = Duration::from_millis(100);
/// How much of the log waits for that.
const LOG: usize = 16 << 10;

pub(super) struct Live {
    tree: Tree,
    log: Log,
    paint: Paint,
    terminal: Term,
    bar: ProgressBar,
    /// Lines that are not on the screen yet.
    lines: String,
    drawn: Option<Instant>,
    /// The question on the screen, which is in the place of the tree.
    question: Option<String>,
    echo: Option<EchoOff>,
}

impl Live {
    pub(super) fn new(outline: &Outline, terminal: Terminal) -> Self {
        Self {
            tree: Tree::new(outline.steps.iter().map(|step| (&*step.name, &*step.waits_for))),
            log: Log::new(outline, terminal),
            paint: terminal.stderr,
            terminal: Term::stderr(),
            bar: bar(),
            lines: String::new(),
            drawn: None,
            question: None,
            echo: EchoOff::new(),
        }
    }

    fn size(&self) -> Size {
        let (rows, columns) = self.terminal.size();
        Size { rows: rows.into(), columns: columns.into() }
    }

    fn draw(&mut self) -> io::Result<()> {
        self.drawn = Some(Instant::now());
        let lines = std::mem::take(&mut self.lines);
        if let Some(question) = &self.question {
            if lines.is_empty() {
                return Ok(());
            }
            // What was typed so far is out of sight then, but not lost.
            let rows = measure_text_width(question) / self.size().columns.max(1);
            self.terminal.clear_last_lines(rows)?;
            self.terminal.clear_line()?;
            print(&lines)?;
            return self.terminal.write_str(question);
        }
        let tree = self.tree.lines(Timestamp::now(), self.size(), self.paint);
        self.bar.set_message(tree.join("\n"));
        if lines.is_empty() {
            self.bar.force_draw();
            return Ok(());
        }
        self.bar.suspend(|| print(&lines))
    }

    fn line(&mut self, line: &str) {
        self.lines.push_str(line);
        self.lines.push('\n');
    }

    fn ask(&mut self, question: Question) -> io::Result<()> {
        self.draw()?;
        self.bar.finish_and_clear();
        self.echo = None;
        self.question = Some(question.show(prompt)?);
        Ok(())
    }

    fn asked(&mut self, answer: Option<(Arc<str>, Answer)>) -> io::Result<()> {
        if self.question.take().is_some() {
            match answer {
                Some((step, answer)) => self.line(&self.log.answer(&step, answer)),
                None => self.terminal.write_line("")?,
            }
            self.echo = EchoOff::new();
            self.bar = bar();
        }
        self.draw()
    }
}

impl View for Live {
    fn show(&mut self, message: Message) -> io::Result<()> {
        match message {
            Message::Event(event) => {
                self.tree.see(&event);
                if let Some(line) = self.log.line(&event) {
                    self.line(&line);
                }
            }
            Message::Ask(question) => return self.ask(question),
            Message::Asked(answer) => return self.asked(answer),
            Message::Cancelling => {
                self.tree.cancel();
                return self.draw();
            }
            Message::Note(note) => self.line(&one_line(&note)),
            Message::Left(_) | Message::Tick => {}
        }
        let is_due = self.drawn.is_none_or(|drawn| drawn.elapsed() >= INTERVAL);
        if is_due || self.lines.len() >= LOG { self.draw() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        if self.question.is_some() {
            self.asked(None)?;
        }
        self.bar.finish_and_clear();
        self.echo = None;
        print(&std::mem::take(&mut self.lines))
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(20));
    bar.set_style(
        ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar
}

fn print(lines: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(lines.as_bytes())?;
    stdout.flush()
}
