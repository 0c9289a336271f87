//! What the images of steps run, asked for beside the reconciles (`operator.md` §11).
//!
//! A run with a step that names neither a command nor a script waits until its image's registry has
//! answered, or has not for a while; other runs do not wait with it. Answers are kept.
//!
//! Who may write a workflow names the registry: what the operator can reach by HTTPS, such an author
//! can make it ask. A network policy for the operator keeps that to public addresses. Eight registries
//! are asked at once, of each document 4 MiB are read, one login gets 15 s and an image a minute.
//!
//! | module | holds |
//! | --- | --- |
//! | `lookups` | which images are being asked for, what was found, and who waits for it |
//! | `logins` | the logins of a namespace's pull Secrets |
//! | `registry` | [`Registry`], which asks registries |
//! | `nearby` | [`Registries`], which knows that some speak no TLS |

mod logins;
mod lookups;
mod nearby;
mod registry;

pub(crate) use lookups::{Found, Lookups};
pub use nearby::Registries;
pub use registry::{Registry, RegistryOptions};
