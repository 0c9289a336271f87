//! Reading from the API server.
//!
//! A reconcile reads one object after the other. If each failure began it anew, a server that fails
//! now and then would keep one that reads much from ever coming to its end; so a read is tried again
//! at once. A write is not: it may have been done, and what was done is seen by the next reconcile.

use std::time::Duration;

use crate::error::is_answer;

/// The waits between tries.
const WAITS: [Duration; 3] =
    [Duration::from_millis(5), Duration::from_millis(20), Duration::from_millis(80)];

/// Reads, up to four times while there is no answer.
pub(crate) async fn read<T, F>(call: impl Fn() -> F) -> Result<T, kube::Error>
where
    F: Future<Output = Result<T, kube::Error>>,
{
    for wait in WAITS {
        match call().await {
            Err(error) if !is_answer(&error) => tokio::time::sleep(wait).await,
            answered => return answered,
        }
    }
    call().await
}
