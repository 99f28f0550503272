//! An HTTP/1.1 server with a limit on everything: connections, in all and from each address, what a request's head may
//! be and how long it may take, waiting, leaving.

mod connection;
mod metrics;
mod peer;
mod places;
mod refusal;
mod watch;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use futures::FutureExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, error, warn};

use self::connection::{Ended, converse};
use self::places::{Full, Place, Places};
use self::refusal::Refusal;
use crate::tls::{Entered, TlsBook};
use crate::{BoxError, Stop};

pub use self::metrics::{PortMetrics, PortsMetrics};
pub use self::peer::Peer;

/// Requests in flight at a stop have this long to finish.
const DRAIN: Duration = Duration::from_secs(3);
/// Pause after the system refused a connection (out of file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// That connections are refused is said once in so long.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// A server that owns its port; requests are answered once it runs.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
    local_addr: SocketAddr,
    connections_max: usize,
    per_address_max: usize,
    tls: Option<TlsBook>,
    metrics: PortMetrics,
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
    /// `connections_max` are refused.
    pub async fn bind(listen: SocketAddr, connections_max: usize) -> Result<Self, BindError> {
        let refused = |source| BindError { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(refused)?;
        let local_addr = listener.local_addr().map_err(refused)?;
        let (per_address_max, metrics) = (connections_max, PortMetrics::default());
        Ok(Self { listener, local_addr, connections_max, per_address_max, tls: None, metrics })
    }

    /// Refuses connections beyond `max` from one address.
    #[must_use]
    pub fn per_address(self, max: usize) -> Self {
        Self { per_address_max: max, ..self }
    }

    /// Speaks TLS, and nothing else.
    #[must_use]
    pub fn over_tls(self, tls: TlsBook) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Counts its connections there.
    #[must_use]
    pub fn counted(self, metrics: PortMetrics) -> Self {
        Self { metrics, ..self }
    }

    /// The address bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until stopped, then lets requests in flight finish for a short while. Handlers find the client's
    /// address as `ConnectInfo<SocketAddr>`.
    pub async fn run(self, router: Router, stop: Stop) -> Result<(), BoxError> {
        let router = TowerToHyperService::new(router);
        let answer = move |peer: &Peer, mut request: Request| {
            // Not as a layer: each layer costs every request some copies of all that lies below it.
            request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer.address));
            router.call(request).map(|answer| answer.unwrap_or_else(|never| match never {}))
        };
        self.serve(answer, stop).await
    }

    /// The same without a router: `answer` is asked with who the client is.
    pub async fn serve<Answer, Answering>(self, answer: Answer, stop: Stop) -> Result<(), BoxError>
    where
        Answer: Fn(&Peer, Request) -> Answering + Clone + Send + Sync + 'static,
        Answering: Future<Output = Response> + Send + 'static,
    {
        let Self { listener, connections_max, per_address_max, tls, metrics, .. } = self;
        let door = Door { tls, metrics, stop: stop.clone() };
        let places = Places::new(connections_max, per_address_max);
        let mut refusing = Refusing::default();
        let mut connections = JoinSet::new();
        let looks_after_tls = look_after(door.tls.clone());
        tokio::pin!(looks_after_tls);
        loop {
            tokio::select! {
                () = stop.requested() => break,
                never = &mut looks_after_tls => match never {},
                Some(ended) = connections.join_next() => note(ended),
                accepted = listener.accept() => match accepted {
                    Ok((stream, address)) => match places.take(address.ip()) {
                        Ok(place) => {
                            let conversation = door.clone().serve(stream, address, answer.clone());
                            connections.spawn(keeping(place, conversation));
                        }
                        Err(full) => refusing.refuse(&door, &stream, address, full),
                    },
                    Err(error) => {
                        warn!(%error, "cannot accept a connection");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
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

/// What every connection passes.
#[derive(Debug, Clone)]
struct Door {
    tls: Option<TlsBook>,
    metrics: PortMetrics,
    stop: Stop,
}

impl Door {
    async fn serve<Answer, Answering>(self, stream: TcpStream, address: SocketAddr, answer: Answer)
    where
        Answer: Fn(&Peer, Request) -> Answering,
        Answering: Future<Output = Response>,
    {
        let Self { tls, metrics, stop } = self;
        let _open = Open::count(&metrics);
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "cannot set TCP_NODELAY");
        }
        let mut peer = Peer::at(address);
        let ended = match tls {
            None => converse(stream, |request| answer(&peer, request), stop).await,
            Some(tls) => {
                let entered = tokio::select! {
                    entered = tls.enter(stream) => entered,
                    () = stop.requested() => return,
                };
                match entered {
                    Entered::Secured { stream, name } => {
                        peer.certificate = name;
                        converse(stream, |request| answer(&peer, request), stop).await
                    }
                    Entered::Plain(stream) => {
                        metrics.refused("not_tls");
                        return connection::tell(stream, Refusal::NotTls).await;
                    }
                    Entered::Refused(error) => {
                        metrics.refused("handshake");
                        return debug!(%address, error, "no TLS with a client");
                    }
                }
            }
        };
        if let Ended::CutOff(overdue) = ended
            && let Some(fault) = overdue.fault()
        {
            metrics.refused(fault);
        }
    }
}

/// An open connection, while it is counted.
struct Open<'a>(&'a PortMetrics);

impl<'a> Open<'a> {
    fn count(metrics: &'a PortMetrics) -> Self {
        metrics.open.inc();
        Self(metrics)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.dec();
    }
}

/// Refuses connections, and says so now and then.
#[derive(Debug, Default)]
struct Refusing {
    said: Option<Instant>,
    unsaid: u64,
}

impl Refusing {
    fn refuse(&mut self, door: &Door, stream: &TcpStream, address: SocketAddr, full: Full) {
        let reason = match full {
            Full::InAll => "full",
            Full::Address => "address",
        };
        door.metrics.refused(reason);
        if door.tls.is_none() {
            // Whoever does not read it finds the connection closed.
            stream.try_write(&refusal::bytes(Refusal::Full)).ok();
        }
        self.unsaid += 1;
        if self.said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            warn!(refused = self.unsaid, last = %address, reason, "connections refused");
            (self.said, self.unsaid) = (Some(Instant::now()), 0);
        }
    }
}

async fn keeping(place: Place, conversation: impl Future<Output = ()>) {
    conversation.await;
    drop(place);
}

async fn look_after(tls: Option<TlsBook>) -> std::convert::Infallible {
    match tls {
        Some(tls) => tls.look_after().await,
        None => std::future::pending().await,
    }
}

fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        error!(%error, "a request handler panicked");
    }
}
