//! Errors as answers: the envelope, the text with its arguments, and what becomes of the errors of
//! the stores and of evaluation.

use std::fmt;

use axum::response::{IntoResponse, Response};
use relay_core::expr::{self, ResolveError};
use relay_core::{StoreError, Value};

use crate::answer::Document;
pub(crate) use crate::catalogue::ApiError;

impl ApiError {
    /// A body that is not what the endpoint takes, because of this.
    pub(crate) fn malformed(problem: impl fmt::Display) -> Self {
        Self::Malformed { problem: problem.to_string() }
    }

    /// An expression that has no value, because of this.
    pub(crate) fn evaluation(problem: &expr::Error) -> Self {
        Self::Evaluation { problem: problem.to_string() }
    }

    /// A read that failed. A name that the store refuses is one that nothing can have.
    pub(crate) fn reading(error: StoreError) -> Self {
        match error {
            StoreError::Refused { .. } => Self::NotFound,
            StoreError::Forbidden { .. } => Self::Forbidden,
            error => {
                tracing::error!(error = %Chain(&error), "could not read");
                Self::Read
            }
        }
    }

    /// A write that failed.
    pub(crate) fn writing(error: StoreError) -> Self {
        match error {
            StoreError::Refused { problem, .. } => Self::Unstorable { problem },
            StoreError::TooLarge { size, .. } => {
                Self::StoreFull { size: i64::try_from(size).unwrap_or(i64::MAX) }
            }
            error => {
                tracing::error!(error = %Chain(&error), "could not write");
                Self::Write
            }
        }
    }

    /// A delivery that failed.
    pub(crate) fn delivering(error: &StoreError) -> Self {
        tracing::error!(error = %Chain(error), "could not deliver");
        Self::Undelivered
    }

    /// The text, with its arguments.
    fn text(&self, arguments: &[(&'static str, Value)]) -> String {
        let mut text = String::new();
        let mut rest = self.entry().template;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((field, after)) = after.split_once("}}") else {
                break;
            };
            text.push_str(before);
            let (style, name) = field.split_once(' ').unwrap_or(("", field));
            if let Some((_, argument)) = arguments.iter().find(|(known, _)| *known == name) {
                text.push_str(&styled(style, argument));
            }
            rest = after;
        }
        text.push_str(rest);
        text
    }
}

/// A backend that fails is no fault of the caller, what it asks for in vain is.
impl From<ResolveError> for ApiError {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Evaluate(problem) => Self::evaluation(&problem),
            ResolveError::Store(StoreError::Refused { problem, .. }) => {
                Self::Evaluation { problem }
            }
            ResolveError::Store(error @ StoreError::Forbidden { .. }) => {
                Self::Evaluation { problem: error.to_string() }
            }
            ResolveError::Store(error) => Self::reading(error),
            error => {
                tracing::error!(error = %Chain(&error), "could not evaluate");
                Self::Internal
            }
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(&self.arguments()))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let entry = self.entry();
        let arguments = self.arguments();
        let formatted = self.text(&arguments);
        let mut code = entry.code.splitn(3, '_');
        let mut error = vec![
            ("domain", code.next().unwrap_or_default().into()),
            ("section", code.next().unwrap_or_default().into()),
            ("code", entry.code.into()),
            ("title", entry.title.into()),
            ("description", for_both_readers(entry.template.into())),
            ("formatted", for_both_readers(formatted.into())),
        ];
        if !arguments.is_empty() {
            error.push(("arguments", Value::map(arguments)));
        }
        let document = Document::line(&Value::map([("error", Value::map(error))]));
        (entry.status, document).into_response()
    }
}

/// Friendly and technical texts have always been the same.
fn for_both_readers(text: Value) -> Value {
    Value::map([("friendly", text.clone()), ("technical", text)])
}

fn styled(style: &str, argument: &Value) -> String {
    let plain = |value: &Value| match value.as_str() {
        Some(text) => text.to_owned(),
        None => value.to_json(),
    };
    match style {
        "pre" => format!("`{}`", plain(argument)),
        "quote" => quoted(&plain(argument)),
        "list" => {
            let items = argument.as_list().unwrap_or_default();
            items.iter().map(|item| format!("* {}", plain(item))).collect::<Vec<_>>().join("\n")
        }
        _ => plain(argument),
    }
}

/// Between double quotes, with the escapes of most languages.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// An error with all its sources, for the log.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn std::error::Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
