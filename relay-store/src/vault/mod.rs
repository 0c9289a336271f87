//! HashiCorp Vault, and OpenBao, which speaks the same: tokens sealed by its transit engine, checked
//! by its JWT login, and the secrets and connections of its key-value engine (`metadata-api.md`
//! §3.5, §6.5, `operator.md` §8).
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use relay_core::TokenSealer as _;
//! use relay_store::{VaultClient, VaultOptions, VaultTransit};
//!
//! let client = VaultClient::new("http://localhost:8200", &VaultOptions::default())?;
//! let transit = VaultTransit::new(client, "transit", "metadata-api")?;
//! let sealed = transit.seal("namespace-uid", &"token".to_owned().into()).await?;
//! assert!(sealed.starts_with("vault:v1:"));
//! # Ok(()) }
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | `options` | [`VaultOptions`]: how to reach it, from the variables that all its users know |
//! | `client` | [`VaultClient`]: requests, with limits and second attempts |
//! | `renewal` | [`VaultClient::keep_token`] |
//! | `path` | [`VaultPath`]: paths that no name can leave |
//! | `error` | [`VaultError`] |
//! | `transit` | [`VaultTransit`]: seals and unseals tokens |
//! | `session` | [`VaultLogin`] and [`VaultSession`]: what Vault lets one caller do |
//! | `secrets` | [`VaultSecrets`]: secrets and connections of one caller |

mod client;
mod error;
mod options;
mod path;
mod renewal;
mod secrets;
mod session;
mod transit;

pub use client::VaultClient;
pub use error::VaultError;
pub use options::VaultOptions;
pub use path::VaultPath;
pub use secrets::VaultSecrets;
pub use session::{VaultLogin, VaultSession};
pub use transit::VaultTransit;
