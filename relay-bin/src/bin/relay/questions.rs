//! Questions to the person at the terminal.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{FlushArg, tcflush};
use relay_local::Answer;
use tokio::sync::mpsc;

use crate::echo::in_foreground;
use crate::screen::one_line;

/// The longest line that a terminal hands out.
const LINE: usize = 4096;

/// Questions that are asked one at a time, in the order in which they came up.
#[derive(Debug)]
pub(crate) struct Questions {
    /// The first is on the screen, or on its way there.
    open: VecDeque<(Arc<str>, String)>,
    on_screen: OnScreen,
    /// Where there is nobody to ask there is none.
    reader: Option<Reader>,
}

/// A question to be put on the screen.
#[derive(Debug)]
pub(crate) struct Question {
    step: Arc<str>,
    text: String,
    on_screen: OnScreen,
}

/// The step whose question was put on the screen last. A line is read, and what was typed before a
/// question is thrown away, with this locked: so each line belongs to the question that was to be
/// seen when it was typed.
type OnScreen = Arc<Mutex<Option<Arc<str>>>>;

/// A line that was typed, and the step whose question it answers.
#[derive(Debug)]
pub(crate) struct Typed {
    step: Option<Arc<str>>,
    line: String,
}

/// What came of a line that was typed.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A step has its answer; the next question to show.
    Answered(Arc<str>, Answer, Option<Question>),
    /// It was neither yes nor no: the same question once more.
    Again(Question),
    /// It answers nothing that is still asked.
    Late,
}

/// A thread that reads a line when it is told to: reading cannot be given up, and must not hold up
/// the end of the program.
#[derive(Debug)]
struct Reader {
    wanted: mpsc::UnboundedSender<()>,
    lines: mpsc::UnboundedReceiver<Typed>,
    reads: bool,
}

impl Questions {
    /// `asks` says that there is somebody to ask.
    pub(crate) fn new(asks: bool) -> Self {
        let on_screen = OnScreen::default();
        let reader = asks.then(|| Reader::new(Arc::clone(&on_screen)));
        Self { open: VecDeque::new(), on_screen, reader }
    }

    /// Takes up a question. Gives it back to be shown, if it is the first.
    pub(crate) fn ask(&mut self, step: &Arc<str>, question: &str) -> Option<Question> {
        self.reader.as_ref()?;
        let question = if question.is_empty() { "Approve?".into() } else { one_line(question) };
        self.open.push_back((Arc::clone(step), format!("{step}: {question} [y/N] ")));
        (self.open.len() == 1).then(|| self.show()).flatten()
    }

    /// A line was typed. The end of input is the answer that an empty line is.
    pub(crate) fn answer(&mut self, typed: &Typed) -> Outcome {
        let asked = self.open.front().map(|(step, _)| step);
        if asked.is_none() || typed.step.as_ref() != asked {
            // The question that is open now still needs somebody to listen.
            self.listen();
            return Outcome::Late;
        }
        let answer = match typed.line.trim().to_lowercase().as_str() {
            "y" | "yes" => Answer::Approved,
            "" | "n" | "no" => Answer::Rejected,
            _ => return self.show().map_or(Outcome::Late, Outcome::Again),
        };
        match self.open.pop_front() {
            Some((step, _)) => Outcome::Answered(step, answer, self.show()),
            None => Outcome::Late,
        }
    }

    /// A step has ended. Where its question was on the screen: that it has to go, and the next one.
    pub(crate) fn over(&mut self, step: &str) -> Option<Option<Question>> {
        let was_shown = self.open.front().is_some_and(|(open, _)| **open == *step);
        self.open.retain(|(open, _)| **open != *step);
        was_shown.then(|| self.show())
    }

    /// The next line that is typed.
    pub(crate) async fn typed(&mut self) -> Typed {
        let typed = match &mut self.reader {
            Some(reader) => reader.lines.recv().await,
            None => None,
        };
        match (typed, &mut self.reader) {
            (Some(typed), Some(reader)) => {
                reader.reads = false;
                typed
            }
            _ => std::future::pending().await,
        }
    }

    /// The first question, with somebody listening for the answer.
    fn show(&mut self) -> Option<Question> {
        self.listen();
        let (step, text) = self.open.front()?;
        let on_screen = Arc::clone(&self.on_screen);
        Some(Question { step: Arc::clone(step), text: text.clone(), on_screen })
    }

    /// Has a line read, where something is asked and none is being read yet.
    fn listen(&mut self) {
        if !self.open.is_empty()
            && let Some(reader) = &mut self.reader
            && !std::mem::replace(&mut reader.reads, true)
        {
            // Fails when standard input is gone, and then nobody answers.
            let _ = reader.wanted.send(());
        }
    }
}

impl Question {
    /// Puts the question on the screen with `print`; its text. What was typed before that answers
    /// nothing: nobody had read the question.
    pub(crate) fn show(self, print: impl FnOnce(&str) -> io::Result<()>) -> io::Result<String> {
        let mut on_screen = self.on_screen.lock().unwrap_or_else(PoisonError::into_inner);
        // A job in the background is stopped when it does this, and has not been typed to.
        if in_foreground() {
            tcflush(io::stdin(), FlushArg::TCIFLUSH)?;
        }
        print(&self.text)?;
        *on_screen = Some(self.step);
        Ok(self.text)
    }
}

