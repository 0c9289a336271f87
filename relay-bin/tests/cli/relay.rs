//! Running the program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

pub(crate) fn relay() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay"));
    // What the caller's surroundings say must not reach the steps.
    command.env_remove("METADATA_API_URL").env_remove("RELAY_LOG");
    command
}

pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}

/// What a run printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

pub(crate) fn run(file: &Path, arguments: &[&str]) -> Ran {
    relay().arg("run").arg(file).args(arguments).output().unwrap().into()
}

/// The events of a run, from `--out json`.
pub(crate) struct Events {
    pub(crate) code: i32,
    events: Vec<Value>,
}

pub(crate) fn events(file: &Path, arguments: &[&str]) -> Events {
    let mut all = vec!["--out", "json"];
    all.extend(arguments);
    let ran = run(file, &all);
    let events = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    Events { code: ran.code, events }
}

/// The events of a workflow given as text.
pub(crate) fn events_of(text: &str) -> Events {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("test.yaml");
    std::fs::write(&file, text).unwrap();
    events(&file, &[])
}

impl Events {
    /// The position of an event of a step.
    pub(crate) fn position(&self, step: &str, event: &str) -> usize {
        let found = self.events.iter().position(|e| e["step"] == step && e["event"] == event);
        found.unwrap_or_else(|| panic!("{step} never {event}: {:#?}", self.events))
    }

    /// The last event.
    pub(crate) fn last(&self) -> &Value {
        self.events.last().unwrap()
    }

    /// How a step ended.
    pub(crate) fn end(&self, step: &str) -> String {
        let ends = ["succeeded", "failed", "skipped"];
        let end = self
            .events
            .iter()
            .find(|e| e["step"] == step && ends.iter().any(|end| e["event"] == *end));
        let end = end.unwrap_or_else(|| panic!("{step} never ended: {:#?}", self.events));
        let reason = end["reason"].as_str().unwrap_or_default();
        format!("{} {reason}", end["event"].as_str().unwrap()).trim_end().to_owned()
    }

    /// What a step wrote.
    pub(crate) fn log(&self, step: &str) -> Vec<&str> {
        let lines = self.events.iter().filter(|e| e["step"] == step && e["event"] == "output");
        lines.map(|e| e["text"].as_str().unwrap()).collect()
    }

    pub(crate) fn find(&self, step: &str, event: &str) -> &Value {
        &self.events[self.position(step, event)]
    }
}
