use axum::extract::{RawQuery, State};
use relay_core::expr::{self, Evaluation, Language};

use crate::answer::Document;
use crate::authentication::Authenticated;
use crate::error::ApiError;
use crate::query::Query;
use crate::router::App;

/// `GET /spec`: the spec, or with `q` what a query finds in it. Only what the query touches is
/// evaluated.
pub(crate) async fn get(
    State(app): State<App>,
    caller: Authenticated,
    RawQuery(query): RawQuery,
) -> Result<Document, ApiError> {
    let spec = caller.definition()?.spec().await.map_err(ApiError::reading)?;
    let spec = spec.ok_or(ApiError::NotFound)?;

    let asked = Query::parse(query.as_deref().unwrap_or_default());
    let language = Language::from_name(asked.language.as_deref())
        .map_err(|unknown| ApiError::UnsupportedLanguage { language: unknown.0 })?;

    let (resolver, now) = (caller.resolver(false), app.clock.now());
    let evaluation = match asked.text.as_deref() {
        None | Some("") => spec.resolve(&resolver, now).await?,
        Some(text) => {
            let query = expr::Query::parse(language, text);
            let query = query.map_err(|problem| ApiError::evaluation(&problem))?;
            spec.resolve_query(&query, &resolver, now).await?
        }
    };
    evaluated(&evaluation)
}

/// The envelope around every evaluated tree.
pub(super) fn evaluated(evaluation: &Evaluation) -> Result<Document, ApiError> {
    if let Some(path) = evaluation.value.first_unencodable() {
        let problem = expr::Cause::NotEncodable;
        let place = if path.is_empty() { String::new() } else { format!("{}: ", path.join(".")) };
        return Err(ApiError::Evaluation { problem: format!("{place}{problem}") });
    }
    Ok(Document::object([
        ("complete", evaluation.is_complete().into()),
        ("unresolvable", evaluation.unresolvable.to_wire()),
        ("value", evaluation.value.clone()),
    ]))
}
