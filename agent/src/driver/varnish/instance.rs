//! One Varnish: its connections, and how it was seen to purge.

use std::sync::Arc;

use parking_lot::Mutex;
use schemas::{Abilities, Host, QueryMatch, Selector, Sites};
use uuid::Uuid;

use super::answer::Answer;
use super::config::VarnishConfig;
use super::connection::{Connections, Request};
use super::keys;
use super::manner::{Manner, all_purged};
use super::probe::{Seen, probe};
use super::trouble::{Trouble, unavailable};
use crate::driver::{Batch, Endpoint, PurgeError, Surroundings};

/// One Varnish.
#[derive(Debug)]
pub(super) struct Instance {
    connections: Connections,
    /// Its name among the parts of the cache.
    part: String,
    sites: Arc<Sites>,
    /// Where probe objects lie. No two probes have the same, or they would see each other's.
    probe_folder: String,
    /// Unknown before the first probe, and again after whatever may have changed it.
    seen: Mutex<Option<Seen>>,
}

impl Instance {
    /// Does not connect yet.
    pub(super) fn new(
        endpoint: &Endpoint,
        config: &VarnishConfig,
        surroundings: &Surroundings,
    ) -> Self {
        Self {
            connections: Connections::new(endpoint.clone(), config.timeout),
            part: endpoint.part(),
            sites: surroundings.sites.clone(),
            probe_folder: format!("/.well-known/purgebus-probe/{}", surroundings.instance),
            seen: Mutex::new(None),
        }
    }

    /// Where it listens.
    pub(super) fn endpoint(&self) -> &Endpoint {
        self.connections.endpoint()
    }

    /// Its name among the parts of the cache.
    pub(super) fn part(&self) -> &str {
        &self.part
    }

    /// What it can do, found by probing.
    pub(super) async fn abilities(&self) -> Result<Abilities, PurgeError> {
        Ok(self.negotiate().await?.manner.abilities())
    }

    /// Finds out by probing what it is.
    pub(super) async fn negotiate(&self) -> Result<Seen, PurgeError> {
        *self.seen.lock() = None;
        let host = self.sites.iter().flat_map(|site| &site.hosts).next();
        let host = host.map_or(self.endpoint().authority(), Host::as_str);
        let path = format!("{}/{}", self.probe_folder, Uuid::new_v4());
        let seen = probe(&self.connections, host, &path).await?;
        *self.seen.lock() = Some(seen.clone());
        Ok(seen)
    }

    /// Purges `batch` behind the fences of these hosts, where it can have any. Gives the answers to the fences.
    pub(super) async fn purge(
        &self,
        batch: &Batch,
        hosts: &[Host],
    ) -> Result<Vec<Answer>, PurgeError> {
        let known = self.seen.lock().clone();
        let seen = match known {
            Some(seen) => seen,
            None => self.negotiate().await?,
        };
        let purged = self.purge_as(&seen, batch, hosts).await;
        if matches!(purged, Err(PurgeError::Unavailable { .. })) {
            *self.seen.lock() = None;
        }
        purged
    }

    async fn purge_as(
        &self,
        seen: &Seen,
        batch: &Batch,
        hosts: &[Host],
    ) -> Result<Vec<Answer>, PurgeError> {
        let (mut requests, purges) = match seen.manner {
            Manner::Keys { depth, fence, .. } => {
                let authority = self.endpoint().authority();
                let raise = |host: &Host| {
                    Request::new("PURGE", "/", authority).with("X-Purgebus-Fence", host.as_str())
                };
                let raised = hosts.iter().filter(|_| fence).map(raise).collect();
                (raised, keys::requests(authority, &self.sites, depth, batch)?)
            }
            Manner::Plain { .. } => (Vec::new(), plain_requests(batch)?),
        };
        // First the fences: what comes in between is either stored and purged, or not stored.
        let raised = requests.len();
        requests.extend(purges);
        let mut answers = self.connections.exchange(&requests).await?;
        answers.iter().try_for_each(|answer| seen.is_same(answer))?;
        all_purged(seen.manner, &answers)?;
        answers.truncate(raised);
        Ok(answers)
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
            other => Err(unavailable(Trouble::OnlyUrls(other.kind()))),
        })
        .collect()
}
