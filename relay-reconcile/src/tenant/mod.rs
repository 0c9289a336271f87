//! Tenant: a namespace for runs (`operator.md` §5).
//!
//! # Expected flow
//!
//! A tenant whose template names a namespace gets that namespace, labelled and linked back to it.
//! Any other uses the one it lives in. Status says which, and whether the event sink is usable.
//!
//! # Guarantees
//!
//! A namespace that is there and was not made for this tenant is neither changed nor deleted, nor
//! is `default` or any `kube-*`.
//!
//! # Assumptions
//!
//! One operator at a time works on a tenant.
//!
//! # Caveats
//!
//! Moving a tenant to another namespace deletes the old one with all that runs in it.
//!
//! # Errors
//!
//! Failed calls are tried again after two seconds; what needs a person is a condition, and is looked
//! at again every half minute.

mod controller;
mod reconcile;
mod report;

pub use controller::controller;
pub use reconcile::reconcile;
