//! Varnish by PURGE over HTTP/1.1: packed keys where our VCL is loaded, one URL a request where it is not.
//!
//! Which of the two is found by a probe object, never by configuration: a VCL that does not know PURGE passes it to
//! the origin, whose 200 or 404 means nothing. So only answers of Varnish itself count, and only after it was seen to
//! store an object, purge it and fetch it again.
//!
//! Requests are written all at once and answered in order (`connection`): hyper's client sends the next request only
//! after the last answer, which costs a plain batch a round trip for each URL.

mod answer;
mod connection;
mod keys;
mod manner;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use schemas::{Abilities, QueryMatch, Selector, Sites};
use serde::Deserialize;
use uuid::Uuid;

use self::connection::{Connections, Request};
use self::manner::Manner;
use super::{Batch, Driver, Endpoint, PurgeError, Surroundings};

/// Keeps a full plain batch far below the default timeout; keys need one request for about a hundred of them.
const BATCH_SELECTORS_MAX: u32 = 1_000;

/// The driver's own keys of a `[[agent.cache]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VarnishConfig {
    /// Where it listens: exactly one instance, such as `http://127.0.0.1:6081`.
    pub url: Endpoint,
    /// Longest time for one batch, with the connection that it may need.
    #[serde(with = "humantime_serde", default = "default_timeout")]
    pub timeout: Duration,
}

fn default_timeout() -> Duration {
    Duration::from_secs(2)
}

/// The driver.
#[derive(Debug)]
pub struct Varnish {
    connections: Connections,
    sites: Arc<Sites>,
    /// Where the probe object lies; no two drivers have the same, or they would see each other's.
    probe_path: String,
    /// Unknown before the first probe, and again after whatever may have changed it.
    manner: Mutex<Option<Manner>>,
}

impl Varnish {
    /// Does not connect yet.
    pub fn new(config: &VarnishConfig, surroundings: &Surroundings) -> Self {
        let (instance, own) = (surroundings.instance, Uuid::new_v4());
        Self {
            connections: Connections::new(config.url.clone(), config.timeout),
            sites: surroundings.sites.clone(),
            probe_path: format!("/.well-known/purgebus-probe/{instance}/{own}"),
            manner: Mutex::new(None),
        }
    }

    /// Finds the manner by probing.
    async fn negotiate(&self) -> Result<Manner, PurgeError> {
        *self.manner.lock() = None;
        let host = self.sites.iter().flat_map(|site| &site.hosts).next();
        let host = host.map_or(self.connections.authority(), |host| host.as_str());
        let manner = manner::probe(&self.connections, host, &self.probe_path).await?;
        *self.manner.lock() = Some(manner);
        Ok(manner)
    }

    async fn purge_in(&self, manner: Manner, batch: &Batch) -> Result<(), PurgeError> {
        let requests = match manner {
            Manner::Keys { depth, .. } => {
                keys::requests(self.connections.authority(), &self.sites, depth, batch)?
            }
            Manner::Plain { .. } => plain_requests(batch)?,
        };
        let answers = self.connections.exchange(&requests).await?;
        manner::all_purged(manner, &answers)
    }
}

#[async_trait]
impl Driver for Varnish {
    async fn abilities(&self) -> Result<Abilities, PurgeError> {
        Ok(self.negotiate().await?.abilities(BATCH_SELECTORS_MAX))
    }

    async fn purge(&self, batch: &Batch) -> Result<(), PurgeError> {
        let known = *self.manner.lock();
        let manner = match known {
            Some(manner) => manner,
            None => self.negotiate().await?,
        };
        let purged = self.purge_in(manner, batch).await;
        if matches!(purged, Err(PurgeError::Unavailable { .. })) {
            *self.manner.lock() = None;
        }
        purged
    }

    async fn probe(&self) -> Result<(), PurgeError> {
        self.negotiate().await.map(|_| ())
    }
}

/// One request for each URL; Varnish finds the object by Host, path and query.
fn plain_requests(batch: &Batch) -> Result<Vec<Request>, PurgeError> {
    batch
        .purges
        .iter()
        .map(|purge| match &purge.selector {
            Selector::Url { host, path, query: QueryMatch::Exact(query), .. } => {
                let query = query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
                Ok(Request::new("PURGE", &format!("{path}{query}"), host.as_str()))
            }
            other => Err(manner::unavailable(manner::Trouble::OnlyUrls(other.kind()))),
        })
        .collect()
}

#[cfg(test)]
mod tests;
