use axum::extract::State;
use oci_spec::distribution::Reference;
use relay_core::{MessageSource, Value};

use crate::answer::Document;
use crate::authentication::Authenticated;
use crate::error::ApiError;
use crate::reported::report;
use crate::router::App;

/// `POST /validate`: checks the spec against the schema of the step's image. That informs and never
/// blocks: what is wrong is told to the step's author, and the answer is null.
pub(crate) async fn validate(
    State(app): State<App>,
    caller: Authenticated,
) -> Result<Document, ApiError> {
    let definition = caller.definition()?;
    let nothing = Document::new(&Value::Null);
    let Some(schemas) = &app.schemas else {
        return Ok(nothing);
    };
    let spec = definition.spec().await.map_err(ApiError::reading)?;
    let spec = spec.ok_or(ApiError::NotFound)?;
    let evaluation = spec.resolve(&caller.resolver(false), app.clock.now()).await?;
    if !evaluation.is_complete() {
        return Ok(nothing);
    }
    let image = caller.image().and_then(|image| image.parse::<Reference>().ok());
    let image = image.ok_or(ApiError::ImageParse)?;
    if let Err(problem) = schemas.check(image.repository(), &evaluation.value) {
        let source = MessageSource::SpecValidation { expression: spec.source() };
        report(&app, &caller, source, &problem).await;
    }
    Ok(nothing)
}
