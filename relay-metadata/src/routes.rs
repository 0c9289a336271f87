//! What the API serves, as one table: the router is built from it, and tests enumerate it.

use std::fmt;
use std::sync::Arc;

use axum::http::{Method, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{MethodFilter, MethodRouter, any, on};
use tower::Layer;
use tower::layer::layer_fn;

use crate::endpoints::{
    conditions, decorators, environment, events, health, logs, outputs, secrets, spec, state,
    status, validate, workflows,
};
use crate::exchange::Exchange;
use crate::router::App;

/// One row of the table: a method on a path. Where `GET` is served, so is `HEAD`.
pub struct Route {
    method: Method,
    path: &'static str,
    access: Access,
    endpoint: fn(MethodFilter) -> MethodRouter<App>,
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody; a credential is not looked at.
    Anybody,
    /// A caller whose credential was accepted.
    Callers,
}

use Access::{Anybody, Callers};

/// All that the API serves.
///
/// An output may be called `metadata`, so reading one shares its path with writing the metadata of
/// an output: there the name in the path is that of a step for `GET` and of an output for `PUT`.
#[rustfmt::skip]
pub static ROUTES: &[Route] = &[
    Route::new(Method::GET, "/healthz", Anybody, |m| on(m, health::ping)),
    Route::new(Method::GET, "/conditions", Callers, |m| on(m, conditions::decide)),
    Route::new(Method::POST, "/decorators/{name}", Callers, |m| on(m, decorators::set)),
    Route::new(Method::GET, "/environment", Callers, |m| on(m, environment::all)),
    Route::new(Method::GET, "/environment/{name}", Callers, |m| on(m, environment::one)),
    Route::new(Method::POST, "/events", Callers, |m| on(m, events::emit)),
    Route::new(Method::POST, "/logs", Callers, |m| on(m, logs::create)),
    Route::new(Method::POST, "/logs/{name}/messages", Callers, |m| on(m, logs::append)),
    Route::new(Method::PUT, "/outputs/{name}", Callers, |m| on(m, outputs::set)),
    Route::new(Method::PUT, "/outputs/{name}/metadata", Callers, |m| on(m, outputs::describe)),
    Route::new(Method::GET, "/outputs/{name}/metadata", Callers, |m| on(m, outputs::get_called_metadata)),
    Route::new(Method::GET, "/outputs/{step}/{name}", Callers, |m| on(m, outputs::get)),
    Route::new(Method::GET, "/secrets/{name}", Callers, |m| on(m, secrets::get)),
    Route::new(Method::GET, "/spec", Callers, |m| on(m, spec::get)),
    Route::new(Method::GET, "/state/{name}", Callers, |m| on(m, state::get)),
    Route::new(Method::PUT, "/status", Callers, |m| on(m, status::replace)),
    Route::new(Method::POST, "/validate", Callers, |m| on(m, validate::validate)),
    Route::new(Method::POST, "/workflows/{name}/run", Callers, |m| on(m, workflows::run)),
];

impl Route {
    const fn new(
        method: Method,
        path: &'static str,
        access: Access,
        endpoint: fn(MethodFilter) -> MethodRouter<App>,
    ) -> Self {
        Self { method, path, access, endpoint }
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The path, with `{name}` for segments that vary.
    #[must_use]
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// Who may use it.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }

    /// Whether requests with this method come to its endpoint.
    pub(crate) fn serves(&self, method: &Method) -> bool {
        self.method == method || (self.method == Method::GET && method == Method::HEAD)
    }

    /// The endpoint, and what answers to other methods, inside the layer of all requests.
    fn endpoint(&'static self, app: &App) -> Option<MethodRouter<App>> {
        let endpoint = (self.endpoint)(MethodFilter::try_from(self.method.clone()).ok()?);
        Some(endpoint.layer(exchange(app, Some(self))))
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} for {:?}", self.method, self.path, self.access)
    }
}

/// The router of the whole table.
pub(crate) fn table(app: &App) -> axum::Router {
    let router =
        ROUTES.iter().fold(axum::Router::new(), |router, route| match route.endpoint(app) {
            Some(endpoint) => router.route(route.path, endpoint),
            None => router,
        });
    let nothing = any(nothing_there).layer(exchange(app, None));
    router.fallback_service(nothing).with_state(Arc::clone(app))
}

fn exchange(
    app: &App,
    route: Option<&'static Route>,
) -> impl Layer<axum::routing::Route, Service = Exchange<axum::routing::Route>> + Clone + use<> {
    let app = Arc::clone(app);
    layer_fn(move |inner| Exchange { app: Arc::clone(&app), route, inner })
}

async fn nothing_there() -> impl IntoResponse {
    const TEXT: &str = "text/plain; charset=utf-8";
    (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, TEXT)], "404 page not found\n")
}
