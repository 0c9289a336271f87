//! Options: from flags and from the environment, of which the flag counts.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Parser;
use relay_core::Hs256Key;
use secrecy::SecretSlice;

use crate::Failure;

const KEY: &str = "RELAY_METADATA_API_SAMPLE_HS256_SIGNING_KEY";

const EXAMPLES: &str = "\
Each option can be given in the environment; an empty variable counts as none. By environment only:
  RELAY_METADATA_API_SAMPLE_HS256_SIGNING_KEY
          The key of sample mode's tokens, in base64, 32 bytes or more; without it one is made
          and printed
  RELAY_METADATA_API_LOG
          What is logged, as directives such as `info,relay_metadata=debug`; wins over --debug

Examples:
  relay-metadata-api --sample-config-files sample.yaml
  RELAY_METADATA_API_SAMPLE_CONFIG_FILES=\"base.yaml more.yaml\" relay-metadata-api";

/// The metadata API: what steps and triggers call while they run.
///
/// With sample files it serves these, and prints a token for each step and trigger. It ends with 0
/// after SIGINT, SIGTERM or SIGQUIT, once what was begun is answered (25 s at most), and with 1
/// when it cannot start.
// Texts where an empty variable has to count as none.
#[derive(Debug, Parser)]
#[command(name = "relay-metadata-api", version, after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Log more: true or false [default: false]
    #[arg(long, env = "RELAY_METADATA_API_DEBUG", num_args = 0..=1, default_missing_value = "true")]
    debug: Option<String>,

    /// The port to listen on, on all addresses; 0 takes a free one [default: 7000]
    #[arg(long, value_name = "PORT", env = "RELAY_METADATA_API_LISTEN_PORT")]
    listen_port: Option<String>,

    /// How to log: text or json [default: text in sample mode, otherwise json]
    #[arg(long, value_name = "FORMAT", env = "RELAY_METADATA_API_LOG_FORMAT")]
    log_format: Option<String>,

    /// The files of sample mode, separated by white space; later ones win
    #[arg(long, value_name = "FILES", env = "RELAY_METADATA_API_SAMPLE_CONFIG_FILES")]
    sample_config_files: Option<String>,
}

/// How to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

fn given(option: Option<&String>) -> Option<&str> {
    option.map(String::as_str).filter(|text| !text.is_empty())
}

impl Options {
    pub(crate) fn debug(&self) -> Result<bool, Failure> {
        match given(self.debug.as_ref()).map(str::to_ascii_lowercase).as_deref() {
            None | Some("0" | "f" | "false") => Ok(false),
            Some("1" | "t" | "true") => Ok(true),
            Some(other) => {
                Err(Failure(format!("the option debug is true or false, not {other:?}")))
            }
        }
    }

    pub(crate) fn port(&self) -> Result<u16, Failure> {
        let Some(port) = given(self.listen_port.as_ref()) else {
            return Ok(7000);
        };
        port.parse().map_err(|_| Failure(format!("{port:?} is no port to listen on")))
    }

    pub(crate) fn log_format(&self) -> Result<LogFormat, Failure> {
        match given(self.log_format.as_ref()) {
            Some("text") => Ok(LogFormat::Text),
            Some("json") => Ok(LogFormat::Json),
            Some(other) => Err(Failure(format!("logs are text or json, not {other:?}"))),
            None if self.sample_files().is_empty() => Ok(LogFormat::Json),
            None => Ok(LogFormat::Text),
        }
    }

    /// The files of sample mode; none outside of it.
    pub(crate) fn sample_files(&self) -> Vec<PathBuf> {
        let files = given(self.sample_config_files.as_ref()).unwrap_or_default();
        files.split_whitespace().map(PathBuf::from).collect()
    }
}

/// The key of sample mode; `None` where one has to be made.
pub(crate) fn signing_key() -> Result<Option<Hs256Key>, Failure> {
    let Some(encoded) = std::env::var(KEY).ok().filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let bytes = STANDARD.decode(encoded.trim());
    let bytes = bytes.map_err(|_| Failure(format!("{KEY} is no base64")))?;
    let key = Hs256Key::new(&SecretSlice::from(bytes));
    key.map(Some).map_err(|error| Failure(format!("{KEY} cannot be used: {error}")))
}
