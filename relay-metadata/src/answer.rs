//! Answers that are JSON documents.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use relay_core::Value;

/// A JSON document. Values of workflows are in transfer form, where strings that JSON cannot carry are
/// `$encoding` objects; what the API says itself is plain JSON.
pub(crate) struct Document(String);

impl Document {
    /// The document of this value.
    pub(crate) fn new(value: &Value) -> Self {
        Self(value.to_json())
    }

    /// The object of these members, which are put in the order of their names. The member `value` is
    /// in transfer form.
    pub(crate) fn object<const N: usize>(mut members: [(&'static str, Value); N]) -> Self {
        members.sort_unstable_by_key(|(name, _)| *name);
        let mut text = String::with_capacity(512);
        for (index, (name, value)) in members.iter().enumerate() {
            text.push_str(if index == 0 { "{\"" } else { ",\"" });
            text.push_str(name);
            text.push_str("\":");
            match *name {
                "value" => value.append_json(&mut text),
                _ => value.append_plain_json(&mut text),
            }
        }
        text.push('}');
        Self(text)
    }

    /// The document of a value with a line feed at its end, as errors have it.
    pub(crate) fn line(value: &Value) -> Self {
        let mut text = String::with_capacity(512);
        value.append_plain_json(&mut text);
        text.push('\n');
        Self(text)
    }
}

impl IntoResponse for Document {
    fn into_response(self) -> Response {
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        ([(header::CONTENT_TYPE, JSON)], self.0).into_response()
    }
}
