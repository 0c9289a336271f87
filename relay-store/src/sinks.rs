//! What leaves a run by HTTP: events, and runs of other workflows. Each goes to the address that the
//! caller's claims name, with the token that they hold, and nowhere else.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use relay_core::{Event, EventSink, LaunchedRun, Map, RunLauncher, StoreError, Value};
use reqwest::{Client, RequestBuilder, Url, header, redirect};
use secrecy::{ExposeSecret as _, SecretString};

/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const LONGEST: usize = 64 << 10;

/// Why an address cannot be used, or what came of using it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The text is no address of HTTP.
    #[error("the address is no http or https URL")]
    Address,
    /// The receiver did not take it.
    #[error("the answer was {0}")]
    Status(u16),
    /// What the receiver answered is not what it has to.
    #[error("the answer is not understood")]
    Answer,
}

/// A client for both: ten seconds for each request, and no redirects, which would carry tokens away.
///
/// # Errors
///
/// When TLS cannot be set up.
pub fn sink_client() -> Result<Client, reqwest::Error> {
    Client::builder().timeout(PATIENCE).redirect(redirect::Policy::none()).no_proxy().build()
}

#[derive(Clone)]
struct Receiver {
    client: Client,
    url: Url,
    token: SecretString,
}

impl Receiver {
    fn new(client: Client, url: &str, token: SecretString) -> Result<Self, SinkError> {
        let url = Url::parse(url).map_err(|_| SinkError::Address)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(SinkError::Address);
        }
        Ok(Self { client, url, token })
    }

    async fn post(&self, request: RequestBuilder, body: &Value) -> Result<Vec<u8>, Failure> {
        let answer = request.bearer_auth(self.token.expose_secret()).body(body.to_json()).send();
        // An address may hold a password or a key in its query, and errors are logged.
        let mut answer = answer.await.map_err(reqwest::Error::without_url)?;
        if !answer.status().is_success() {
            return Err(SinkError::Status(answer.status().as_u16()).into());
        }
        let mut text = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
            text.extend_from_slice(&piece);
            if text.len() > LONGEST {
                return Err(SinkError::Answer.into());
            }
        }
        Ok(text)
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // User info of a URL may be a password.
        f.debug_tuple("Receiver").field(&self.url.host_str()).finish()
    }
}

/// The sink of a tenant, for the events of one trigger.
#[derive(Clone, Debug)]
pub struct HttpEvents {
    receiver: Receiver,
    trigger: String,
}

impl HttpEvents {
    /// Sends the events of this trigger to this address.
    ///
    /// # Errors
    ///
    /// When the address is none.
    pub fn new(
        client: Client,
        url: &str,
        token: SecretString,
        trigger: &str,
    ) -> Result<Self, SinkError> {
        let receiver = Receiver::new(client, url, token)?;
        Ok(Self { receiver, trigger: trigger.to_owned() })
    }
}

#[async_trait]
impl EventSink for HttpEvents {
    async fn emit(&self, event: Event) -> Result<(), StoreError> {
        let trigger = Value::map([("name", self.trigger.as_str().into())]);
        let source = Value::map([("type", "trigger".into()), ("trigger", trigger)]);
        let mut body = vec![("source", source), ("data", Value::from(event.data))];
        body.extend(event.key.map(|key| ("key", key.into())));

        let request = self.receiver.client.post(self.receiver.url.clone());
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let sent = self.receiver.post(request, &Value::map(body)).await;
        sent.map(drop).map_err(|source| StoreError::Backend {
            doing: format!("send an event of trigger {:?}", self.trigger),
            source,
        })
    }
}

/// Where runs of workflows are started.
#[derive(Clone, Debug)]
pub struct HttpRuns(Receiver);

impl HttpRuns {
    /// Starts runs at this address, below which `/api/workflows` is.
    ///
    /// # Errors
    ///
    /// When the address is none.
    pub fn new(client: Client, url: &str, token: SecretString) -> Result<Self, SinkError> {
        Receiver::new(client, url, token).map(Self)
    }

    fn address(&self, workflow: &str) -> Result<Url, SinkError> {
        let mut url = self.0.url.clone();
        url.set_query(None);
        url.set_fragment(None);
        let mut path = url.path_segments_mut().map_err(|()| SinkError::Address)?;
        path.pop_if_empty().extend(["api", "workflows", workflow, "runs"]);
        drop(path);
        Ok(url)
    }

    async fn start(&self, workflow: &str, parameters: Map) -> Result<LaunchedRun, Failure> {
        const TYPE: &str = "application/vnd.puppet.relay.v20200615+json";
        let parameters = parameters.into_iter().map(|(name, value)| {
            let value = (!value.is_null()).then_some(("value", value));
            (name, Value::map(value))
        });
        let body = Value::map([("parameters", Value::map(parameters))]);
        let request = self.0.client.post(self.address(workflow)?);
        let request = request.header(header::CONTENT_TYPE, TYPE).header(header::ACCEPT, TYPE);
        let answer = self.0.post(request, &body).await?;
        let answer = String::from_utf8(answer).map_err(|_| SinkError::Answer)?;
        let answer = Value::from_json(&answer).map_err(|_| SinkError::Answer)?;
        let run = answer.get("run").ok_or(SinkError::Answer)?;
        let number = run.get("run_number").and_then(Value::as_i64).ok_or(SinkError::Answer)?;
        let url = run.get("app_url").and_then(Value::as_str).map(str::to_owned);
        Ok(LaunchedRun { number, url })
    }
}

#[async_trait]
impl RunLauncher for HttpRuns {
    async fn launch(&self, workflow: &str, parameters: Map) -> Result<LaunchedRun, StoreError> {
        // A dot segment would lead elsewhere, and so would what URLs are written without: line
        // breaks and tabs vanish from them, which makes another name of `x\ny`.
        if matches!(workflow, "." | ".." | "") || workflow.contains(char::is_control) {
            return Err(StoreError::Refused {
                doing: format!("start a run of workflow {workflow:?}"),
                problem: "this cannot be the name of a workflow".to_owned(),
            });
        }
        let started = self.start(workflow, parameters).await;
        started.map_err(|source| StoreError::Backend {
            doing: format!("start a run of workflow {workflow:?}"),
            source,
        })
    }
}
