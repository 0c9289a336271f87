//! Time as the API writes it: whole seconds, UTC.

use jiff::Timestamp;

/// The present moment.
pub(crate) fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
