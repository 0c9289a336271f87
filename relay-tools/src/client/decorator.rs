//! What a step shows to people beside its status.

use serde::Serialize;

/// Something attached to a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Decorator {
    /// A link.
    Link {
        /// Its text.
        description: String,
        /// Where it leads; an absolute URI.
        uri: String,
    },
}
