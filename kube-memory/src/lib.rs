//! An in-memory Kubernetes API for controllers and their tests.
//!
//! [`MemoryCluster`] stands where the connection to an API server would: [`kube::Client`] and all
//! that is built on it (`Api`, `watcher`, `reflector`, `Controller`, `Discovery`) work unchanged.
//!
//! ```
//! use k8s_openapi::api::core::v1::ConfigMap;
//! use kube::api::{Api, Patch, PatchParams};
//! use kube_memory::MemoryCluster;
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> kube::Result<()> {
//! let cluster = MemoryCluster::new();
//! let api: Api<ConfigMap> = Api::default_namespaced(cluster.client("default"));
//! let wanted = Patch::Apply(json!({
//!     "apiVersion": "v1",
//!     "kind": "ConfigMap",
//!     "metadata": { "name": "colours" },
//!     "data": { "sky": "blue" },
//! }));
//! let params = PatchParams::apply("painter");
//! api.patch("colours", &params, &wanted).await?;
//!
//! // What is there already is not written again.
//! let writes = cluster.writes();
//! api.patch("colours", &params, &wanted).await?;
//! assert_eq!(cluster.writes(), writes);
//! # Ok(())
//! # }
//! ```
//!
//! # What it does
//!
//! Objects of the built-in kinds and of kinds that a `CustomResourceDefinition` adds, created
//! through the API or with [`MemoryCluster::register`]; all verbs, with dry run; label and field
//! selectors and paging; JSON, merge and strategic merge patches and server-side apply with
//! `managedFields`; the status subresource, generations, finalizers, preconditions and the three
//! ways of deleting; namespaces that go with their content; validation, defaults and pruning by
//! structural schemas; watches with bookmarks, streaming lists and a bounded history; discovery.
//! A change that changes nothing leaves `resourceVersion` alone and wakes nobody.
//!
//! For tests: faults before or after a request ([`MemoryCluster::with_faults`]), a record of all
//! requests ([`MemoryCluster::requests`]), a count of changes ([`MemoryCluster::writes`]), and
//! the loss of history ([`MemoryCluster::compact`]).
//!
//! # Where it differs from an API server
//!
//! The tests run one suite against both. These differences are meant:
//!
//! - Garbage collection and the emptying of namespaces and definitions are done within the
//!   request that sets them off, and before it is answered, not some time later.
//! - No other controller is at work: a new namespace holds no `default` service account and no
//!   `kube-root-ca.crt`, deployments make no pods.
//! - Everyone may do everything: no authentication, authorization, quota, or admission beyond
//!   namespaces.
//! - Built-in kinds get the defaults that matter to most controllers (of namespaces, secrets,
//!   pods' phase, network policies, role bindings) and no others; their fields are checked for
//!   type, and for meaning only in metadata, config maps and secrets.
//! - Deletion knows no grace period. Pods vanish at once unless a finalizer holds them.
//! - CEL rules, conversion other than `None`, and the `scale` subresource are not there; of
//!   formats, dates, addresses and UUIDs are checked. Subresources other than `status` (and
//!   `finalize` of namespaces) answer 404.
//! - Apply patches are read as JSON, which is what `kube` sends. Lists are never served from the
//!   past: pages show the present state behind the place where the last one ended.
//! - Where a field has the wrong type the words of the message differ, the code and reason do not.
//!
//! # Modules
//!
//! | module | is about |
//! | --- | --- |
//! | `cluster` | the handle that users hold |
//! | `service`, `request`, `status`, `discovery` | HTTP: from a URL to a typed request, and the answers |
//! | `verbs` | what each request does to stored objects |
//! | `kind`, `schema` | what is served, and what objects may look like |
//! | `storage`, `watch` | objects, the history of their changes, and those who follow it |
//! | `ownership`, `strategic` | who owns which field; merging |
//! | `strategy`, `rules`, `names` | what the server sets, and what it refuses |
//! | `gc` | what follows from a deletion |
//! | `selector`, `fault`, `time` | selectors; faults on purpose; timestamps |

mod cluster;
mod discovery;
mod entries;
mod fault;
mod gc;
mod kind;
mod names;
mod ownership;
mod request;
mod rules;
mod schema;
mod selector;
mod service;
mod status;
mod storage;
mod strategic;
mod strategy;
mod time;
mod verbs;
mod watch;

pub use cluster::{MemoryCluster, RegisterError};
pub use fault::{Fault, RequestInfo};
pub use request::Verb;
pub use service::ResponseBody;
