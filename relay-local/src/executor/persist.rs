//! Writing in spite of a cluster that is out of order for a while.

use std::time::Duration;

use kube::api::{Patch, PatchParams, PostParams, Request};
use kube::{Client, Error, Resource};
use serde::Serialize;
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

/// Makes an object, once.
///
/// # Errors
/// Whatever the API answers.
pub(super) async fn create<K>(client: &Client, namespace: &str, object: &K) -> Result<(), Error>
where
    K: Resource<DynamicType = ()> + Serialize,
{
    let body = serde_json::to_vec(object).map_err(Error::SerdeError)?;
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let request = Request::new(K::url_path(&(), Some(namespace))).create(&params, body);
    send(client, request).await
}

/// Writes the status of the object with this UID, again and again for as long as that can help.
/// An object that is gone needs no status.
pub(super) async fn status<K>(
    client: &Client,
    namespace: &str,
    (name, uid): (&str, &str),
    status: &impl Serialize,
) where
    K: Resource<DynamicType = ()>,
{
    #[derive(Serialize)]
    struct Status<'a, S> {
        metadata: Uid<'a>,
        status: &'a S,
    }
    #[derive(Serialize)]
    struct Uid<'a> {
        uid: &'a str,
    }
    let patch = Patch::Merge(Status { metadata: Uid { uid }, status });
    let path = Request::new(K::url_path(&(), Some(namespace)));
    let mut pauses = Pauses::new();
    loop {
        let request = path.patch_subresource("status", name, &params(), &patch);
        if is_settled(name, send(client, request).await, &mut pauses).await {
            return;
        }
    }
}

/// What `spec` says to ask for an object's end.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndRequest {
    pub(super) status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status_message: Option<&'static str>,
}

/// Asks for an object's end.
pub(super) async fn ask_to_end<K>(client: &Client, namespace: &str, name: &str, request: EndRequest)
where
    K: Resource<DynamicType = ()>,
{
    let patch = Patch::Merge(json!({"spec": request}));
    let path = Request::new(K::url_path(&(), Some(namespace)));
    let mut pauses = Pauses::new();
    loop {
        let request = path.patch(name, &params(), &patch);
        if is_settled(name, send(client, request).await, &mut pauses).await {
            return;
        }
    }
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}

/// Sends a write. Its answer is the whole object, which nobody here wants to read.
async fn send(
    client: &Client,
    request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
) -> Result<(), Error> {
    let request = request.map_err(Error::BuildRequest)?;
    client.request_text(request).await.map(drop)
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
