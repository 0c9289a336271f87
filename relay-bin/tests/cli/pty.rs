//! The program on a terminal.

use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::path::Path;
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::Pid;
use pty_process::Size;
use pty_process::blocking::{Command, Pts, Pty};

/// How long something may take to appear.
const PATIENCE: Duration = Duration::from_secs(30);
const SCROLLBACK: usize = 100_000;

/// A terminal with the program on it.
pub(crate) struct Terminal {
    child: Child,
    pty: Arc<Pty>,
    pts: Pts,
    screen: Arc<Mutex<vt100::Parser>>,
    reader: JoinHandle<Vec<u8>>,
}

/// What is left on a terminal.
pub(crate) struct Left {
    pub(crate) code: i32,
    /// Everything that can be read on it, line by line, from the beginning.
    pub(crate) lines: Vec<String>,
    /// Everything that was sent to it.
    pub(crate) sent: String,
    /// Whether it shows what is typed, as it did before.
    pub(crate) echoes: bool,
}

impl Terminal {
    /// Starts the program with these arguments on a terminal of this size.
    pub(crate) fn start(rows: u16, columns: u16, arguments: &[&str]) -> Self {
        Self::start_with(rows, columns, arguments, &[])
    }

    pub(crate) fn start_with(
        rows: u16,
        columns: u16,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let (pty, pts) = pty_process::blocking::open().unwrap();
        pty.resize(Size::new(rows, columns)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_relay")).env("TERM", "xterm-256color");
        for name in ["METADATA_API_URL", "RELAY_LOG", "NO_COLOR", "CI"] {
            command = command.env_remove(name);
        }
        let mut command = command.envs(variables.iter().copied()).args(arguments);
        let child = command.spawn_borrowed(&pts).unwrap();
        let size = |number| NonZeroU16::new(number).unwrap();
        let parser = vt100::Parser::new(size(rows), size(columns), SCROLLBACK);
        let (pty, screen) = (Arc::new(pty), Arc::new(Mutex::new(parser)));
        let reader = std::thread::spawn({
            let (pty, screen) = (Arc::clone(&pty), Arc::clone(&screen));
            move || {
                let mut all = Vec::new();
                let mut bytes = [0; 4096];
                // At its end a terminal gives an error.
                while let Ok(read @ 1..) = (&*pty).read(&mut bytes) {
                    all.extend_from_slice(&bytes[..read]);
                    screen.lock().unwrap().process(&bytes[..read]);
                }
                all
            }
        });
        Self { child, pty, pts, screen, reader }
    }

    pub(crate) fn run(file: &Path, arguments: &[&str]) -> Self {
        let mut all = vec!["run", file.to_str().unwrap()];
        all.extend(arguments);
        Self::start(24, 80, &all)
    }

    /// What is to be seen now.
    pub(crate) fn screen(&self) -> String {
        let parser = self.screen.lock().unwrap();
        let screen = parser.screen();
        let rows: Vec<_> = screen.rows(0, screen.size().1.get()).collect();
        rows.join("\n").trim_end().to_owned()
    }

    /// Waits until this is to be seen; what is to be seen then.
    pub(crate) fn expect(&self, text: &str) -> String {
        let begin = Instant::now();
        loop {
            let screen = self.screen();
            if screen.contains(text) {
                return screen;
            }
            assert!(begin.elapsed() < PATIENCE, "{text:?} is not to be seen on:\n{screen}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until this is to be seen and what is typed is not.
    pub(crate) fn expect_hidden(&self, text: &str) {
        self.expect(text);
        let begin = Instant::now();
        while self.echoes() {
            assert!(begin.elapsed() < PATIENCE, "what is typed after {text:?} is to be seen");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    pub(crate) fn type_in(&self, text: &str) {
        (&*self.pty).write_all(text.as_bytes()).unwrap();
    }

    fn echoes(&self) -> bool {
        tcgetattr(&self.pts).unwrap().local_flags.contains(LocalFlags::ECHO)
    }

    /// Waits for the end of the program.
    pub(crate) fn end(mut self) -> Left {
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        let echoes = self.echoes();
        drop(self.pts);
        let sent = String::from_utf8_lossy(&self.reader.join().unwrap()).into_owned();
        let mut parser = self.screen.lock().unwrap();
        let screen = parser.screen_mut();
        let columns = screen.size().1.get();
        let mut lines = Vec::new();
        for back in (1..=screen.scrollback_len()).rev() {
            screen.set_scrollback(back);
            lines.extend(screen.rows(0, columns).next());
        }
        screen.set_scrollback(0);
        lines.extend(screen.rows(0, columns));
        while lines.last().is_some_and(|line| line.trim().is_empty()) {
            lines.pop();
        }
        Left { code, lines, sent, echoes }
    }
}

impl Left {
    pub(crate) fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// Where a line that begins like this is.
    pub(crate) fn position(&self, beginning: &str) -> usize {
        let found = self.lines.iter().position(|line| line.starts_with(beginning));
        found.unwrap_or_else(|| panic!("no line {beginning:?} in:\n{}", self.text()))
    }
}
