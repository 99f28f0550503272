//! The edge of the product in this process, as a cache of a place.

use std::net::SocketAddr;
use std::sync::Arc;

use agent::driver::Endpoint;
use agent::driver::edge::proxy::{Proxy, ProxyConfig};
use daemon::Stop;
use schemas::{Audience, Site, Sites};
use tokio::task::JoinSet;

/// It runs until it is dropped.
#[derive(Debug)]
pub struct Edge {
    address: SocketAddr,
    _server: JoinSet<()>,
}

impl Edge {
    /// Starts it, empty, in front of `origin`.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(origin: SocketAddr) -> Self {
        let origin = Endpoint::try_from(format!("http://{origin}")).expect("an address");
        let proxy = Proxy::bind(ProxyConfig::new(origin, Arc::new(sites()))).await;
        let proxy = proxy.expect("a free port");
        let address = proxy.local_addr();
        let mut server = JoinSet::new();
        server.spawn(async move { proxy.run(Stop::new()).await.expect("it serves") });
        Self { address, _server: server }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// The one site of all towns.
fn sites() -> Sites {
    let hosts = ["www.example.com".parse().expect("a host")].into();
    Sites::new([Site { name: "main".parse().expect("a name"), hosts, regions: Audience::All }])
}
