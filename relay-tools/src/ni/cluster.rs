//! `ni cluster`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use serde::Serialize;

use super::error::NiError;
use super::files::{self, Directory};
use super::part::{Part, decoded};
use super::{Printed, Settings};

const DEFAULT_NAME: &str = "default";

#[derive(Debug, Subcommand)]
pub(super) enum Cluster {
    /// Write a kubeconfig
    Config(Directory),
}

impl Cluster {
    pub(super) async fn run(self, settings: &Settings) -> Result<Printed, NiError> {
        let Self::Config(directory) = self;
        let Some(cluster) = Part::fetch(&settings.client()?, "cluster").await? else {
            return Ok(Printed::default());
        };
        let cluster = cluster.with_connection()?;
        let name = cluster.line("name")?.unwrap_or_else(|| DEFAULT_NAME.to_owned());
        let dir = files::below(&directory.or(settings.workspace.clone()), &name)?;
        let config = Kubeconfig::new(&cluster, &name)?;
        let text = serde_saphyr::to_string(&config).map_err(NiError::Yaml)?;
        files::write(&dir.join("kubeconfig"), text.as_bytes(), files::PRIVATE)?;
        Ok(Printed::default())
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Kubeconfig<'a> {
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    kind: &'static str,
    current_context: &'a str,
    clusters: [Named<'a, ClusterEntry>; 1],
    contexts: [Named<'a, ContextEntry<'a>>; 1],
    users: [Named<'a, UserEntry>; 1],
}

#[derive(Serialize)]
struct Named<'a, T> {
    name: &'a str,
    #[serde(flatten)]
    entry: T,
}

#[derive(Serialize)]
struct ClusterEntry {
    cluster: ClusterAccess,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ClusterAccess {
    server: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_authority_data: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    insecure_skip_tls_verify: bool,
}

#[derive(Serialize)]
struct ContextEntry<'a> {
    context: Context<'a>,
}

#[derive(Serialize)]
struct Context<'a> {
    cluster: &'a str,
    user: &'a str,
}

#[derive(Serialize)]
struct UserEntry {
    user: User,
}

#[derive(Serialize, Default)]
struct User {
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

impl<'a> Kubeconfig<'a> {
    /// The members have newer names in a connection and older ones in the cluster itself.
    fn new(cluster: &Part, name: &'a str) -> Result<Self, NiError> {
        let server = match cluster.line("server")? {
            Some(server) => server,
            None => cluster.line("url")?.ok_or_else(|| cluster.missing("server"))?,
        };
        let insecure = cluster.flag("insecure")?;
        // Tools refuse a file which has a certificate and says that it does not matter.
        let authority = if insecure { None } else { authority(cluster)? };
        let user = match cluster.line("token")? {
            // Tools refuse a user with two ways to log in.
            token @ Some(_) => User { token, ..User::default() },
            None => User {
                token: None,
                username: cluster.line("username")?,
                password: cluster.line("password")?,
            },
        };
        Ok(Self {
            api_version: "v1",
            kind: "Config",
            current_context: name,
            clusters: [Named {
                name,
                entry: ClusterEntry {
                    cluster: ClusterAccess {
                        server,
                        certificate_authority_data: authority,
                        insecure_skip_tls_verify: insecure,
                    },
                },
            }],
            contexts: [Named {
                name,
                entry: ContextEntry { context: Context { cluster: name, user: name } },
            }],
            users: [Named { name, entry: UserEntry { user } }],
        })
    }
}

/// The certificate as base64, from base64 or from PEM.
fn authority(cluster: &Part) -> Result<Option<String>, NiError> {
    for name in ["certificateAuthority", "cadata"] {
        if let Some(text) = cluster.text(name)? {
            return Ok(Some(STANDARD.encode(decoded(text.into_bytes()))));
        }
    }
    Ok(None)
}
