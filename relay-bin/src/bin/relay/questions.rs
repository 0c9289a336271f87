//! Questions to the person at the terminal.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use relay_local::Answer;
use tokio::sync::mpsc;

use crate::screen::one_line;

/// Questions that are asked one at a time, in the order in which they came up.
#[derive(Debug)]
pub(crate) struct Questions {
    /// The first is on the screen.
    open: VecDeque<(Arc<str>, String)>,
    /// Where there is nobody to ask there is none.
    reader: Option<Reader>,
}

/// A thread that reads a line when it is told to: reading cannot be given up, and must not hold up
/// the end of the program.
#[derive(Debug)]
struct Reader {
    wanted: mpsc::UnboundedSender<()>,
    lines: mpsc::UnboundedReceiver<String>,
    reads: bool,
}

impl Questions {
    /// `asks` says that there is somebody to ask.
    pub(crate) fn new(asks: bool) -> Self {
        Self { open: VecDeque::new(), reader: asks.then(Reader::new) }
    }

    /// Takes up a question. Gives the text to show, if it is the first.
    pub(crate) fn ask(&mut self, step: &Arc<str>, question: &str) -> Option<String> {
        self.reader.as_ref()?;
        let question = if question.is_empty() { "Approve?".into() } else { one_line(question) };
        self.open.push_back((Arc::clone(step), format!("{step}: {question} [y/N] ")));
        (self.open.len() == 1).then(|| self.show()).flatten()
    }

    /// A line was typed: the answer that it is, and the next question to show. `None` where nothing
    /// was asked.
    pub(crate) fn answer(&mut self, line: &str) -> Option<(Arc<str>, Answer, Option<String>)> {
        let (step, _) = self.open.pop_front()?;
        let yes = matches!(line.trim().to_lowercase().as_str(), "y" | "yes");
        let answer = if yes { Answer::Approved } else { Answer::Rejected };
        Some((step, answer, self.show()))
    }

    /// A step has ended. Where its question was on the screen: that it has to go, and the next one.
    pub(crate) fn over(&mut self, step: &str) -> Option<Option<String>> {
        let was_shown = self.open.front().is_some_and(|(open, _)| **open == *step);
        self.open.retain(|(open, _)| **open != *step);
        was_shown.then(|| self.show())
    }

    /// The next line that is typed.
    pub(crate) async fn typed(&mut self) -> String {
        let line = match &mut self.reader {
            Some(reader) => reader.lines.recv().await,
            None => None,
        };
        match (line, &mut self.reader) {
            (Some(line), Some(reader)) => {
                reader.reads = false;
                line
            }
            _ => std::future::pending().await,
        }
    }

    /// The text of the first question, with somebody listening for the answer.
    fn show(&mut self) -> Option<String> {
        let (_, question) = self.open.front()?;
        if let Some(reader) = &mut self.reader
            && !std::mem::replace(&mut reader.reads, true)
        {
            // Fails when standard input is gone, and then nobody answers.
            let _ = reader.wanted.send(());
        }
        Some(question.clone())
    }
}

impl Reader {
    fn new() -> Self {
        let (wanted, mut requests) = mpsc::unbounded_channel();
        let (sender, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            while requests.blocking_recv().is_some() {
                let mut line = String::new();
                // The end of input is the answer that an empty line is.
                if io::stdin().read_line(&mut line).is_err() || sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { wanted, lines, reads: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody reads: what is asked is looked at, what is typed is told.
    fn questions() -> (Questions, mpsc::UnboundedReceiver<()>) {
        let (wanted, requests) = mpsc::unbounded_channel();
        let (_, lines) = mpsc::unbounded_channel();
        let reader = Reader { wanted, lines, reads: false };
        (Questions { open: VecDeque::new(), reader: Some(reader) }, requests)
    }

    #[test]
    fn one_question_after_the_other() {
        let (mut questions, mut requests) = questions();
        let (a, b) = (Arc::from("a"), Arc::from("b"));
        assert_eq!(questions.ask(&a, "Ship\nit?").as_deref(), Some("a: Ship it? [y/N] "));
        assert_eq!(questions.ask(&b, ""), None, "it has to wait");
        let answered = questions.answer(" YES \n").unwrap();
        assert_eq!((&*answered.0, answered.1), ("a", Answer::Approved));
        assert_eq!(answered.2.as_deref(), Some("b: Approve? [y/N] "));
        let answered = questions.answer("\n").unwrap();
        assert_eq!(answered, (b, Answer::Rejected, None));
        assert_eq!(questions.answer("y\n"), None, "nothing was asked");
        assert_eq!(requests.try_recv(), Ok(()));
    }

    #[test]
    fn a_question_that_is_over_makes_room() {
        let (mut questions, mut requests) = questions();
        questions.ask(&"a".into(), "A?");
        questions.ask(&"b".into(), "B?");
        questions.ask(&"c".into(), "C?");
        assert_eq!(questions.over("b"), None, "it was not on the screen");
        assert_eq!(questions.over("a"), Some(Some("c: C? [y/N] ".to_owned())));
        assert_eq!(questions.over("c"), Some(None));
        assert_eq!(requests.try_recv(), Ok(()));
        assert!(requests.try_recv().is_err(), "one line is waited for, and it is still to come");
    }

    #[test]
    fn nobody_is_asked_where_there_is_nobody() {
        let mut questions = Questions::new(false);
        assert_eq!(questions.ask(&"a".into(), "A?"), None);
        assert_eq!(questions.over("a"), None);
    }
}
