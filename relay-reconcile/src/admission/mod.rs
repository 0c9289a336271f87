//! Admission of pods (`operator.md` §14): what the API server asks before it stores a pod of a
//! tenant's namespace, and what it is answered.
//!
//! | part | does |
//! | --- | --- |
//! | [`PodPolicy`] | what pods of tenants are made to be, and may not be |
//! | [`review`] | one question to its answer; pure |
//! | [`certificate`] | the certificate that the API server is shown, and its CA in the webhook's configuration |
//!
//! Which pods are asked about is decided by the webhook's configuration alone: its namespace selector
//! names the label that the Tenant reconciler gives to namespaces. Serving HTTPS is left to the
//! program.
//!
//! ```
//! use relay_reconcile::admission::{Outcome, PodPolicy, review};
//!
//! let question = br#"{
//!     "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
//!     "request": {
//!         "uid": "1", "operation": "CREATE", "namespace": "team-a",
//!         "resource": {"group": "", "version": "v1", "resource": "pods"},
//!         "object": {"spec": {"containers": [{"name": "step"}]}}
//!     }
//! }"#;
//! let reviewed = review(question, &PodPolicy::default())?;
//! assert_eq!(reviewed.outcome, Outcome::Patched);
//! let answer = serde_json::to_string(&reviewed.answer).unwrap();
//! assert!(answer.contains(r#""allowed":true"#));
//! # Ok::<(), relay_reconcile::admission::NotAReview>(())
//! ```

pub mod certificate;
mod enforce;
mod policy;
mod review;

pub use enforce::Violations;
pub use policy::{Dns, DnsError, DnsPolicy, PodPolicy};
pub use review::{NotAReview, Outcome, Reviewed, review};
