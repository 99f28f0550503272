//! An HTTP/1.1 server with a limit on everything: connections, waiting for a request's head, leaving.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{debug, error, warn};

use crate::{BoxError, Stop};

/// A connection that has not sent a whole request head for this long is closed.
const HEAD_WAIT: Duration = Duration::from_secs(15);
/// Requests in flight at a stop have this long to finish.
const DRAIN: Duration = Duration::from_secs(3);
/// Pause after the system refused a connection (out of file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A server that owns its port; requests are answered once it runs.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
    local_addr: SocketAddr,
    connections_max: usize,
}

/// A port that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {listen}")]
pub struct BindError {
    listen: SocketAddr,
    #[source]
    source: std::io::Error,
}

impl HttpServer {
    /// Binds `listen` now, so that a taken port is an error before anything else starts. Connections beyond
    /// `connections_max` wait in the system's queue.
    pub async fn bind(listen: SocketAddr, connections_max: usize) -> Result<Self, BindError> {
        let refused = |source| BindError { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(refused)?;
        let local_addr = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, local_addr, connections_max })
    }

    /// The address bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until stopped, then lets requests in flight finish for a short while. Handlers find the client's
    /// address as `ConnectInfo<SocketAddr>`.
    pub async fn run(self, router: Router, stop: Stop) -> Result<(), BoxError> {
        let router = TowerToHyperService::new(router);
        let answer = move |peer, mut request: Request| {
            // Not as a layer: each layer costs every request some copies of all that lies below it.
            request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer));
            let answering = router.call(request);
            async { answering.await.unwrap_or_else(|never| match never {}) }
        };
        self.serve(answer, stop).await
    }

    /// The same without a router: `answer` is asked with the client's address.
    pub async fn serve<Answer, Answering>(self, answer: Answer, stop: Stop) -> Result<(), BoxError>
    where
        Answer: Fn(SocketAddr, Request) -> Answering + Clone + Send + 'static,
        Answering: Future<Output = Response> + Send + 'static,
    {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.requested() => break,
                Some(ended) = connections.join_next() => note(ended),
                accepted = self.listener.accept(), if connections.len() < self.connections_max => {
                    match accepted {
                        Ok((stream, peer)) => {
                            connections.spawn(converse(stream, peer, answer.clone(), stop.clone()));
                        }
                        Err(error) => {
                            warn!(%error, "cannot accept a connection");
                            sleep(ACCEPT_PAUSE).await;
                        }
                    }
                }
            }
        }
        drop(self.listener);
        let drained = async {
            while let Some(ended) = connections.join_next().await {
                note(ended);
            }
        };
        if timeout(DRAIN, drained).await.is_err() {
            debug!(connections = connections.len(), "connections cut at the stop");
        }
        Ok(())
    }
}

/// One connection, from its first request to its last.
async fn converse<Answering: Future<Output = Response>>(
    stream: TcpStream,
    peer: SocketAddr,
    answer: impl Fn(SocketAddr, Request) -> Answering,
    stop: Stop,
) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot set TCP_NODELAY");
    }
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let answering = answer(peer, request.map(Body::new));
        async { Ok::<_, Infallible>(answering.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.requested() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "connection ended badly");
    }
}

fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        error!(%error, "a request handler panicked");
    }
}
