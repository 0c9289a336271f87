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
