//! Why a command failed.

use std::path::PathBuf;

use crate::client::{ClientError, chain};

#[derive(Debug, thiserror::Error)]
pub(super) enum NiError {
    #[error("METADATA_API_URL is not set: ni works inside a step only")]
    NoAddress,
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the value is not JSON: {reason}")]
    NoJson { reason: String },
    #[error("the answer does not fit: {reason}")]
    Answer { reason: &'static str },
    #[error("the specification does not fit: {path} {problem}")]
    Member { path: String, problem: &'static str },
    #[error("the specification has no {key:?}")]
    NoKey { key: &'static str },
    #[error("{name:?} cannot be the name of a file here")]
    FileName { name: String },
    #[error("item {number} of {flag} is not of the form NAME=VALUE")]
    Pair { flag: &'static str, number: usize },
    #[error("{kind:?} is not a type of decorator; there is only \"link\"")]
    DecoratorType { kind: String },
    #[error("a {kind} needs {name}=…")]
    DecoratorValue { kind: &'static str, name: &'static str },
    #[error("{format:?} is not a format; there is only \"json\"")]
    Format { format: String },
    #[error("HOME is not set, or cannot be written into a configuration file of SSH")]
    NoHome,
    #[error("a {what} cannot begin with a hyphen")]
    GitName { what: &'static str },
    #[error("git could not be started")]
    NoGit(#[source] std::io::Error),
    #[error("git {command} failed: {said}")]
    Git { command: &'static str, said: String },
    #[error("could not be written as YAML")]
    Yaml(#[source] serde_saphyr::ser::Error),
    #[error("{} could not be written", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

impl NiError {
    pub(super) fn message(&self) -> String {
        chain(self)
    }
}