impl Reader {
    fn new(on_screen: OnScreen) -> Self {
        let (wanted, mut requests) = mpsc::unbounded_channel();
        let (sender, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            while requests.blocking_recv().is_some() {
                let Ok(typed) = read(&on_screen) else { return };
                if sender.send(typed).is_err() {
                    return;
                }
            }
        });
        Self { wanted, lines, reads: false }
    }
}

/// Waits for a line from the terminal.
fn read(on_screen: &OnScreen) -> nix::Result<Typed> {
    loop {
        if !is_there(PollTimeout::NONE)? {
            continue;
        }
        let step = on_screen.lock().unwrap_or_else(PoisonError::into_inner);
        // A question that came up meanwhile has thrown the line away.
        if !is_there(PollTimeout::ZERO)? {
            continue;
        }
        let mut line = [0; LINE];
        let length = match nix::unistd::read(io::stdin(), &mut line) {
            Err(Errno::EINTR) => continue,
            length => length?,
        };
        let line = line.get(..length).unwrap_or_default();
        return Ok(Typed { step: step.clone(), line: String::from_utf8_lossy(line).into_owned() });
    }
}

/// Whether there is a line, or the end of input.
fn is_there(patience: PollTimeout) -> nix::Result<bool> {
    let stdin = io::stdin();
    match poll(&mut [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)], patience) {
        Err(Errno::EINTR) => Ok(false),
        ready => Ok(ready? > 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody reads: what is asked is looked at, what is typed is told.
    fn questions() -> (Questions, mpsc::UnboundedReceiver<()>) {
        let (wanted, requests) = mpsc::unbounded_channel();
        let (_, lines) = mpsc::unbounded_channel();
        let reader = Some(Reader { wanted, lines, reads: false });
        (Questions { open: VecDeque::new(), on_screen: OnScreen::default(), reader }, requests)
    }

    /// The line is typed while this step's question is on the screen.
    fn type_in(questions: &mut Questions, step: &str, line: &str) -> Outcome {
        if let Some(reader) = &mut questions.reader {
            reader.reads = false;
        }
        questions.answer(&Typed { step: Some(step.into()), line: line.to_owned() })
    }

    fn text(question: Option<Question>) -> Option<String> {
        question.map(|question| question.text)
    }

    #[test]
    fn one_question_after_the_other() {
        let (mut questions, mut requests) = questions();
        let (a, b) = (Arc::from("a"), Arc::from("b"));
        assert_eq!(text(questions.ask(&a, "Ship\nit?")).as_deref(), Some("a: Ship it? [y/N] "));
        assert!(questions.ask(&b, "").is_none(), "it has to wait");
        let Outcome::Answered(step, Answer::Approved, next) =
            type_in(&mut questions, "a", " YES \n")
        else {
            panic!("a is approved");
        };
        assert_eq!((step, text(next).as_deref()), (a, Some("b: Approve? [y/N] ")));
        let Outcome::Answered(step, Answer::Rejected, None) = type_in(&mut questions, "b", "\n")
        else {
            panic!("b is rejected, and nothing is left");
        };
        assert_eq!(step, b);
        assert!(matches!(type_in(&mut questions, "b", "y\n"), Outcome::Late));
        for _ in 0..2 {
            assert_eq!(requests.try_recv(), Ok(()));
        }
        assert!(requests.try_recv().is_err(), "a line is read for each question");
    }

    #[test]
    fn what_is_typed_answers_only_the_question_that_was_to_be_seen() {
        let (mut questions, mut requests) = questions();
        questions.ask(&"a".into(), "A?");
        questions.ask(&"b".into(), "B?");
        questions.over("a");
        assert!(matches!(type_in(&mut questions, "a", "y\n"), Outcome::Late));
        assert_eq!(
            (requests.try_recv(), requests.try_recv()),
            (Ok(()), Ok(())),
            "b is listened for"
        );
        for (line, answer) in [
            ("y", Some(Answer::Approved)),
            ("Yes", Some(Answer::Approved)),
            ("N", Some(Answer::Rejected)),
            ("nO\n", Some(Answer::Rejected)),
            ("", Some(Answer::Rejected)),
            ("yep\n", None),
            ("y n\n", None),
            ("0", None),
        ] {
            let (mut questions, _requests) = self::questions();
            questions.ask(&"a".into(), "A?");
            let got = match type_in(&mut questions, "a", line) {
                Outcome::Answered(_, answer, None) => Some(answer),
                Outcome::Again(question) if question.text == "a: A? [y/N] " => None,
                other => panic!("{line:?}: {other:?}"),
            };
            assert_eq!(got, answer, "{line:?}");
        }
    }

    #[test]
    fn a_question_that_is_over_makes_room() {
        let (mut questions, mut requests) = questions();
        questions.ask(&"a".into(), "A?");
        questions.ask(&"b".into(), "B?");
        questions.ask(&"c".into(), "C?");
        assert!(questions.over("b").is_none(), "it was not on the screen");
        let next = questions.over("a").map(text);
        assert_eq!(next, Some(Some("c: C? [y/N] ".to_owned())));
        assert_eq!(questions.over("c").map(text), Some(None));
        assert_eq!(requests.try_recv(), Ok(()));
        assert!(requests.try_recv().is_err(), "one line is waited for, and it is still to come");
    }

    #[test]
    fn nobody_is_asked_where_there_is_nobody() {
        let mut questions = Questions::new(false);
        assert!(questions.ask(&"a".into(), "A?").is_none());
        assert!(questions.over("a").is_none());
    }
}
