//! What a publisher does for those who ask, with or without HTTP.

mod dead_letters;
mod flush;
mod list;
mod listener;
mod members;
mod ordering;
mod status;

use std::collections::BTreeSet;
use std::sync::Arc;

use daemon::{Clock, Stop};
use jiff::Timestamp;
use schemas::api::{
    Accepted, CacheSummary, DryRun, InvalidationRequest, LatencyReport, LatencyWindow, Mistake,
    RegionSummary,
};
use schemas::{Audience, Invalidation, Region, Site, SiteName, Sites};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::intake::{self, Wanted};
use crate::journal::{Idempotency, Journal, Receipt, Refusal};
use crate::metrics::Metrics;
use crate::search::Searcher;
use crate::tracker::TrackerHandle;

pub(crate) use self::dead_letters::{Decision, LettersRequest};
pub(crate) use self::list::ListRequest;
pub(crate) use self::listener::EventId;
pub(crate) use self::ordering::NotOrdered;
pub use self::status::StatusError;

/// Why a request was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// It is wrong: fix all of these.
    #[error("{} mistakes in the request, the first: {}", .0.len(), first(.0))]
    Invalid(Vec<Mistake>),
    /// Another request came with the same idempotency key: take a new one.
    #[error("another request came with the same idempotency key")]
    Conflict,
    /// It cannot be kept now: repeat it later.
    #[error("{0}")]
    Unavailable(&'static str),
}

fn first(mistakes: &[Mistake]) -> String {
    mistakes.first().map_or_else(String::new, |first| format!("{} {}", first.pointer, first.detail))
}

/// Asks a publisher. Cheap to clone; works while the publisher runs.
#[derive(Debug, Clone)]
pub struct PublisherHandle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    sites: Arc<Sites>,
    journal: Journal,
    tracker: TrackerHandle,
    clock: Clock,
    metrics: Metrics,
    /// Where the log lies elsewhere: others publish there too.
    searcher: Option<Searcher>,
    /// Lists in the making.
    lists: Semaphore,
    /// Places for listeners.
    listeners: Arc<Semaphore>,
    /// Requested when the publisher begins to stop: nobody shall wait any more.
    leaving: Stop,
}

/// A request that may be repeated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Repeatable<'a> {
    /// Who asks.
    pub(crate) caller: &'a str,
    /// The key that the caller gave.
    pub(crate) key: &'a str,
}

impl PublisherHandle {
    pub(crate) fn new(
        sites: Arc<Sites>,
        journal: Journal,
        tracker: TrackerHandle,
        clock: Clock,
        metrics: Metrics,
        searcher: Option<Searcher>,
        leaving: Stop,
    ) -> Self {
        Self(Arc::new(Shared {
            sites,
            journal,
            tracker,
            clock,
            metrics,
            searcher,
            lists: Semaphore::new(list::LISTS_MAX),
            listeners: Arc::new(Semaphore::new(listener::LISTENERS_MAX)),
            leaving,
        }))
    }

    /// Publishes: when it returns, the invalidation has its number and is on disk.
    pub async fn accept(&self, request: &InvalidationRequest) -> Result<Accepted, AcceptError> {
        self.accept_repeatable(request, None).await
    }

    /// The same; a repetition by the same caller gets what the first became.
    pub(crate) async fn accept_repeatable(
        &self,
        request: &InvalidationRequest,
        repeatable: Option<Repeatable<'_>>,
    ) -> Result<Accepted, AcceptError> {
        let wanted = self.check(request).map_err(AcceptError::Invalid)?;
        let idempotency = repeatable.map(|repeatable| idempotency(repeatable, request));
        let regions = self.regions_of(&wanted.site, &wanted.audience);
        let (site, priority) = (wanted.site.clone(), wanted.priority);
        let selectors = wanted.selectors.len();
        let (id, invalidation) = self.name(wanted);
        let accepted = self.0.journal.accept(invalidation, idempotency).await;
        let receipt = accepted.map_err(refused)?;
        if receipt.id == id {
            self.0.metrics.published(&site, priority);
        }
        let Receipt { id, durable, accepted_at, .. } = receipt;
        Ok(Accepted {
            id,
            durable,
            site,
            selectors,
            regions,
            published_at: accepted_at,
            status_url: format!("/v1/invalidations/{id}"),
        })
    }

    /// All that is wrong with a request of which some could not be read.
    pub(crate) fn mistakes(
        &self,
        request: &InvalidationRequest,
        misread: Vec<Mistake>,
    ) -> Vec<Mistake> {
        intake::together(misread, self.check(request).err().unwrap_or_default())
    }

    /// What publishing it would do.
    pub fn dry_run(&self, request: &InvalidationRequest) -> Result<DryRun, Vec<Mistake>> {
        let (_, invalidation) = self.name(self.check(request)?);
        Ok(DryRun {
            selectors: invalidation.selectors.iter().map(ToString::to_string).collect(),
            regions: self.regions_of(&invalidation.site, &invalidation.audience),
            caches: self.0.tracker.dry_run(&invalidation),
            site: invalidation.site,
        })
    }

