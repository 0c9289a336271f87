//! The domain of Relay: values, expressions, actions, tokens, and the traits that stores implement.
//!
//! A *workflow* is a graph of *steps*. A step asks for its spec, a tree of data in which
//! expressions refer to parameters, secrets and the outputs of other steps. This crate knows how
//! such trees are read and evaluated, who may ask for them, and through which traits the data comes
//! and goes. It knows nothing of Kubernetes and nothing of HTTP.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use relay_core::expr::{Expression, StoreResolver};
//! use relay_core::{Journal, Map, MemoryDefinition, MemoryJournal, Value};
//!
//! // What the author wrote for the step `deploy`.
//! let spec = Expression::parse(&Value::from_json(
//!     r#"{"file": {"$type": "Output", "from": "build", "name": "artifact"},
//!         "where": "${parameters.target}/app"}"#,
//! )?);
//!
//! // What the step `build` left behind, and what the run was given.
//! let journal = MemoryJournal::new();
//! journal.for_step("build".parse()?).set_output("artifact", "app.tar".into()).await?;
//! let parameters = Map::from([("target".into(), "staging".into())]);
//!
//! let resolver = StoreResolver {
//!     definition: Some(Arc::new(MemoryDefinition { parameters, ..Default::default() })),
//!     journal: Some(Arc::new(journal)),
//!     ..Default::default()
//! };
//! let evaluation = spec.resolve(&resolver, jiff::Timestamp::now()).await?;
//! assert_eq!(evaluation.value.to_json(), r#"{"file":"app.tar","where":"staging/app"}"#);
//! # Ok(()) }
//! ```
//!
//! | module | what it is about |
//! | --- | --- |
//! | [`value`] | JSON-like data that keeps integers, bytes and timestamps |
//! | [`yaml`] | YAML with tags and positions, and what it means as a tree |
//! | [`expr`] | the expression language |
//! | [`action`], [`claims`], [`token`], `key_pair`, [`seal`] | who calls, and how it proves that |
//! | [`store`] | the traits that other programs plug in, and their in-memory implementations |
//! | [`clock`] | time |
//! | [`image`] | what images run |

pub mod action;
pub mod claims;
pub mod clock;
pub mod expr;
pub mod image;
mod key_pair;
mod key_pem;
pub mod seal;
mod stack;
pub mod store;
pub mod token;
pub mod value;
pub mod yaml;

pub use action::{Action, ActionHash, NameError, RunId, StepName, TriggerName};
pub use claims::{Claims, ClaimsError};
pub use clock::{Clock, FixedClock, SystemClock};
pub use expr::Expression;
pub use image::{ImageError, ImageInspector, ImageProgram, MemoryImages, RegistryLogin};
pub use key_pair::{KeyError, SigningKey, VerifyingKeys};
pub use seal::{SealError, SealKeys, TokenSealer};
pub use store::{
    AuthenticateError, Authenticator, Caller, ConditionOutcome, Decorator, Definition, Event,
    EventSink, Journal, LaunchedRun, LogMessage, LogSink, MAX_CHOSEN, MAX_KEY, MemoryDefinition,
    MemoryJournal, MemorySecrets, Message, MessageSource, Output, Presented, ProcessState,
    RunLauncher, SecretStore, StepStatus, StoreError, Stores, WhenCondition, length_in_key,
};
pub use token::{Hs256Key, TokenError, TokenSigner, TokenVerifier};
pub use value::{JsonError, Map, Number, SecretValue, Value, ValueKind};
