//! Options: from flags and from the environment, of which the flag counts.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Parser, ValueEnum};
use jiff::SignedDuration;

use crate::admission::options::AdmissionOptions;
use crate::pods::PodOptions;

const EXAMPLES: &str = "\
Each option can be given in the environment; an empty variable counts as none. By environment only:
  RELAY_OPERATOR_LOG
          What is logged, as directives such as `info,relay_reconcile=debug`; wins over --debug

The API server is that of $KUBECONFIG, or of the cluster that this runs in. Definitions of Relay and
of Tekton that are missing are waited for. Keys that are missing are made, as the Secrets
relay-signing-keys, relay-verification-keys and relay-seal-keys in the operator's namespace; the
metadata API mounts the latter two. Of several replicas one works, by the Lease relay-operator.

With --admission every replica serves a webhook for pods at /mutate/pod-enforcement, over TLS; who
works makes and renews its certificate. manifests/admission has the objects that belong to it.

On its port it answers /healthz, /readyz and /metrics. It ends with 0 after SIGTERM or SIGINT, once
what is being worked on is done (20 s at most), and with 1 when it cannot start.

Examples:
  relay-operator
  relay-operator --kube-namespace team-a --timeout 2h --step-timeout 30m
  relay-operator --admission --standalone --webhook-server-port 8443
  KUBECONFIG=~/.kube/config relay-operator --namespace relay-system --log-format text";

/// The operator: it turns Tenants, Workflows and Runs into what a cluster carries out.
#[derive(Debug, Parser)]
#[command(name = "relay-operator", version, after_help = EXAMPLES)]
pub(crate) struct Options {
    /// What kind of installation this is: dev, test, or any other word [default: dev]
    #[arg(long, value_name = "NAME", env = "RELAY_OPERATOR_ENVIRONMENT")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) environment: Given<String>,

    /// The file that says how to reach the API server [default: $KUBECONFIG, or the cluster's own]
    #[arg(long, value_name = "FILE", env = "RELAY_OPERATOR_KUBECONFIG")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) kubeconfig: Given<PathBuf>,

    /// The one namespace whose Runs, Workflows and Tenants are worked on [default: all]
    #[arg(long, value_name = "NAMESPACE", env = "RELAY_OPERATOR_KUBE_NAMESPACE")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) kube_namespace: Given<String>,

    /// The namespace of keys and the Lease [default: that of the pod or of the kubeconfig's context]
    #[arg(long, value_name = "NAMESPACE", env = "RELAY_OPERATOR_NAMESPACE")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) namespace: Given<String>,

    /// For a cluster of one's own: network policies let pods of runs reach everybody, and the
    /// webhook leaves their nodes and name servers alone, but for what is said of these
    #[arg(long, env = "RELAY_OPERATOR_STANDALONE")]
    #[arg(num_args = 0..=1, default_missing_value = "true", default_value = "", hide_default_value = true)]
    pub(crate) standalone: Given<bool>,

    /// How many objects of a kind are worked on at once [default: 16]
    #[arg(long, value_name = "NUMBER", env = "RELAY_OPERATOR_NUM_WORKERS")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) num_workers: Given<u16>,

    /// How many calls to the API server are made in a second at most [default: 200]
    #[arg(long, value_name = "NUMBER", env = "RELAY_OPERATOR_KUBE_CALLS_PER_SECOND")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) kube_calls_per_second: Given<u32>,

    /// The address of the metadata API for steps [default: that of the Service relay-metadata-api
    /// in its namespace]
    #[arg(long, value_name = "URL", env = "RELAY_OPERATOR_METADATA_API_URL")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) metadata_api_url: Given<String>,

    /// The certificates that steps trust beside those of public authorities, as PEM, where that
    /// address begins with https:// [default: none]
    #[arg(long, value_name = "FILE", env = "RELAY_OPERATOR_METADATA_API_CA_FILE")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) metadata_api_ca_file: Given<PathBuf>,

    /// The image with the runtime tools, which each step's pod copies them from
    #[arg(long, value_name = "IMAGE", env = "RELAY_OPERATOR_RUNTIME_TOOLS_IMAGE")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) runtime_tools_image: Given<String>,

