//! Options about the pods of runs: whom they may reach, and where their images are from.

use std::str::FromStr;

use clap::Args;
use relay_reconcile::RegistryOptions;
use relay_reconcile::tenant::{Network, Policies};

use crate::options::Given;

/// How tenants' namespaces differ from those of a plain installation.
#[derive(Args, Debug)]
pub(crate) struct PodOptions {
    /// The namespace of the metadata API, which steps may reach [default: the operator's own]
    #[arg(long, value_name = "NAMESPACE", env = "RELAY_OPERATOR_METADATA_API_NAMESPACE")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) metadata_api_namespace: Given<String>,

    /// The labels of its pods [default: those of the manifests]
    #[arg(long, value_name = "NAME=VALUE,…", env = "RELAY_OPERATOR_METADATA_API_LABELS")]
    #[arg(default_value = "", hide_default_value = true)]
    metadata_api_labels: Given<Labels>,

    /// The port that they listen on [default: 7000]
    #[arg(long, value_name = "PORT", env = "RELAY_OPERATOR_METADATA_API_PORT")]
    #[arg(default_value = "", hide_default_value = true)]
    metadata_api_port: Given<u16>,

    /// Secrets, in the namespaces of runs, with which their images are pulled
    #[arg(long, value_name = "NAME,…", env = "RELAY_OPERATOR_IMAGE_PULL_SECRET")]
    #[arg(default_value = "", hide_default_value = true)]
    image_pull_secret: Given<Names>,

    /// Registries that speak no TLS; those on private addresses need not be named
    #[arg(long, value_name = "HOST:PORT,…", env = "RELAY_OPERATOR_PLAIN_REGISTRY")]
    #[arg(default_value = "", hide_default_value = true)]
    plain_registry: Given<Names>,
}

impl PodOptions {
    /// What tenants are given by an operator in this namespace.
    pub(crate) fn policies(&self, own: &str) -> Policies {
        let mut policies = Policies::installed_in(own);
        if let Some(namespace) = &self.metadata_api_namespace.0 {
            policies.metadata_api.namespace.clone_from(namespace);
        }
        if let Network::Closed { metadata_api, .. } = &mut policies.network {
            metadata_api.namespace.clone_from(&policies.metadata_api.namespace);
            if let Some(Labels(labels)) = &self.metadata_api_labels.0 {
                metadata_api.labels.clone_from(labels);
            }
            if let Some(port) = self.metadata_api_port.0 {
                metadata_api.ports = vec![("TCP", port)];
            }
        }
        policies.image_pull_secrets = self.image_pull_secret.0.clone().unwrap_or_default().0;
        policies
    }

    pub(crate) fn registries(&self) -> RegistryOptions {
        let plain = self.plain_registry.0.clone().unwrap_or_default().0;
        RegistryOptions { plain, ..RegistryOptions::default() }
    }
}

/// Names with commas between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Names(Vec<String>);

impl FromStr for Names {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names: Vec<_> = text.split(',').map(|name| name.trim().to_owned()).collect();
        if names.iter().any(String::is_empty) {
            return Err("there is a comma too many".to_owned());
        }
        Ok(Self(names))
    }
}

/// Labels with commas between them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Labels(Vec<(String, String)>);

impl FromStr for Labels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let labels = text.split(',').map(|label| {
            let (name, value) = label.split_once('=')?;
            (!name.trim().is_empty()).then(|| (name.trim().to_owned(), value.trim().to_owned()))
        });
        let labels: Option<_> = labels.collect();
        Ok(Self(labels.ok_or("labels are written NAME=VALUE, with commas between them")?))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::options::Options;

    fn options(arguments: &[&str]) -> PodOptions {
        Options::parse_from(["relay-operator"].iter().chain(arguments)).pods
    }

    #[test]
    fn what_tenants_are_given() {
        let policies = options(&[]).policies("relay-system");
        assert_eq!(policies, Policies::default());
        let policies = options(&[
            "--metadata-api-namespace=other",
            "--metadata-api-labels=app=api, x/y=z",
            "--metadata-api-port=443",
            "--image-pull-secret=one,two",
        ])
        .policies("relay-system");
        assert_eq!(policies.metadata_api.namespace, "other");
        assert_eq!(policies.operator.unwrap().namespace, "relay-system");
        assert_eq!(policies.image_pull_secrets, ["one", "two"]);
        let Network::Closed { metadata_api, .. } = policies.network else { panic!("closed") };
        assert_eq!(metadata_api.namespace, "other");
        let labels = [("app", "api"), ("x/y", "z")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(metadata_api.labels, labels);
        assert_eq!(metadata_api.ports, [("TCP", 443)]);
    }

    #[test]
    fn registries() {
        assert_eq!(options(&[]).registries(), RegistryOptions::default());
        let registries = options(&["--plain-registry=r.test:5000,s.test"]).registries();
        assert_eq!(registries.plain, ["r.test:5000", "s.test"]);
    }
}
