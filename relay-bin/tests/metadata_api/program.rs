//! Running the programs, and asking them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

pub(crate) const SAMPLE: &str = "\
secrets: {pw: hunter2}
runs:
  '1':
    parameters: {who: otter}
    steps:
      default: {spec: {text: 'Hello, ${parameters.who}!', pw: !Secret pw}}
      with space: {}
triggers: {push: {}}
";

/// Files of a test.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

pub(crate) fn metadata_api() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-metadata-api"));
    command.env_clear().env("RELAY_METADATA_API_LISTEN_PORT", "0");
    command
}

/// A program that serves, and what it has printed so far.
pub(crate) struct Serving {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    pub(crate) lines: Vec<String>,
}

impl Serving {
    /// Starts it and waits for a line with this text.
    pub(crate) fn start(mut command: Command, until: &str) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut serving = Self { child, output, lines: Vec::new() };
        serving.read_until(until);
        serving
    }

    pub(crate) fn read_until(&mut self, text: &str) {
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "{:#?}", self.lines);
            let found = line.contains(text);
            self.lines.push(line);
            if found {
                return;
            }
        }
    }

    /// The word behind `NAME=` in the line with this text.
    pub(crate) fn field(&self, text: &str, name: &str) -> String {
        let line = self.lines.iter().find(|line| line.contains(text)).unwrap();
        let (_, rest) = line.split_once(&format!("{name}=")).unwrap();
        rest.split_whitespace().next().unwrap().to_owned()
    }

    pub(crate) fn port(&self) -> u16 {
        let address = self.field("listening for metadata connections", "addr");
        address.strip_prefix("0.0.0.0:").unwrap().parse().unwrap()
    }

    /// Ends it by this signal; its exit code.
    pub(crate) fn end(mut self, by: Signal) -> Option<i32> {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), by).unwrap();
        self.child.wait().unwrap().code()
    }
}

/// What a failed test leaves behind would hold its output open for ever.
impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Status and body of an answer.
pub(crate) fn get(port: u16, path: &str, token: &str) -> (u16, String) {
    ask(port, "GET", path, token, "")
}

pub(crate) fn ask(port: u16, method: &str, path: &str, token: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (status, body.to_owned())
}