    /// When the images of steps are pulled: `Always`, `IfNotPresent` or `Never` [default: Always]
    #[arg(long, value_name = "POLICY", env = "RELAY_OPERATOR_IMAGE_PULL_POLICY")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) image_pull_policy: Given<PullPolicy>,

    /// How long a run may take, such as 2h [default: for ever]
    #[arg(long, value_name = "DURATION", env = "RELAY_OPERATOR_TIMEOUT")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) timeout: Given<Limit>,

    /// How long each step may take, such as 30m [default: for ever]
    #[arg(long, value_name = "DURATION", env = "RELAY_OPERATOR_STEP_TIMEOUT")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) step_timeout: Given<Limit>,

    /// How long an approval waits for its answer [default: 1h]
    #[arg(long, value_name = "DURATION", env = "RELAY_OPERATOR_APPROVAL_TIMEOUT")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) approval_timeout: Given<Limit>,

    /// The private key that signs tokens, as PEM: Ed25519, P-256 or RSA [default: one is made and
    /// kept in a Secret]
    #[arg(long, value_name = "FILE", env = "RELAY_OPERATOR_JWT_SIGNING_KEY_FILE")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) jwt_signing_key_file: Given<PathBuf>,

    /// The mount of Vault's transit engine, which then seals tokens [default: transit]
    ///
    /// Vault is used where this, the key, or `VAULT_ADDR` is given; how to reach it is read from the
    /// variables of its own tools, such as `VAULT_TOKEN` and `VAULT_CACERT`.
    #[arg(long, value_name = "PATH", env = "RELAY_OPERATOR_VAULT_TRANSIT_PATH")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) vault_transit_path: Given<String>,

    /// The key of that engine [default: metadata-api]
    #[arg(long, value_name = "NAME", env = "RELAY_OPERATOR_VAULT_TRANSIT_KEY")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) vault_transit_key: Given<String>,

    /// The port of /healthz, /readyz and /metrics; 0 takes a free one [default: 8080]
    #[arg(long, value_name = "PORT", env = "RELAY_OPERATOR_LISTEN_PORT")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) listen_port: Given<u16>,

    /// Log more
    #[arg(long, env = "RELAY_OPERATOR_DEBUG")]
    #[arg(num_args = 0..=1, default_missing_value = "true", default_value = "", hide_default_value = true)]
    pub(crate) debug: Given<bool>,

    /// How to log [default: json]
    #[arg(long, value_name = "FORMAT", env = "RELAY_OPERATOR_LOG_FORMAT")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) log_format: Given<LogFormat>,

    #[command(flatten)]
    pub(crate) admission: AdmissionOptions,

    #[command(flatten)]
    pub(crate) pods: PodOptions,
}

impl Options {
    pub(crate) fn is_standalone(&self) -> bool {
        self.standalone.0 == Some(true)
    }
}

/// What was given for an option, if anything: no text is nothing.
#[derive(Clone, Debug)]
pub(crate) struct Given<T>(pub(crate) Option<T>);

impl<T: FromStr> FromStr for Given<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        match text {
            "" => Ok(Self(None)),
            _ => text.parse().map(|given| Self(Some(given))),
        }
    }
}

/// When images are pulled.
#[derive(Clone, Debug)]
pub(crate) struct PullPolicy(pub(crate) String);

impl FromStr for PullPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "Always" | "IfNotPresent" | "Never" => Ok(Self(text.to_owned())),
            _ => Err("images are pulled Always, IfNotPresent or Never".to_owned()),
        }
    }
}

/// A time limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit(pub(crate) SignedDuration);

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let limit: SignedDuration = text.parse().map_err(|error| format!("{error}"))?;
        if limit <= SignedDuration::ZERO {
            return Err("a time limit has to be more than nothing".to_owned());
        }
        Ok(Self(limit))
    }
}

/// How to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        ValueEnum::from_str(text, false).map_err(|_| "logs are text or json".to_owned())
    }
}
