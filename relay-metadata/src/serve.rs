//! Serving HTTP on a socket.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower::{Service, ServiceExt as _};

use crate::router::Router;
use crate::tls::{Acceptor, Tls, TlsError};
use crate::wire::{Place, Wire};

/// How long requests that were begun may take after the signal to stop.
const GRACE: Duration = Duration::from_secs(25);

/// How long a client may take to send a request's head, idle time before it included.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// How much of a request's head is read before it is refused with 431.
const HEAD_SIZE: usize = 64 << 10;

/// How long to wait when no connection can be accepted, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

impl Router {
    /// Serves HTTP/1.1 on this listener until `shutdown` completes. Then nothing new is accepted,
    /// requests that were begun get 25 s to finish, and it returns.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        run(self, listener, None, shutdown).await;
    }

    /// The same with TLS; plain HTTP is refused then.
    ///
    /// # Errors
    ///
    /// When the certificate cannot be used.
    pub async fn serve_tls(
        self,
        listener: TcpListener,
        tls: &Tls,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), TlsError> {
        serve_tls(self, listener, tls, shutdown).await
    }
}

/// Serves any service over TLS as [`Router::serve_tls`] serves the API.
///
/// # Errors
///
/// When the certificate cannot be used.
pub async fn serve_tls<S>(
    service: S,
    listener: TcpListener,
    tls: &Tls,
    shutdown: impl Future<Output = ()>,
) -> Result<(), TlsError>
where
    S: Service<hyper::Request<Incoming>, Response = Response, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    let acceptor = tls.acceptor()?;
    run(service, listener, Some(acceptor), shutdown).await;
    Ok(())
}

async fn run<S>(
    service: S,
    listener: TcpListener,
    tls: Option<Acceptor>,
    shutdown: impl Future<Output = ()>,
) where
    S: Service<hyper::Request<Incoming>, Response = Response, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    let mut shutdown = pin!(shutdown);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    // Answers are small and come in one piece.
                    let _ = stream.set_nodelay(true);
                    let (service, watcher) = (service.clone(), graceful.watcher());
                    match tls.clone() {
                        None => connections.spawn(converse(service, stream, peer, watcher)),
                        Some(tls) => connections.spawn(async move {
                            match tls.accept(stream).await {
                                Ok(stream) => converse(service, stream, peer, watcher).await,
                                Err(error) => tracing::debug!(%error, "no TLS was agreed on"),
                            }
                        }),
                    };
                }
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = &mut shutdown => break,
        }
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were cut off: they took too long to finish");
    }
}

async fn converse<S>(
    service: S,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    watcher: Watcher,
) where
    S: Service<hyper::Request<Incoming>, Response = Response, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    let place = Place::default();
    let wire = Wire::new(stream, place.clone());
    let service = service.map_request(move |mut request: hyper::Request<Incoming>| {
        place.head(request.headers());
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_header_size(HEAD_SIZE)
        .serve_connection(TokioIo::new(wire), TowerToHyperService::new(service));
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended early");
    }
}
