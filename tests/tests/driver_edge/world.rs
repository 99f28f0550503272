//! A proxy on a free port, clients that ask it as browsers do, and its driver.

use std::net::SocketAddr;
use std::sync::Arc;

use agent::driver::edge::proxy::{Proxy, ProxyConfig};
use agent::driver::{
    self, Batch, Driver, DriverConfig, Endpoint, Purge, PurgeError, Surroundings, conformance,
};
use daemon::Stop;
use reqwest::header::{CACHE_CONTROL, HOST};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use schemas::{Mode, Selector};
use tests::servers::origin::VERSION;
use tokio::task::JoinSet;

/// A host of the suite's site `main`.
pub(crate) const WWW: &str = "www.example.com";

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Edge {
    address: SocketAddr,
    stop: Stop,
    server: JoinSet<()>,
    client: Client,
}

/// What a client sees of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) status: StatusCode,
    /// The version that the origin gave the page.
    pub(crate) version: Option<u64>,
    pub(crate) cache_status: String,
}

impl Edge {
    pub(crate) async fn before(origin: SocketAddr) -> Self {
        Self::start(config(origin)).await
    }

    pub(crate) async fn start(config: ProxyConfig) -> Self {
        let proxy = Proxy::bind(config).await.expect("a free port");
        let (address, stop) = (proxy.local_addr(), Stop::new());
        let mut server = JoinSet::new();
        let running = proxy.run(stop.clone());
        server.spawn(async move { running.await.expect("it ends well") });
        Self { address, stop, server, client: Client::new() }
    }

    /// Stops it as a process would.
    pub(crate) async fn stop(&mut self) {
        self.stop.request();
        while let Some(ended) = self.server.join_next().await {
            ended.expect("it ends well");
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn driver(&self) -> Arc<dyn Driver> {
        driver_of(self.address)
    }

    /// A request for `url` (host, path and query).
    pub(crate) fn request(&self, method: Method, url: &str) -> RequestBuilder {
        let (host, path) = url.split_at(url.find('/').unwrap_or(url.len()));
        self.client.request(method, format!("http://{}{path}", self.address)).header(HOST, host)
    }

    pub(crate) async fn get(&self, url: &str) -> Seen {
        seen(&self.request(Method::GET, url).send().await.unwrap())
    }

    pub(crate) async fn get_with(&self, url: &str, header: (&str, &str)) -> Seen {
        let request = self.request(Method::GET, url).header(header.0, header.1);
        seen(&request.send().await.unwrap())
    }

    /// What it would answer without asking the origin.
    pub(crate) async fn peek(&self, url: &str) -> Seen {
        self.get_with(url, (CACHE_CONTROL.as_str(), "only-if-cached")).await
    }

    pub(crate) async fn purge(&self, url: &str) {
        purge(&*self.driver(), url).await.expect("purged");
    }
}

/// The suite's sites before `origin`.
pub(crate) fn config(origin: SocketAddr) -> ProxyConfig {
    let origin = Endpoint::try_from(format!("http://{origin}")).unwrap();
    ProxyConfig::new(origin, conformance::sites())
}

pub(crate) fn driver_of(address: SocketAddr) -> Arc<dyn Driver> {
    let config = format!("url = 'http://{address}'\ntimeout = '500ms'");
    let surroundings = Surroundings {
        sites: conformance::sites(),
        region: "local".parse().unwrap(),
        agent: "edge-1".parse().unwrap(),
        cache: "edge".parse().unwrap(),
        priority: schemas::Priority::Normal,
        instance: uuid::Uuid::new_v4(),
    };
    driver::open(&DriverConfig::Edge(toml::from_str(&config).unwrap()), &surroundings)
}

/// Purges exactly `url` of the site `main`.
pub(crate) async fn purge(driver: &dyn Driver, url: &str) -> Result<(), PurgeError> {
    let url = format!("https://{url}").parse::<schemas::Url>().unwrap();
    let selector = Selector::Url {
        scheme: url.scheme,
        host: url.host,
        path: url.path,
        query: schemas::QueryMatch::Exact(url.query),
    };
    let purge = Purge::new("main".parse().unwrap(), selector, Mode::Hard);
    driver.purge(&Batch { purges: vec![purge] }).await.map(|_| ())
}

pub(crate) fn seen(response: &Response) -> Seen {
    let text = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap());
    Seen {
        status: response.status(),
        version: text(VERSION).map(|version| version.parse().unwrap()),
        cache_status: text("cache-status").unwrap_or_default().to_owned(),
    }
}
