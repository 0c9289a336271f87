use crate::answer::Document;

/// `GET /healthz`: the process serves. Says nothing of what is behind it.
pub(crate) async fn ping() -> Document {
    Document::object([("ping", "pong".into())])
}
