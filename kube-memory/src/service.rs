//! The cluster as a service for HTTP requests.

use crate::cluster::MemoryCluster;
use crate::fault::{Fault, FaultKind};
use crate::kind::Kind;
use crate::request::{self, Query, Route, Target, Verb};
use crate::status::{Refusal, Result};
use crate::verbs::{self, Call, Reply};
use crate::watch::{Subject, Watcher};
use crate::{discovery, watch};
use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The body of a response: one piece, or the pieces of a watch as they come.
pub type ResponseBody = UnsyncBoxBody<Bytes, Infallible>;

/// A request without its body.
struct Head {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl<B> tower::Service<Request<B>> for MemoryCluster
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: std::fmt::Display,
{
    type Response = Response<ResponseBody>;
    /// Only a broken connection, and only on purpose; all else is a `Status`.
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let cluster = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body
                .collect()
                .await
                .map_err(|error| io::Error::other(error.to_string()))?
                .to_bytes();
            let head = Head { method: parts.method, uri: parts.uri, headers: parts.headers };
            cluster.answer(&head, &body).await
        })
    }
}

impl MemoryCluster {
    async fn answer(&self, head: &Head, body: &[u8]) -> io::Result<Response<ResponseBody>> {
        let target = match request::route(&head.uri) {
            Route::Object(target) => target,
            other => return Ok(self.discover(&other, &head.headers)),
        };
        let (verb, query) = match Query::parse(&head.uri)
            .and_then(|query| Ok((request::verb(&head.method, &target, &query)?, query)))
        {
            Ok(parsed) => parsed,
            Err(refusal) => return Ok(refused(&refusal)),
        };
        let info = self.record(verb, &target, &query);
        let fault = self.fault(&info);
        if let Some(fault) = fault.as_ref().filter(|fault| !fault.after)
            && let Some(response) = strike(fault).await
        {
            return response;
        }
        let response = self.perform(head, verb, &target, query, body);
        if let Some(fault) = fault.as_ref().filter(|fault| fault.after)
            && let Some(failure) = strike(fault).await
        {
            return failure;
        }
        Ok(response.unwrap_or_else(|refusal| refused(&refusal)))
    }

    fn perform(
        &self,
        head: &Head,
        verb: Verb,
        target: &Target,
        query: Query,
        body: &[u8],
    ) -> Result<Response<ResponseBody>> {
        let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        let metadata_only =
            text(header::ACCEPT).is_some_and(|accept| accept.contains("as=PartialObjectMetadata"));
        let agent = text(header::USER_AGENT).unwrap_or("unknown");
        let agent = agent.split('/').next().unwrap_or(agent);
        let mut storage = self.shared.storage();
        let Some(kind) =
            storage.registry.find(&target.group, &target.version, &target.plural).cloned()
        else {
            return Err(Refusal::unknown_resource());
        };
        let manager = query.manager.clone().unwrap_or_else(|| agent.to_owned());
        let mut call = Call {
            storage: &mut storage,
            kind: Arc::clone(&kind),
            target,
            query: &query,
            manager: &manager,
            content_type: text(header::CONTENT_TYPE).unwrap_or_default(),
        };
        if verb != Verb::Watch {
            let reply = call.run(verb, body)?;
            drop(storage);
            return Ok(respond(reply, metadata_only));
        }
        call.check_path(verb)?;
        call.check_fields(&query.fields)?;
        let subject = Subject {
            resource: verbs::resource(&kind.group, &kind.plural),
            kind,
            namespace: target.namespace.clone(),
            name: target.name.clone(),
            metadata_only,
        };
        let begun = Watcher::begin(Arc::clone(&self.shared), &mut storage, subject, query);
        drop(storage);
        match begun {
            Ok(watcher) => {
                let frames = watcher.into_stream().map(|piece| Ok(http_body::Frame::data(piece)));
                Ok(json_response(StatusCode::OK, StreamBody::new(frames).boxed_unsync()))
            }
            // A client that watches reads refusals of its revision from the stream.
            Err(refusal) if refusal.code == 410 => {
                let event = watch::error_event(&refusal);
                Ok(json_response(StatusCode::OK, Full::new(event).boxed_unsync()))
            }
            Err(refusal) => Err(refusal),
        }
    }

