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
//! | `logs` | [`ObjectLogs`], the output of steps in an object store |
//! | `sinks` | [`HttpEvents`] and [`HttpRuns`], where events and runs of other workflows go |
//! | [`vault`] | [`VaultTransit`], [`VaultLogin`] and [`VaultSecrets`] |
//! | `config_maps` | [`ConfigMaps`], how the maps of runs are read: by watches or by name |
//! | `config_map` | [`ConfigMapDefinition`] and [`ConfigMapJournal`], what a caller has in them |
//! | `stored` | one ConfigMap, read and written |

mod config_map;
mod config_maps;
pub mod key;
pub mod kubernetes_secrets;
mod logs;
pub mod record;
mod sinks;
mod stored;
pub mod vault;
mod watched;

pub use config_map::{ConfigMapDefinition, ConfigMapJournal};
pub use config_maps::ConfigMaps;
pub use kubernetes_secrets::KubernetesSecrets;
pub use logs::{ObjectLogs, StorageError};
pub use record::StepRecord;
pub use sinks::{HttpEvents, HttpRuns, SinkError, sink_client};
pub use vault::{
    VaultClient, VaultError, VaultLogin, VaultOptions, VaultPath, VaultSecrets, VaultSession,
    VaultTransit,
};
pub use watched::Watches;
