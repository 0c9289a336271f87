use relay_core::Value;

use crate::answer::Document;

/// `GET /healthz`: the process serves. Says nothing of what is behind it.
pub(crate) async fn ping() -> Document {
    Document::new(&Value::map([("ping", "pong".into())]))
}
