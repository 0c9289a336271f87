//! The metadata API: the small HTTP service that steps and triggers call while they run.
//!
//! It tells a caller its spec, secrets, conditions and environment, and takes its outputs, status
//! and decorators. A caller never names its run or itself: who it is follows from its credential.
//!
//! The API owns no data. An [`Authenticator`](relay_core::Authenticator) makes a
//! [`Caller`](relay_core::Caller) of each request, and the caller holds the stores that it may use:
//! hand in your own, and the API serves them.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::collections::HashMap;
//! use std::sync::Arc;
//!
//! use relay_core::{
//!     Action, Claims, Expression, Hs256Key, MemoryDefinition, MemoryJournal, Stores,
//!     TokenSigner as _, Value,
//! };
//! use relay_metadata::{Router, TokenAuthenticator};
//!
//! // One step of one run, and what its author wrote for it.
//! let step = Action::step("run-1".parse()?, "greet".parse()?);
//! let definition = MemoryDefinition {
//!     spec: Some(Expression::parse(&Value::map([("text", "Hello, ${parameters.who}!".into())]))),
//!     parameters: [("who".into(), "otter".into())].into(),
//!     ..Default::default()
//! };
//! let stores = Stores {
//!     definition: Some(Arc::new(definition)),
//!     journal: Some(Arc::new(MemoryJournal::new().for_step("greet".parse()?))),
//!     ..Default::default()
//! };
//!
//! // Who presents a token of this key is let in.
//! let key = Arc::new(Hs256Key::generate());
//! let token = key.sign(&Claims::for_action(&step)).await?;
//! let callers = Arc::new(HashMap::from([(step, stores)]));
//! let router = Router::new(Arc::new(TokenAuthenticator::new(key, callers)));
//!
//! // A step finds the API, and proves who it is, by a URL like this one.
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # use secrecy::ExposeSecret as _;
//! let url = format!("http://:{}@{}", token.expose_secret(), listener.local_addr()?);
//!
//! let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
//! let server = tokio::spawn(router.serve(listener, async { drop(stopped.await) }));
//! // … run steps with METADATA_API_URL set to the URL …
//! # drop(url);
//! drop(stop);
//! server.await?;
//! # Ok(()) }
//! ```
//!
//! [`Router`] is a [`tower::Service`] as well, so that it can be mounted elsewhere or called without
//! any socket.
//!
//! # Map
//!
//! | module | what it is about |
//! | --- | --- |
//! | `router` | the service: what is served, inside the layers that every request passes |
//! | `routes` | the table of what is served, and to whom: [`ROUTES`] |
//! | `exchange` | the outermost layer: request id, access log, security headers, time limit |
//! | `authentication` | one layer in front of every endpoint but the health check |
//! | `token` | callers that present a token: [`TokenAuthenticator`] |
//! | [`cluster`] | cluster mode: pods, by the address that they call from |
//! | [`sample`] | sample mode: runs from a file |
//! | `config_maps` | callers whose data is in ConfigMaps: [`ConfigMapStores`] |
//! | `endpoints` | what is done, one module per endpoint |
//! | `body`, `query`, `answer` | what comes in and goes out |
//! | `address` | addresses in claims and decorators |
//! | `catalogue`, `error` | the one table of errors, [`CATALOGUE`], and how they are answered |
//! | `metrics` | what is counted: [`Metrics`] |
//! | `schemas` | what specs look like: [`StepSchemas`] |
//! | `reported` | which errors were already told |
//! | `serve`, `tls`, `wire` | sockets: [`Router::serve`], [`serve_tls`], [`Tls`], the bytes of a connection |
//! | `keys` | the keys of tokens from files: [`SealKeyFiles`], [`VerifyingKeyFiles`] |
//! | `followed` | what is read from files, and read again when they change |

mod address;
mod answer;
mod authentication;
mod body;
mod catalogue;
pub mod cluster;
mod config_maps;
mod endpoints;
mod error;
mod exchange;
mod followed;
mod keys;
mod metrics;
mod query;
mod reported;
mod router;
mod routes;
pub mod sample;
mod schemas;
mod serve;
mod tls;
mod token;
mod wire;

pub use catalogue::{CATALOGUE, Entry};
pub use config_maps::ConfigMapStores;
pub use exchange::log_panics;
pub use keys::{KeyFiles, KeyFilesError, Keys, SealKeyFiles, VerifyingKeyFiles};
pub use metrics::Metrics;
pub use router::{Limits, Router};
pub use routes::{Access, ROUTES, Route};
pub use schemas::{SchemaError, StepSchemas};
pub use serve::serve_tls;
pub use tls::{Tls, TlsError, TlsFiles, TlsPair};
pub use token::{CallerStores, TokenAuthenticator};
