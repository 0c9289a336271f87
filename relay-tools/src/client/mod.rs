//! The metadata API, seen from a step.
//!
//! [`MetadataClient`] has one method for each call that the entrypoint and `ni` make. Who the
//! caller is follows from the URL's user information or, in a cluster, from the connection;
//! no call names a run or a step.

mod address;
mod answer;
mod authorities;
mod connections;
mod decorator;
mod error;
mod exchange;
mod log;
mod retry;
mod status;
pub mod transfer;

pub use address::{Address, AddressError};
pub use answer::{
    Answer, Conditions, Connection, Evaluated, Named, Output, StatusProperty, Unresolvable,
    WorkflowRun,
};
pub use authorities::{Authorities, AuthoritiesError, CA, CA_FILE};
pub use connections::Connections;
pub use decorator::Decorator;
pub use error::ClientError;
pub(crate) use error::chain;
pub(crate) use retry::Backoff;
pub use retry::Retry;
pub use status::{ProcessState, Status, WhenCondition, WhenStatus};

use std::sync::Arc;
use std::time::Duration;

use exchange::Request;
use http::StatusCode;
use serde_json::{Map, Value, json};

/// A client of the metadata API. Clones share connections.
///
/// ```
/// use std::time::Duration;
/// use relay_tools::client::{MetadataClient, Retry};
///
/// let client = MetadataClient::new("http://:token@127.0.0.1:7000", Duration::from_secs(10))?
///     .retrying(Retry::outages(Duration::from_secs(60)));
/// assert!(!format!("{client:?}").contains("token"));
/// # Ok::<(), relay_tools::client::ClientError>(())
/// ```
#[derive(Debug, Clone)]
pub struct MetadataClient {
    http: Connections,
    address: Arc<Address>,
    timeout: Duration,
    retry: Retry,
}

/// The query languages of `GET /spec`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// `a.b[0]`, with operators.
    Path,
    /// `text ${a.b}`.
    PathTemplate,
    /// `$.a.b`.
    JsonPath,
    /// `text {.a.b}`.
    JsonPathTemplate,
}

impl Language {
    /// The value of the parameter `lang`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::PathTemplate => "path-template",
            Self::JsonPath => "jsonpath",
            Self::JsonPathTemplate => "jsonpath-template",
        }
    }
}

impl MetadataClient {
    /// A client with connections of its own. `timeout` limits a single request; requests are
    /// not repeated unless [`MetadataClient::retrying`] says so. Of TLS, public authorities are
    /// trusted.
    ///
    /// # Errors
    /// [`ClientError::Address`].
    pub fn new(url: &str, timeout: Duration) -> Result<Self, ClientError> {
        Self::with_http(Connections::new(), url, timeout)
    }

    /// A client on connections that others use too, or that trust others too.
    ///
    /// # Errors
    /// [`ClientError::Address`], and where it is one of `https` [`ClientError::Authorities`].
    pub fn with_http(http: Connections, url: &str, timeout: Duration) -> Result<Self, ClientError> {
        let address = Address::parse(url)?;
        if address.is_tls() {
            http.with_tls()?;
        }
        Ok(Self { http, address: Arc::new(address), timeout, retry: Retry::never() })
    }

    /// The same client with another rule for repeating requests.
    #[must_use]
    pub fn retrying(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// `GET /spec`: the whole specification, or the answer to a query in a language.
    ///
    /// # Errors
    /// [`ClientError`]; status 422 if a query has no value, 404 if there is no specification.
    pub async fn spec(&self, query: Option<(&str, Language)>) -> Result<Evaluated, ClientError> {
        let pairs;
        let mut request = Request::get("/spec");
        if let Some((text, language)) = query {
            pairs = [("q", text), ("lang", language.name())];
            request = request.query(&pairs);
        }
        self.exchange(request).await?.with(StatusCode::OK)?.read()
    }

    /// `GET /environment`.
    ///
    /// # Errors
    /// [`ClientError`]; status 404 if the step has no environment.
    pub async fn environment(&self) -> Result<Evaluated, ClientError> {
        let reply = self.exchange(Request::get("/environment")).await?;
        reply.with(StatusCode::OK)?.read()
    }

    /// `GET /environment/{name}`: the value of one variable.
    ///
    /// # Errors
    /// [`ClientError`]; status 404 if there is no such variable.
    pub async fn variable(&self, name: &str) -> Result<Value, ClientError> {
        let request = Request::get("/environment").name(name)?;
        let variable: answer::Variable =
            self.exchange(request).await?.with(StatusCode::OK)?.read()?;
        Ok(variable.value)
    }

    /// `GET /conditions`, asked once.
    ///
    /// # Errors
    /// [`ClientError`]; status 422 if the conditions cannot be evaluated.
    pub async fn conditions(&self) -> Result<Conditions, ClientError> {
        let reply = self.exchange(Request::get("/conditions")).await?;
        reply.with(StatusCode::OK)?.read()
    }

    /// `PUT /status`: replaces what is known of the step.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put_status(&self, status: &Status) -> Result<(), ClientError> {
        let request = Request::put("/status").json(status)?;
        self.created(request).await
    }

    /// `PUT /outputs/{name}` with a JSON value; see [`transfer::encode`] for bytes.
    ///
    /// # Errors
    /// [`ClientError`]; status 413 if the value is too large.
    pub async fn put_output(&self, name: &str, value: &Value) -> Result<(), ClientError> {
        let request = Request::put("/outputs").name(name)?.json(value)?;
        self.created(request).await
    }

    /// `PUT /outputs/{name}/metadata`: whether the output is shown in the run's status.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put_output_metadata(
        &self,
        name: &str,
        sensitive: bool,
    ) -> Result<(), ClientError> {
        // Capitalised as `ni` has always sent it; servers accept both spellings.
        let request = Request::put("/outputs")
            .name(name)?
            .segment("metadata")
            .json(&json!({"Sensitive": sensitive}))?;
        self.created(request).await
    }

    /// `POST /validate`: asks the API to hold the specification against its schema. Findings
    /// become messages of the step; the answer says nothing.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn validate(&self) -> Result<(), ClientError> {
        let reply = self.exchange(Request::post("/validate")).await?;
        reply.with(StatusCode::OK).map(drop)
    }

    /// `POST /decorators/{name}`: attaches something to the step, in place of what had the name.
    ///
    /// # Errors
    /// [`ClientError`]; status 422, or 500 from older servers, if the URI is unusable.
    pub async fn post_decorator(
        &self,
        name: &str,
        decorator: &Decorator,
    ) -> Result<(), ClientError> {
        let request = Request::post("/decorators").name(name)?.json(decorator)?;
        self.created(request).await
    }

    /// `POST /workflows/{name}/run`: starts a run of another workflow. Repeating it starts
    /// another one.
    ///
    /// # Errors
    /// [`ClientError`]; status 403 if this run may not start others.
    pub async fn run_workflow(
        &self,
        name: &str,
        parameters: &Map<String, Value>,
    ) -> Result<WorkflowRun, ClientError> {
        let parameters: Map<_, _> = parameters
            .iter()
            .map(|(name, value)| (name.clone(), json!({"value": value})))
            .collect();
        let request = Request::post("/workflows")
            .name(name)?
            .segment("run")
            .json(&json!({"parameters": parameters}))?;
        let started: answer::Started =
            self.exchange(request).await?.with(StatusCode::CREATED)?.read()?;
        Ok(started.workflow_run)
    }

    async fn created(&self, request: Request<'_>) -> Result<(), ClientError> {
        let reply = self.exchange(request).await?;
        reply.with(StatusCode::CREATED).map(drop)
    }
}
