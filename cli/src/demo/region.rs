//! The caches of one region, and the agent that purges them.
//!
//! ```text
//! edge-1, edge-2 -----------------------------+--> origin
//! varnish --> application, with its redis ----+          (each only where asked for)
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use agent::driver::edge::EdgeConfig;
use agent::driver::edge::proxy::{Proxy, ProxyConfig};
use agent::driver::redis::RedisConfig;
use agent::driver::varnish::VarnishConfig;
use agent::driver::{DriverConfig, Endpoint};
use agent::{Cache, CacheConfig, LaneConfig};
use clap::ValueEnum;
use serde_json::json;

use super::application::{self, Application};
use super::bus::{Bus, endpoint};
use super::origin::LONGEST_FETCH;
use super::servers::{redis, varnish};
use super::stage::HOST;

/// Longest time for one batch of purges.
const PURGED_WITHIN: Duration = Duration::from_secs(5);

/// A real server that the demo can put into each region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Extra {
    /// varnishd with our VCL; before the application, if there is one
    Varnish,
    /// redis-server, in which an application keeps what it got from the origin
    Redis,
}

/// A cache that is read.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) region: String,
    pub(crate) cache: String,
    pub(crate) address: SocketAddr,
}

impl Place {
    /// Under which name its reads are counted.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.region, self.cache)
    }
}

impl Bus {
    /// A region with so many edges and the real servers asked for; answers what can be read there.
    pub(crate) async fn add_region(
        &mut self,
        region: &str,
        edges: usize,
        with: &[Extra],
    ) -> anyhow::Result<Vec<Place>> {
        let (mut places, mut caches) = (Vec::new(), Vec::new());
        let place = |cache: &str, address| Place {
            region: region.to_owned(),
            cache: cache.to_owned(),
            address,
        };
        for edge in 1..=edges {
            let name = format!("edge-{edge}");
            let address = self.add_edge().await?;
            caches.push(cache(&name, edge_driver(address)?, 2)?);
            places.push(place(&name, address));
        }
        let mut inner = self.origin.clone();
        if with.contains(&Extra::Redis) {
            let (address, driver) = self.add_redis(region).await?;
            caches.push(cache("redis", driver, 4)?);
            places.push(place("redis", address));
            inner = endpoint(address)?;
        }
        if with.contains(&Extra::Varnish) {
            let address = self.add_varnish(region, &inner).await?;
            let driver = VarnishConfig::new(endpoint(address)?, PURGED_WITHIN);
            // What it got from Redis may be old until Redis' last pass.
            let mut varnish = cache("varnish", DriverConfig::Varnish(driver), 6)?;
            if with.contains(&Extra::Redis) {
                varnish.lane.after = Some("redis".parse()?);
            }
            caches.push(varnish);
            places.push(place("varnish", address));
        }
        self.add_agent(region, caches.into_iter().map(Cache::from).collect())?;
        Ok(places)
    }

    /// A caching edge before the origin, in no region yet.
    pub(super) async fn add_edge(&mut self) -> anyhow::Result<SocketAddr> {
        let mut config = ProxyConfig::new(self.origin.clone(), self.sites.clone());
        config.own_host = Some(HOST.parse()?);
        let proxy = Proxy::bind(config).await?;
        let address = proxy.local_addr();
        self.crew.spawn(format!("edge {address}"), proxy.run(self.crew.stop()));
        Ok(address)
    }

    /// A Redis and the application that keeps pages in it; answers where the application listens.
    async fn add_redis(&mut self, region: &str) -> anyhow::Result<(SocketAddr, DriverConfig)> {
        let folder = self.folder.path().join(format!("redis-{region}"));
        let server = redis::start(&folder).await?;
        let url = format!("redis://{}", server.address());
        self.servers.push(server);
        let application = Application::open(&url, &self.origin.to_string()).await?;
        let address = application::serve(&mut self.crew, application).await?;
        let config: RedisConfig = serde_json::from_value(json!({
            "url": url,
            "timeout": humantime_serde::re::humantime::format_duration(PURGED_WITHIN).to_string(),
            "keys": { "url": application::KEY_TEMPLATE, "tag_set": application::TAG_TEMPLATE },
        }))?;
        Ok((address, DriverConfig::Redis(config)))
    }

    async fn add_varnish(&mut self, region: &str, inner: &Endpoint) -> anyhow::Result<SocketAddr> {
        let folder = self.folder.path().join(format!("varnish-{region}"));
        let server = varnish::start(&folder, inner).await?;
        let address = server.address();
        self.servers.push(server);
        Ok(address)
    }
}

/// How an edge is purged.
pub(super) fn edge_config(address: SocketAddr) -> anyhow::Result<EdgeConfig> {
    Ok(EdgeConfig { url: endpoint(address)?, timeout: PURGED_WITHIN })
}

fn edge_driver(address: SocketAddr) -> anyhow::Result<DriverConfig> {
    Ok(DriverConfig::Edge(edge_config(address)?))
}

/// A cache whose last pass comes after so many of this origin's longest fetches, not of an origin anywhere.
fn cache(name: &str, driver: DriverConfig, last_pass: u32) -> anyhow::Result<CacheConfig> {
    let lane = LaneConfig {
        rebounds: Some(vec![LONGEST_FETCH / 2, last_pass * LONGEST_FETCH]),
        starts_empty: true,
        ..LaneConfig::default()
    };
    Ok(CacheConfig { name: name.parse()?, lane, driver })
}