    fn discover(&self, route: &Route, headers: &HeaderMap) -> Response<ResponseBody> {
        let aggregated = headers
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.contains("as=APIGroupDiscoveryList"));
        let storage = self.shared.storage();
        match discovery::answer(&storage.registry, route, aggregated) {
            Some(discovery::Answer::Text(text)) => {
                Response::new(Full::new(Bytes::from_static(text.as_bytes())).boxed_unsync())
            }
            Some(discovery::Answer::Json(value)) => whole(StatusCode::OK, value.to_string()),
            Some(discovery::Answer::Aggregated(value)) => {
                let mut response = whole(StatusCode::OK, value.to_string());
                response.headers_mut().insert(
                    header::CONTENT_TYPE,
                    http::HeaderValue::from_static(discovery::AGGREGATED),
                );
                response
            }
            None => refused(&Refusal::unknown_resource()),
        }
    }
}

/// Lets a fault strike. Answers with nothing where the request goes on.
async fn strike(fault: &Fault) -> Option<io::Result<Response<ResponseBody>>> {
    match &fault.kind {
        FaultKind::Delay(time) => {
            tokio::time::sleep(*time).await;
            None
        }
        FaultKind::Reset => {
            Some(Err(io::Error::new(io::ErrorKind::ConnectionReset, "connection reset by peer")))
        }
        FaultKind::Status { code, reason, message, retry_after } => {
            let mut refusal = Refusal::new(*code, reason, message.clone());
            if let Some(seconds) = retry_after {
                refusal.details = Some(serde_json::json!({ "retryAfterSeconds": seconds }));
            }
            let mut response = refused(&refusal);
            if let Some(seconds) = retry_after {
                response.headers_mut().insert(header::RETRY_AFTER, (*seconds).into());
            }
            Some(Ok(response))
        }
    }
}

fn respond(reply: Reply, metadata_only: bool) -> Response<ResponseBody> {
    let mut out = Vec::new();
    let status = match reply {
        Reply::Json(status, value) => {
            out = value.to_string().into_bytes();
            status
        }
        Reply::Object { status, kind, object } => {
            if metadata_only {
                object.write_metadata(&mut out);
            } else {
                object.write(&kind, &mut out);
            }
            status
        }
        Reply::List { kind, objects, revision, resume, remaining } => {
            let size: usize = objects.iter().map(|object| object.size() + 64).sum();
            out.reserve(size);
            write_list_head(&kind, revision, resume, remaining, metadata_only, &mut out);
            for (index, object) in objects.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                if metadata_only {
                    object.write_metadata(&mut out);
                } else if kind.is_custom() {
                    object.write(&kind, &mut out);
                } else {
                    object.write_bare(&mut out);
                }
            }
            out.extend_from_slice(b"]}");
            200
        }
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    json_response(status, Full::new(Bytes::from(out)).boxed_unsync())
}

fn write_list_head(
    kind: &Kind,
    revision: u64,
    resume: Option<String>,
    remaining: Option<usize>,
    metadata_only: bool,
    out: &mut Vec<u8>,
) {
    let mut head = if metadata_only {
        "{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"meta.k8s.io/v1\"".to_owned()
    } else {
        format!("{{\"kind\":\"{}\",\"apiVersion\":\"{}\"", kind.list_kind, kind.api_version())
    };
    // Writing to a string cannot fail.
    let _ = write!(head, ",\"metadata\":{{\"resourceVersion\":\"{revision}\"");
    if let Some(resume) = resume {
        let _ = write!(head, ",\"continue\":\"{resume}\"");
    }
    if let Some(remaining) = remaining {
        let _ = write!(head, ",\"remainingItemCount\":{remaining}");
    }
    head.push_str("},\"items\":[");
    out.extend_from_slice(head.as_bytes());
}

fn refused(refusal: &Refusal) -> Response<ResponseBody> {
    let status = StatusCode::from_u16(refusal.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    whole(status, refusal.to_value().to_string())
}

fn whole(status: StatusCode, json: String) -> Response<ResponseBody> {
    json_response(status, Full::new(Bytes::from(json)).boxed_unsync())
}

fn json_response(status: StatusCode, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}
