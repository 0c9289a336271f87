//! Options: from flags and from the environment, of which the flag counts.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Parser;
use relay_core::Hs256Key;
use secrecy::{SecretSlice, SecretString};

use crate::Failure;
use crate::vault::VaultOptions;

const KEY: &str = "RELAY_METADATA_API_SAMPLE_HS256_SIGNING_KEY";

const KUBERNETES_TOKEN: &str = "RELAY_METADATA_API_KUBERNETES_SERVICE_ACCOUNT_TOKEN";

/// What older installations set, of which nothing is left to set.
const WITHOUT_EFFECT: [&str; 2] =
    ["RELAY_METADATA_API_SENTRY_DSN", "RELAY_METADATA_API_ENVIRONMENT"];

/// The variables that are set in vain.
pub(crate) fn without_effect() -> impl Iterator<Item = &'static str> {
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    WITHOUT_EFFECT.into_iter().filter(is_set)
}

const EXAMPLES: &str = "\
Each option can be given in the environment; an empty variable counts as none. By environment only:
  RELAY_METADATA_API_SAMPLE_HS256_SIGNING_KEY
          The key of sample mode's tokens, in base64, 32 bytes or more; without it one is made
          and printed
  RELAY_METADATA_API_KUBERNETES_SERVICE_ACCOUNT_TOKEN
          The token for the API server; it, the URL and the CA have to be given together
  RELAY_METADATA_API_VAULT_TRANSIT_TOKEN, RELAY_METADATA_API_VAULT_TOKEN, VAULT_TOKEN
          The token for Vault's transit engine, of which the first counts; none where an agent adds it
  VAULT_ADDR, VAULT_NAMESPACE, VAULT_CACERT, VAULT_CAPATH, VAULT_CLIENT_CERT, VAULT_CLIENT_KEY
          How to reach Vault, as its own tools read it; --vault-addr counts before VAULT_ADDR
  RELAY_METADATA_API_LOG
          What is logged, as directives such as `info,relay_metadata=debug`; wins over --debug

Examples:
  relay-metadata-api --sample-config-files sample.yaml
  RELAY_METADATA_API_SAMPLE_CONFIG_FILES=\"base.yaml more.yaml\" relay-metadata-api
  relay-metadata-api --token-seal-keys-dir /keys/seal --token-verify-keys-dir /keys/verify
  relay-metadata-api --vault-addr http://localhost:8200 --vault-auth-path auth/jwt-tenants \
      --vault-auth-role tenant";

/// The metadata API: what steps and triggers call while they run.
///
/// With sample files it serves these, and prints a token for each step and trigger. Without, it serves
/// the pods of a cluster, which it knows by the addresses that they call from. It ends with 0
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

    /// The port for /metrics and /readyz; 0 for none [default: 0 in sample mode, otherwise 7001]
    #[arg(long, value_name = "PORT", env = "RELAY_METADATA_API_METRICS_PORT")]
    metrics_port: Option<String>,

    /// The certificate to serve TLS with, as PEM
    #[arg(long, value_name = "FILE", env = "RELAY_METADATA_API_TLS_CERTIFICATE_FILE")]
    tls_certificate_file: Option<String>,

    /// The key of that certificate; where it is given, plain HTTP is refused
    #[arg(long, value_name = "FILE", env = "RELAY_METADATA_API_TLS_KEY_FILE")]
    tls_key_file: Option<String>,

    /// How many proxies stand in front, each of which adds to X-Forwarded-For; with 0 no header
    /// matters [default: 0]
    #[arg(long, value_name = "NUMBER", env = "RELAY_METADATA_API_TRUSTED_PROXY_HOPS")]
    trusted_proxy_hops: Option<String>,

    /// Where the schemas of steps are, as a JSON document; without it, specs are not checked
    #[arg(long, value_name = "URL", env = "RELAY_METADATA_API_STEP_METADATA_URL")]
    step_metadata_url: Option<String>,

    /// Where the output of steps is kept in a cluster, such as `file:///directory`; without it, steps
    /// are refused when they send output
    #[arg(long, value_name = "URL", env = "RELAY_METADATA_API_LOG_STORAGE_URL")]
    log_storage_url: Option<String>,

    /// The address of the API server [default: that of the pod's own cluster]
    #[arg(long, value_name = "URL", env = "RELAY_METADATA_API_KUBERNETES_URL")]
    kubernetes_url: Option<String>,

    /// The certificates of the API server's authority, as PEM text
    #[arg(long, value_name = "PEM", env = "RELAY_METADATA_API_KUBERNETES_CA_DATA")]
    kubernetes_ca_data: Option<String>,

    /// The keys that unseal tokens: a file for each, named by its id, with 32 bytes or their base64
    #[arg(long, value_name = "DIR", env = "RELAY_METADATA_API_TOKEN_SEAL_KEYS_DIR")]
    token_seal_keys_dir: Option<String>,

    /// The public keys that verify tokens: a PEM for each, named by its id; Ed25519, P-256 or RSA
    #[arg(long, value_name = "DIR", env = "RELAY_METADATA_API_TOKEN_VERIFY_KEYS_DIR")]
    token_verify_keys_dir: Option<String>,

    #[command(flatten)]
    pub(crate) vault: VaultOptions,
}

