//! Running the program, and asking it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// The program with nothing in its environment.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-operator"));
    command.env_clear().env("RELAY_OPERATOR_LISTEN_PORT", "0");
    command
}

/// An operator that runs, and what it has logged so far.
pub(crate) struct Operator {
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
}

impl Operator {
    /// Starts it with this kubeconfig.
    pub(crate) fn start(kubeconfig: &Path, arguments: &[&str]) -> Self {
        let mut command = command();
        command.env("KUBECONFIG", kubeconfig).args(arguments);
        if let Ok(directives) = std::env::var("RELAY_OPERATOR_LOG") {
            command.env("RELAY_OPERATOR_LOG", directives);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (lines, written) = (BufReader::new(child.stdout.take().unwrap()), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                written.lock().unwrap().push(serde_json::from_str(&line).expect(&line));
            }
        });
        Self { child, log }
    }

    pub(crate) fn log(&self) -> Vec<Value> {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a line with this message.
    pub(crate) fn says(&self, message: &str) -> Value {
        let found = || self.log().into_iter().find(|line| line["message"] == message);
        until(&format!("the operator says {message:?}"), found)
    }

    /// The port that a line of the log names.
    pub(crate) fn port(&self, message: &str) -> u16 {
        let line = self.says(message);
        line["addr"].as_str().unwrap().rsplit_once(':').unwrap().1.parse().unwrap()
    }

    /// The body of an answer, or nothing when it is not good.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        let (is_good, body) = self.ask(path);
        is_good.then_some(body)
    }

    /// The port that it listens on.
    pub(crate) fn health_port(&self) -> u16 {
        self.port("listening for /healthz, /readyz and /metrics")
    }

    fn ask(&self, path: &str) -> (bool, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.health_port())).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.starts_with("HTTP/1.1 200"), body.to_owned())
    }

    /// A number of its metrics; 0 when there is none.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let page = self.get("/metrics").unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    pub(crate) fn leads(&self) -> bool {
        self.metric("relay_operator_leader") == 1.0
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Asks it to stop, and says with what code it did and how long that took.
    pub(crate) fn stop(mut self) -> (Option<i32>, Duration) {
        let began = Instant::now();
        self.signal(Signal::SIGTERM);
        let code = until("the operator ends", || self.child.try_wait().unwrap()).code();
        (code, began.elapsed())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("what operator {} said:", self.pid());
            for line in self.log() {
                println!("{line}");
            }
        }
    }
}

/// Waits for something, up to a minute.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(60) {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("it never happened that {what}");
}
