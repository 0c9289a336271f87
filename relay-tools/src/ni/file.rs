//! `ni file`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::error::NiError;
use super::{Printed, go_json};
use crate::client::MetadataClient;

#[derive(Debug, Args)]
pub(super) struct File {
    /// A key at the top of the specification
    #[arg(short, long, allow_hyphen_values = true)]
    path: String,
    /// The file to write; its directories are made
    #[arg(short, long)]
    file: PathBuf,
    /// json; anything else is YAML
    #[arg(short, long, default_value = "yaml")]
    output: String,
    #[arg(hide = true)]
    surplus: Vec<OsString>,
}

impl File {
    pub(super) async fn run(self, client: &MetadataClient) -> Result<Printed, NiError> {
        let spec = client.spec(None).await?.value;
        let value = spec.get(&self.path).unwrap_or(&Value::Null);
        let text = match self.output.as_str() {
            "json" => go_json::compact(value),
            _ => serde_saphyr::to_string(value).map_err(NiError::Yaml)?.into_bytes(),
        };
        match write(&self.file, &text) {
            Ok(()) => Ok(Printed::default()),
            Err(source) => Err(NiError::File { path: self.file, source }),
        }
    }
}

fn write(path: &Path, text: &[u8]) -> std::io::Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    std::fs::write(path, text)
}
