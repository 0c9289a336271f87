//! Answers that are JSON documents.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use relay_core::Value;

/// A JSON document in transfer form: strings that JSON cannot carry are `$encoding` objects.
pub(crate) struct Document(String);

impl Document {
    /// The document of this value.
    pub(crate) fn new(value: &Value) -> Self {
        Self(value.to_json())
    }

    /// The same with a line feed at its end, as errors have it.
    pub(crate) fn line(value: &Value) -> Self {
        let mut text = value.to_json();
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
