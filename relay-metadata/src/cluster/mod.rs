//! Cluster mode (`metadata-api.md` §3.5, `design.md` decisions 1, 2, 6 and 7): who calls is known by
//! the address of the connection, and no header matters.
//!
//! ```text
//! address ─▶ pod ─▶ sealed token ─▶ claims ─▶ stores
//!         index   annotation   unsealed and     ConfigMaps and Secrets held by watches,
//!       by a watch             verified once    sinks that the claims name
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | `pod` | what is kept of a pod |
//! | `index` | [`PodIndex`]: pods by address |
//! | `authenticator` | [`PodAuthenticator`] |
//! | `stores` | [`ClusterStores`]: what a caller may use |

mod authenticator;
mod index;
mod pod;
mod stores;

pub use authenticator::PodAuthenticator;
pub use index::PodIndex;
pub use stores::ClusterStores;
