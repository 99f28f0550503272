//! The caches of one region, real ones: Redis and Varnish, each behind a way that tests can block, and watched by a
//! witness.

use std::fmt::Debug;
use std::net::SocketAddr;

use redis::{AsyncCommands, RedisResult};
use reqwest::Client;

use super::Settings;
use crate::servers::origin::VERSION;
use crate::servers::proxy::Proxy;
use crate::servers::redis::Redis;
use crate::servers::varnish::{Varnish, include_shipped};
use crate::witness::Witness;

/// Both caches of a region, and the ways on which an agent comes to them.
#[derive(Debug)]
pub struct Caches {
    /// The inner one.
    pub redis: Redis,
    /// The outer one, in front of an origin.
    pub varnish: Varnish,
    /// The agent's way to Redis.
    pub way_to_redis: Proxy,
    /// The agent's way to Varnish.
    pub way_to_varnish: Proxy,
    /// What Redis unlinks.
    pub redis_witness: Witness,
    /// What Varnish is told to purge.
    pub varnish_witness: Witness,
    reader: Reader,
}

/// Whoever gets pages of `www.example.com` at some address, such as Varnish's. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {
    http: Client,
    address: SocketAddr,
}

impl Reader {
    /// Who reads there.
    pub fn at(address: SocketAddr) -> Self {
        Self { http: Client::new(), address }
    }

    /// The version of a page; `None` where nobody answers with one.
    pub async fn try_version(&self, path: &str) -> Option<u64> {
        let url = format!("http://{}{path}", self.address);
        let answer = self.http.get(url).header("host", "www.example.com").send().await.ok()?;
        answer.headers().get(VERSION)?.to_str().ok()?.parse().ok()
    }
}

impl Caches {
    /// Starts both, empty, with the VCL that we ship.
    ///
    /// # Panics
    /// When one does not start.
    pub async fn start(origin: SocketAddr) -> Self {
        let redis = Redis::start().await;
        let varnish = Varnish::start(origin, &include_shipped()).await;
        Self {
            way_to_redis: Proxy::start(redis.address()).await,
            way_to_varnish: Proxy::start(varnish.address()).await,
            redis_witness: Witness::of_redis(&redis).await,
            varnish_witness: Witness::of_varnish(&varnish).await,
            reader: Reader::at(varnish.address()),
            redis,
            varnish,
        }
    }

    /// A configuration with both, Varnish after Redis, whose keys are named as `keys` says. `more` holds further
    /// keys of both.
    pub fn settings(&self, keys: &str, more: &str) -> Settings {
        self.house(keys, more, "")
    }

    /// The same without Varnish's fence, so that a fetch in flight races with the purge.
    pub fn unfenced(&self, keys: &str, more: &str) -> Settings {
        self.house(keys, more, "fence = false")
    }

    fn house(&self, keys: &str, more: &str, of_varnish: &str) -> Settings {
        let outer = format!("after = \"redis\"\n{more}\n{of_varnish}");
        Settings::default()
            .redis(self.way_to_redis.address(), keys, more)
            .varnish(self.way_to_varnish.address(), &outer)
    }

    /// Waits until the witnesses have seen all that the caches did before.
    ///
    /// # Panics
    /// When a cache does not answer.
    pub async fn catch_up(&self) {
        self.redis_witness.catch_up_with_redis(&self.redis).await;
        self.varnish_witness.catch_up_with_varnish(&self.varnish).await;
    }

    /// A reader.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// The version of a page that Varnish serves.
    ///
    /// # Panics
    /// When it serves none.
    pub async fn version(&self, path: &str) -> u64 {
        self.reader.try_version(path).await.expect("a version")
    }

    /// Stores a key in Redis.
    ///
    /// # Panics
    /// When Redis does not take it.
    pub async fn store(&self, key: &str) {
        let stored: RedisResult<()> = self.redis.connect().await.set(key, "value").await;
        stored.expect("it is stored");
    }

    /// Whether Redis holds a key.
    ///
    /// # Panics
    /// When Redis does not say.
    pub async fn stores(&self, key: &str) -> bool {
        self.redis.connect().await.exists(key).await.expect("an answer")
    }
}
