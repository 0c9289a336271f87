//! The stores of `relay-core` on Kubernetes and Vault: what the author wrote in an immutable ConfigMap, what
//! happened in a mutable one. Keys, escaping and the form of entries are defined here, once, for
//! the operator and the metadata API.
//!
//! ```no_run
//! # async fn example(client: kube::Client) -> Result<(), Box<dyn std::error::Error>> {
//! use relay_core::{Action, Journal as _};
//! use relay_store::ConfigMapJournal;
//!
//! let action = Action::step("deploy-1".parse()?, "build".parse()?);
//! let journal = ConfigMapJournal::new(client, "default", "deploy-1-mutable", action);
//! journal.set_output("artifact", "app.tar".into()).await?;
//! # Ok(()) }
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`key`] | the keys of both ConfigMaps |
//! | [`record`] | what is stored about a step, read and written |
//! | [`kubernetes_secrets`] | [`KubernetesSecrets`], the secrets and connections of a namespace |
//! | `watched` | [`Watches`], what keeps objects at hand |
//! | `sinks` | [`HttpEvents`] and [`HttpRuns`], where events and runs of other workflows go |
//! | [`vault`] | [`VaultTransit`], [`VaultLogin`] and [`VaultSecrets`] |
//! | `config_map` | [`ConfigMapDefinition`], [`Definitions`] and [`ConfigMapJournal`] |

mod config_map;
pub mod key;
pub mod kubernetes_secrets;
pub mod record;
mod sinks;
pub mod vault;
mod watched;

pub use config_map::{ConfigMapDefinition, ConfigMapJournal, Definitions};
pub use kubernetes_secrets::KubernetesSecrets;
pub use record::StepRecord;
pub use sinks::{HttpEvents, HttpRuns, SinkError, sink_client};
pub use vault::{
    VaultClient, VaultError, VaultLogin, VaultOptions, VaultPath, VaultSecrets, VaultSession,
    VaultTransit,
};
pub use watched::Watches;
