//! Tenant: a namespace for runs (`operator.md` §5).
//!
//! # Expected flow
//!
//! 1. A tenant whose template names a namespace gets that namespace, labelled and linked back to it.
//!    Any other uses the one it lives in.
//! 2. Its runs get what they need there: an account for pods that may do nothing, rules for whom
//!    pods of runs may reach, rights for the metadata API and the operator; and in the tenant's own
//!    namespace the right to read its Secrets. A namespace that was made for the tenant is closed
//!    to all other traffic, and its containers have limits.
//! 3. Status says which namespace that is, and whether it and the sinks are usable.
//!
//! # Guarantees
//!
//! A namespace that is there and was not made for this tenant is neither changed nor deleted, nor
//! is `default` or any `kube-*`; nor is an object in it that happens to have one of our names. In a
//! namespace that was not made for a tenant nothing of ours concerns pods that are not of runs.
//!
//! # Assumptions
//!
//! One operator at a time works on a tenant.
//!
//! # Caveats
//!
//! Moving a tenant to another namespace deletes the old one, if it was made for it, with all that
//! runs in it, once the new one is ready. What was made in its own namespace stays until the tenant is deleted: runs may still
//! be there.
//!
//! # Errors
//!
//! Failed calls are tried again with back-off; what needs a person is a condition, and is looked at
//! again every ten seconds. Each tenant is looked at every ten minutes, since changes of its objects
//! wake nobody; but those of the Secrets that its sinks name do.

mod controller;
mod ensure;
mod objects;
mod policies;
mod reconcile;
mod report;
mod secrets;
pub(crate) mod sink;

pub use controller::controller;
pub(crate) use objects::step_account;
pub use policies::{Account, Limits, Network, Peer, Policies, Roles};
pub use reconcile::reconcile;
