//! The reconcilers of Relay: they turn custom resources into pipelines, and what happened into
//! status.
//!
//! Every reconciler has four parts, and only the first and the third touch the network:
//!
//! | part | does |
//! | --- | --- |
//! | observe | loads the object and what it depends on |
//! | plan | the observed world to what has to be done; pure |
//! | apply | does it, in order, each action safe to repeat |
//! | report | the observed world to status; pure |
//!
//! So a reconcile that is interrupted after any call, repeated, or run against a stale cache ends
//! in the same state. How a step is carried out is none of their business: Tekton does that in a
//! cluster, and the executor of `relay-local` on one machine.
//!
//! ```no_run
//! # async fn example(client: kube::Client) -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use relay_core::{Hs256Key, SealKeys, SystemClock};
//! use relay_reconcile::{ClusterSecrets, Context, Registries, Settings, Telemetry};
//!
//! let secrets = ClusterSecrets::new(client.clone());
//! let context = Arc::new(Context {
//!     client,
//!     settings: Settings::default(),
//!     signer: Arc::new(Hs256Key::generate()),
//!     sealer: Arc::new(SealKeys::generate()),
//!     secrets: Arc::new(secrets),
//!     clock: Arc::new(SystemClock),
//!     telemetry: Telemetry::default(),
//!     images: Some(Arc::new(Registries::default())),
//! });
//! let stopped = std::future::pending();
//! relay_reconcile::run::controller(context, stopped).await;
//! # Ok(()) }
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`run`] | Run: to a Tekton PipelineRun and back to status; gates |
//! | [`tenant`] | Tenant: to a namespace with what runs need in it |
//! | [`admission`] | pods of tenants: what they are made to be; the certificate of that |
//! | [`requirements`], [`keys`], [`leader`] | what an operator process sees to before controllers work |
//! | [`telemetry`] | numbers for Prometheus, Events on objects |

pub mod admission;
mod context;
mod dependency;
mod error;
mod image;
pub mod keys;
pub mod leader;
mod read;
mod requeue;
pub mod requirements;
pub mod run;
pub mod telemetry;
pub mod tenant;
mod trim;
mod unread;

pub use context::{ClusterSecrets, Context, Environment, SecretStores, Settings, SharedSecrets};
pub use dependency::DependencyOf;
pub use error::Error;
pub use image::{Registries, Registry, RegistryOptions};
pub use telemetry::Telemetry;
