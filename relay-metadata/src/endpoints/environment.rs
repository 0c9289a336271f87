use axum::extract::{Path, State};
use relay_core::{Expression, Value};

use super::spec::evaluated;
use crate::answer::Document;
use crate::authentication::Authenticated;
use crate::error::ApiError;
use crate::router::App;

/// `GET /environment`: all variables. One that has no value fails them all.
pub(crate) async fn all(
    State(app): State<App>,
    caller: Authenticated,
) -> Result<Document, ApiError> {
    let environment = environment(&caller).await?;
    evaluated(&environment.resolve(&caller.resolver(false), app.clock.now()).await?)
}

/// `GET /environment/{name}`: one variable, without a look at the others.
pub(crate) async fn one(
    State(app): State<App>,
    caller: Authenticated,
    Path(name): Path<String>,
) -> Result<Document, ApiError> {
    let variable = environment(&caller).await?.get(&name).ok_or(ApiError::NotFound)?;
    evaluated(&variable.resolve(&caller.resolver(false), app.clock.now()).await?)
}

async fn environment(caller: &Authenticated) -> Result<Expression, ApiError> {
    let environment = caller.definition()?.environment().await.map_err(ApiError::reading)?;
    let null = Expression::data(Value::Null);
    environment.filter(|environment| *environment != null).ok_or(ApiError::NotFound)
}
