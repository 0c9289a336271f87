//! One request and its answer, repeated as the rule says.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::error::{distrust, explanation};
use super::retry::Backoff;
use super::{ClientError, MetadataClient, transfer};

/// All but the unreserved characters. A plus sign is encoded too: some servers take a bare
/// one for a blank.
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) struct Request<'a> {
    method: Method,
    path: String,
    query: &'a [(&'a str, &'a str)],
    body: Option<(HeaderValue, Bytes)>,
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

impl<'a> Request<'a> {
    pub(super) fn get(path: &str) -> Self {
        Self::new(Method::GET, path)
    }

    pub(super) fn put(path: &str) -> Self {
        Self::new(Method::PUT, path)
    }

    pub(super) fn post(path: &str) -> Self {
        Self::new(Method::POST, path)
    }

    fn new(method: Method, path: &str) -> Self {
        Self { method, path: path.to_owned(), query: &[], body: None }
    }

    /// Adds a name as one segment of the path.
    pub(super) fn name(mut self, name: &str) -> Result<Self, ClientError> {
        // Dots have no encoded form: URL parsers take `%2e` for a dot segment as well.
        if matches!(name, "" | "." | "..") {
            return Err(ClientError::Name { name: name.to_owned() });
        }
        self.path.push('/');
        self.path.extend(utf8_percent_encode(name, NAME));
        Ok(self)
    }

    pub(super) fn segment(mut self, fixed: &str) -> Self {
        self.path.push('/');
        self.path.push_str(fixed);
        self
    }

    pub(super) fn query(mut self, query: &'a [(&'a str, &'a str)]) -> Self {
        self.query = query;
        self
    }

    pub(super) fn json(mut self, body: &impl Serialize) -> Result<Self, ClientError> {
        let json = serde_json::to_vec(body).map_err(|error| ClientError::Body {
            method: self.method.clone(),
            path: self.path.clone(),
            reason: error.to_string(),
        })?;
        self.body = Some((JSON, json.into()));
        Ok(self)
    }

    pub(super) fn message(mut self, body: &impl Message) -> Self {
        self.body = Some((OCTETS, body.encode_to_vec().into()));
        self
    }
}

/// A complete answer whose status ended the repetitions.
pub(super) struct Reply {
    method: Method,
    path: String,
    status: StatusCode,
    content_type: Option<HeaderValue>,
    body: Bytes,
}

impl Reply {
    pub(super) fn with(self, expected: StatusCode) -> Result<Self, ClientError> {
        if self.status == expected {
            return Ok(self);
        }
        Err(ClientError::Status {
            message: explanation(&self.body),
            method: self.method,
            path: self.path,
            status: self.status,
        })
    }

    /// A message of protocol buffers.
    pub(super) fn decode<M: Message + Default>(self) -> Result<M, ClientError> {
        let decoded = if self.content_type == Some(OCTETS) {
            M::decode(self.body).map_err(|error| error.to_string())
        } else {
            Err("it is no application/octet-stream".to_owned())
        };
        let (method, path) = (self.method, self.path);
        decoded.map_err(|reason| ClientError::Body { method, path, reason })
    }

    pub(super) fn read<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        let unreadable = |reason| ClientError::Body {
            method: self.method.clone(),
            path: self.path.clone(),
            reason,
        };
        if self.body.is_empty() {
            return Err(unreadable("it is empty".to_owned()));
        }
        let value = transfer::parse(&self.body).map_err(unreadable)?;
        // The reason is not passed on: serde quotes what it found, which may be a secret.
        serde_json::from_value(value)
            .map_err(|_| unreadable("a member is missing or has the wrong type".to_owned()))
    }
}

impl MetadataClient {
    pub(super) async fn exchange(&self, request: Request<'_>) -> Result<Reply, ClientError> {
        let started = Instant::now();
        let within = self.retry.within();
        let mut backoff = Backoff::new();
        loop {
            let left = within.saturating_sub(started.elapsed());
            let timeout = if within.is_zero() { self.timeout } else { self.timeout.min(left) };
            let attempt = self.attempt(&request, timeout).await;
            let again = match &attempt {
                Ok(reply) => self.retry.repeats(reply.status),
                // Nobody becomes trusted by waiting.
                Err(ClientError::Untrusted { .. }) => false,
                Err(_) => true,
            };
            let pause = backoff.pause();
            if !again || started.elapsed() + pause >= within {
                return attempt;
            }
            tracing::debug!(method = %request.method, path = request.path, ?pause, "asking again");
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(
        &self,
        request: &Request<'_>,
        timeout: Duration,
    ) -> Result<Reply, ClientError> {
        let (method, path) = (request.method.clone(), request.path.clone());
        let answer = match tokio::time::timeout(timeout, self.send(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("nothing within {timeout:?}").into()),
        };
        match answer {
            Ok((status, content_type, body)) => {
                Ok(Reply { method, path, status, content_type, body })
            }
            Err(source) => Err(match distrust(&*source) {
                Some(problem) => {
                    ClientError::Untrusted { address: self.address.to_string(), problem }
                }
                None => ClientError::Connection { method, path, source },
            }),
        }
    }

    async fn send(
        &self,
        request: &Request<'_>,
    ) -> Result<(StatusCode, Option<HeaderValue>, Bytes), Box<dyn Error + Send + Sync>> {
        let url = self.address.url(&request.path, request.query);
        let mut builder = http::Request::builder().method(request.method.clone()).uri(url.as_str());
        if let Some(authorization) = self.address.authorization() {
            builder = builder.header(header::AUTHORIZATION, authorization);
        }
        let body = match &request.body {
            Some((content_type, body)) => {
                builder = builder.header(header::CONTENT_TYPE, content_type);
                body.clone()
            }
            None => Bytes::new(),
        };
        let response = self.http.request(builder.body(Full::new(body))?).await?;
        let status = response.status();
        let content_type = response.headers().get(header::CONTENT_TYPE).cloned();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, content_type, body))
    }
}