/// An API server, and how to speak to it.
pub(crate) struct Kubernetes {
    pub(crate) url: String,
    pub(crate) ca_data: String,
    pub(crate) token: SecretString,
}

/// How to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

pub(crate) fn given(option: Option<&String>) -> Option<&str> {
    option.map(String::as_str).filter(|text| !text.is_empty())
}

fn port(option: Option<&String>) -> Result<Option<u16>, Failure> {
    let wrong = |text: &str| Failure(format!("{text:?} is no port to listen on"));
    given(option).map(|text| text.parse().map_err(|_| wrong(text))).transpose()
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
        port(self.listen_port.as_ref()).map(|given| given.unwrap_or(7000))
    }

    /// The port of metrics; `None` for none.
    pub(crate) fn metrics_port(&self) -> Result<Option<u16>, Failure> {
        let default = if self.sample_files().is_empty() { 7001 } else { 0 };
        Ok(Some(port(self.metrics_port.as_ref())?.unwrap_or(default)).filter(|port| *port != 0))
    }

    /// Certificate and key of TLS; `None` for plain HTTP.
    pub(crate) fn tls(&self) -> Result<Option<(&Path, &Path)>, Failure> {
        let Some(key) = given(self.tls_key_file.as_ref()) else {
            return Ok(None);
        };
        match given(self.tls_certificate_file.as_ref()) {
            Some(certificate) => Ok(Some((Path::new(certificate), Path::new(key)))),
            None => Err(Failure("there is a TLS key, but no --tls-certificate-file".to_owned())),
        }
    }

    pub(crate) fn trusted_hops(&self) -> Result<usize, Failure> {
        let text = given(self.trusted_proxy_hops.as_ref()).unwrap_or("0");
        text.parse().map_err(|_| Failure(format!("{text:?} is no number of trusted proxy hops")))
    }

    pub(crate) fn step_metadata_url(&self) -> Option<&str> {
        given(self.step_metadata_url.as_ref())
    }

    pub(crate) fn log_storage_url(&self) -> Option<&str> {
        given(self.log_storage_url.as_ref())
    }

    /// The API server, where all that is needed was given.
    pub(crate) fn kubernetes(&self) -> Option<Kubernetes> {
        let token = std::env::var(KUBERNETES_TOKEN).ok().filter(|token| !token.is_empty())?;
        Some(Kubernetes {
            url: given(self.kubernetes_url.as_ref())?.to_owned(),
            ca_data: given(self.kubernetes_ca_data.as_ref())?.to_owned(),
            token: token.into(),
        })
    }

    pub(crate) fn seal_keys_dir(&self) -> Option<&Path> {
        given(self.token_seal_keys_dir.as_ref()).map(Path::new)
    }

    pub(crate) fn verify_keys_dir(&self) -> Option<&Path> {
        given(self.token_verify_keys_dir.as_ref()).map(Path::new)
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
