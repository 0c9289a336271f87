//! Writing in spite of a cluster that is out of order for a while.

use std::time::Duration;

use kube::api::{Api, Patch, PatchParams};
use kube::{Error, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// Who writes, for the record of field owners.
const MANAGER: &str = "relay-executor";

/// How a failed request is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The same request may succeed later.
    Transient,
    /// The object is no longer there, or another one has its name.
    Gone,
    /// The request is refused for good.
    Final,
}

impl Failure {
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::Api(status) => match status.code {
                404 => Self::Gone,
                409 if status.message.contains("UID in precondition") => Self::Gone,
                409 if status.reason == "Conflict" => Self::Transient,
                408 | 425 | 429 | 500.. => Self::Transient,
                _ => Self::Final,
            },
            Error::HyperError(_) | Error::Service(_) | Error::ReadEvents(_) => Self::Transient,
            _ => Self::Final,
        }
    }
}

/// Pauses that grow from 10 ms to 5 s.
#[derive(Debug)]
pub(super) struct Pauses(Duration);

impl Pauses {
    pub(super) const fn new() -> Self {
        Self(Duration::from_millis(10))
    }

    pub(super) fn next(&mut self) -> Duration {
        const LONGEST: Duration = Duration::from_secs(5);
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST);
        pause
    }
}

/// Writes the status of the object with this UID, again and again for as long as that can help.
/// An object that is gone needs no status.
pub(super) async fn status<K>(api: &Api<K>, name: &str, uid: &str, status: &impl Serialize)
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
{
    let patch = json!({"metadata": {"uid": uid}, "status": status});
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let mut pauses = Pauses::new();
    loop {
        let done = api.patch_status(name, &params, &Patch::Merge(&patch)).await.map(drop);
        if is_settled(name, done, &mut pauses).await {
            return;
        }
    }
}

/// Sets `spec.status`, which asks for an object's end.
pub(super) async fn ask_to_end<K>(api: &Api<K>, name: &str, word: &str)
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
{
    let patch = json!({"spec": {"status": word}});
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let mut pauses = Pauses::new();
    loop {
        let done = api.patch(name, &params, &Patch::Merge(&patch)).await.map(drop);
        if is_settled(name, done, &mut pauses).await {
            return;
        }
    }
}

/// Whether a write has to be tried again; if so, waits until then.
async fn is_settled(name: &str, done: Result<(), Error>, pauses: &mut Pauses) -> bool {
    let Err(error) = done else { return true };
    match Failure::of(&error) {
        Failure::Transient => {
            tracing::debug!(name, %error, "a write is tried again");
            tokio::time::sleep(pauses.next()).await;
            false
        }
        Failure::Gone => true,
        Failure::Final => {
            tracing::error!(name, %error, "a write was refused");
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    #[test]
    fn failures_are_told_apart() {
        let precondition = "Precondition failed: UID in precondition: a, UID in object meta: b";
        for (code, reason, message, failure) in [
            (404, "NotFound", "", Failure::Gone),
            (409, "Conflict", precondition, Failure::Gone),
            (409, "Conflict", "the object has been modified", Failure::Transient),
            (409, "AlreadyExists", "", Failure::Final),
            (422, "Invalid", "", Failure::Final),
            (403, "Forbidden", "", Failure::Final),
            (429, "TooManyRequests", "", Failure::Transient),
            (503, "ServiceUnavailable", "", Failure::Transient),
        ] {
            let status = Status::failure(message, reason).with_code(code);
            assert_eq!(Failure::of(&Error::Api(Box::new(status))), failure, "{code}");
        }
    }
}
