//! A small caching reverse proxy: one origin, several sites, memory only.
//!
//! It behaves as real caches do, their weakness included: a purge does not touch a fetch in flight, whose late and
//! old answer is then stored.

mod index;
mod message;
mod purging;
mod serve;
mod status;
mod store;
mod stored;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::header::HOST;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use daemon::{BindError, BoxError, Clock, HttpServer, Stop};
use schemas::{Host, Sites};

use self::serve::{Cache, excuse};
use self::store::Store;
use super::link::Link;
use super::protocol::{self, Identity};
use crate::driver::Endpoint;

/// Connections beyond these are refused.
const CONNECTIONS_MAX: usize = 1_024;

/// What a proxy needs to know.
#[derive(Debug, Clone)]
pub struct ProxyConfig {
    /// Where it listens; port 0 for a free one.
    pub listen: SocketAddr,
    /// What it stands before.
    pub origin: Endpoint,
    /// Whose hosts it caches; requests for other hosts pass through.
    pub sites: Arc<Sites>,
    /// The host that is meant by whoever asks for the proxy's own address, as a browser on this machine does.
    pub own_host: Option<Host>,
    /// Most memory for stored answers with all that is known of them.
    pub capacity_bytes: u64,
    /// Longest body of a request or an answer; a longer answer becomes a 502.
    pub body_bytes_max: usize,
    /// Longest time the origin may take.
    pub origin_timeout: Duration,
    /// What tells how old an answer is.
    pub clock: Clock,
}

impl ProxyConfig {
    /// On a free loopback port, with room for a demonstration.
    pub fn new(origin: Endpoint, sites: Arc<Sites>) -> Self {
        Self {
            listen: ([127, 0, 0, 1], 0).into(),
            origin,
            sites,
            own_host: None,
            capacity_bytes: 64 * 1024 * 1024,
            body_bytes_max: 8 * 1024 * 1024,
            origin_timeout: Duration::from_secs(10),
            clock: Clock::system(),
        }
    }
}

/// The proxy, empty at each start.
#[derive(Debug)]
pub struct Proxy {
    server: HttpServer,
    answering: Answering,
}

#[derive(Debug)]
struct Answering {
    cache: Cache,
    identity: Identity,
    own_names: [String; 2],
    own_host: Option<Host>,
    body_bytes_max: usize,
}

impl Answering {
    /// Puts the site's host in place of the proxy's own address.
    fn rename(&self, headers: &mut HeaderMap) {
        let Some(own_host) = &self.own_host else { return };
        let asked = headers.get(HOST).and_then(|host| host.to_str().ok());
        let is_own = asked.is_some_and(|asked| self.own_names.iter().any(|own| own == asked));
        if is_own && let Ok(host) = HeaderValue::from_str(own_host.as_str()) {
            headers.insert(HOST, host);
        }
    }
}

impl Proxy {
    /// Takes its port now, and answers once it runs.
    pub async fn bind(config: ProxyConfig) -> Result<Self, BindError> {
        let server = HttpServer::bind(config.listen, CONNECTIONS_MAX).await?;
        let cache = Cache {
            sites: config.sites,
            store: Store::new(config.capacity_bytes),
            origin: Link::new(config.origin, config.origin_timeout, config.body_bytes_max),
            clock: config.clock,
        };
        let port = server.local_addr().port();
        let answering = Answering {
            cache,
            identity: Identity::fresh(),
            own_names: ["127.0.0.1", "localhost"].map(|name| format!("{name}:{port}")),
            own_host: config.own_host,
            body_bytes_max: config.body_bytes_max,
        };
        Ok(Self { server, answering })
    }

    /// Where clients find it.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Serves until stopped.
    pub async fn run(self, stop: Stop) -> Result<(), BoxError> {
        let router = Router::new().fallback(answer).with_state(Arc::new(self.answering));
        self.server.run(router, stop).await
    }
}

async fn answer(
    State(answering): State<Arc<Answering>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request<Body>,
) -> Response<Body> {
    let Answering { cache, identity, body_bytes_max, .. } = &*answering;
    let is_purge = request.method().as_str() == protocol::METHOD;
    let bytes_max = if is_purge { protocol::BODY_BYTES_MAX } else { *body_bytes_max };
    let (mut parts, body) = request.into_parts();
    answering.rename(&mut parts.headers);
    let Ok(body) = axum::body::to_bytes(body, bytes_max).await else {
        let reason = format!("a request's body may have {bytes_max} bytes");
        return excuse(StatusCode::PAYLOAD_TOO_LARGE, &reason);
    };
    let request = Request::from_parts(parts, body);
    if is_purge {
        purging::answer(&cache.store, identity, peer, &request)
    } else {
        cache.answer(request).await
    }
}