    /// One row per region.
    pub fn regions(&self) -> Vec<RegionSummary> {
        self.0.tracker.regions()
    }

    /// One row per lane.
    pub fn caches(&self) -> Vec<CacheSummary> {
        self.0.tracker.caches()
    }

    /// How long purges took, of one region or of all.
    pub fn latency(&self, region: Option<Region>, window: LatencyWindow) -> LatencyReport {
        self.0.tracker.latency(region, window)
    }

    /// What its clock shows.
    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// All sites of the installation.
    pub(crate) fn sites(&self) -> &Sites {
        &self.0.sites
    }

    fn check(&self, request: &InvalidationRequest) -> Result<Wanted, Vec<Mistake>> {
        let known_regions = match &request.regions {
            Some(_) => self.known_regions(),
            None => Arc::default(),
        };
        intake::check(request, &self.0.sites, &known_regions)
    }

    /// Gives it its name and its time.
    fn name(&self, wanted: Wanted) -> (Uuid, Invalidation) {
        // Whole microseconds: what an idempotency key remembers.
        let now = self.0.clock.now();
        let now = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
        let id = id_at(now);
        (id, wanted.into_invalidation(id, now))
    }

    /// A name that nobody has given.
    fn new_id(&self) -> Uuid {
        id_at(self.0.clock.now())
    }

    /// The regions that it is for, as known now.
    fn regions_of(&self, site: &SiteName, audience: &Audience) -> Vec<Region> {
        let held_in = self.0.sites.get(site).map(|Site { regions, .. }| regions);
        match (audience, held_in) {
            (Audience::Regions(regions), _) | (Audience::All, Some(Audience::Regions(regions))) => {
                regions.iter().cloned().collect()
            }
            (Audience::All, _) => self.known_regions().iter().cloned().collect(),
        }
    }

    /// Regions with agents, and regions that some site names.
    pub(crate) fn known_regions(&self) -> Arc<BTreeSet<Region>> {
        self.0.tracker.known_regions()
    }
}

/// A version 7 UUID whose random bits begin with the fraction of the millisecond (RFC 9562, section 6.2, method 3):
/// what was accepted later sorts later.
fn id_at(time: Timestamp) -> Uuid {
    let milliseconds = u64::try_from(time.as_millisecond()).unwrap_or(0);
    let fraction = u64::try_from(time.subsec_nanosecond()).unwrap_or(0) % 1_000_000;
    let [.., high, low] = ((fraction << 12) / 1_000_000).to_be_bytes();
    let [_, _, _, _, _, _, _, _, random @ ..] = Uuid::new_v4().into_bytes();
    let mut bytes = [high, low, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes[2..].copy_from_slice(&random);
    uuid::Builder::from_unix_timestamp_millis(milliseconds, &bytes).into_uuid()
}

fn refused(refusal: Refusal) -> AcceptError {
    match refusal {
        Refusal::Conflict => AcceptError::Conflict,
        Refusal::Full => AcceptError::Unavailable(
            "the journal is full of invalidations that the broker does not take; repeat later",
        ),
        Refusal::Overdue => AcceptError::Unavailable(
            "the broker has taken nothing for longer than journal_age, and what waits for it in the journal is kept; \
             repeat later",
        ),
        Refusal::DiskFull => {
            AcceptError::Unavailable("the disk of the journal is full; repeat later")
        }
        Refusal::Stopping => AcceptError::Unavailable("the publisher is stopping; repeat later"),
    }
}

/// Digests of who asks under which key, and of what is asked, whatever its spelling in JSON.
fn idempotency(repeatable: Repeatable<'_>, request: &impl Serialize) -> Idempotency {
    let Repeatable { caller, key } = repeatable;
    let mut who = Sha256::new();
    who.update(caller.len().to_be_bytes());
    who.update(caller);
    who.update(key);
    let request = serde_json::to_vec(request).expect("a request is plain JSON");
    Idempotency { key: who.finalize().into(), request: Sha256::digest(request).into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_different_microseconds_sort_as_these_and_those_of_one_differ() {
        let at = |microsecond| id_at(Timestamp::from_microsecond(microsecond).expect("in range"));
        let start = 1_800_000_000_000_000;
        let ids: Vec<Uuid> = (start..start + 3_000).map(at).collect();
        assert!(ids.is_sorted_by(|earlier, later| earlier < later), "{ids:?}");
        assert_ne!(at(start), at(start));
        assert_eq!((ids[0].get_version_num(), ids[0].get_variant()), (7, uuid::Variant::RFC4122));
        assert_eq!(ids[999].get_timestamp().map(|time| time.to_unix().0), Some(1_800_000_000));
    }
}
