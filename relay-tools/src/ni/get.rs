//! `ni get`.

use std::ffi::OsString;

use clap::Args;
use http::StatusCode;
use serde_json::Value;

use super::error::NiError;
use super::{Printed, go_json};
use crate::client::{Language, MetadataClient, transfer};

#[derive(Debug, Args)]
pub(super) struct Get {
    /// What to print, such as '{.repository.url}'; everything if left out
    #[arg(short, long, allow_hyphen_values = true)]
    path: Option<String>,
    #[arg(hide = true)]
    surplus: Vec<OsString>,
}

impl Get {
    pub(super) async fn run(self, client: &MetadataClient) -> Result<Printed, NiError> {
        let path = self.path.as_deref().filter(|path| !path.is_empty());
        let query = path.map(|path| (path, Language::JsonPathTemplate));
        let value = match client.spec(query).await {
            Ok(answer) => answer.value,
            // The API's way of saying that there is no value.
            Err(error) if error.status() == Some(StatusCode::UNPROCESSABLE_ENTITY) => {
                return Ok(Printed::default());
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Printed::stdout(match path {
            None => go_json::compact(&value),
            Some(_) => text(&value),
        }))
    }
}

/// A value as a script wants it: text and bytes as they are, nothing for null, else JSON.
pub(super) fn text(value: &Value) -> Vec<u8> {
    match value {
        Value::Null => Vec::new(),
        other => transfer::decode(other).unwrap_or_else(|| go_json::compact(other)),
    }
}
