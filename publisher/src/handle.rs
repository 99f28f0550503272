//! What a publisher does for those who ask, with or without HTTP.

mod audit;
mod cancel;
mod dead_letters;
mod flush;
mod list;
mod listener;
mod members;
pub(crate) mod naming;
mod ordering;
mod pauses;
mod replays;
mod status;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use daemon::{Clock, Stop};
use jiff::Timestamp;
use schemas::api::{
    Accepted, CacheSummary, DryRun, InvalidationRequest, LatencyReport, LatencyWindow, Mistake,
    RegionSummary,
};
use schemas::{Audience, Region, Site, SiteName, Sites};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::audit::{Origin, Trail};
use crate::budget::{self, Budgets, Overdrawn};
use crate::caller::Caller;
use crate::intake::{self, Wanted};
use crate::journal::{Idempotency, Journal, Receipt, Refusal};
use crate::metrics::Metrics;
use crate::replays::Replays;
use crate::search::Searcher;
use crate::tracker::TrackerHandle;

pub(crate) use self::audit::CertificateError;
pub(crate) use self::cancel::NotCancelled;
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
    /// The token is for less than that.
    #[error("the token does not allow it: {}", first(.0))]
    Forbidden(Vec<Mistake>),
    /// A budget is spent: repeat it when there is some again.
    #[error("the budget of {} is spent", .0.whose)]
    Overdrawn(Overdrawn),
    /// A human has paused the token: repeat it when that is over.
    #[error("the token is paused")]
    Paused(Box<TokenPaused>),
    /// It cannot be kept now: repeat it later.
    #[error("{0}")]
    Unavailable(&'static str),
}

/// A token that is paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenPaused {
    /// The pause, in words.
    pub(crate) detail: String,
    /// How long it still lasts.
    pub(crate) wait: Duration,
}

fn first(mistakes: &[Mistake]) -> String {
    mistakes.first().map_or_else(String::new, |first| format!("{} {}", first.pointer, first.detail))
}

/// Asks a publisher. Cheap to clone; works while the publisher runs.
#[derive(Debug, Clone)]
pub struct PublisherHandle(Arc<Shared>);

/// What a handle asks.
#[derive(Debug)]
pub(crate) struct HandleParts {
    pub(crate) sites: Arc<Sites>,
    pub(crate) journal: Journal,
    pub(crate) tracker: TrackerHandle,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    /// Where the log lies elsewhere: others publish there too.
    pub(crate) searcher: Option<Searcher>,
    pub(crate) replays: Replays,
    pub(crate) budgets: Budgets,
    /// Is told of whatever is published.
    pub(crate) trail: Trail,
    /// Requested when the publisher begins to stop: nobody shall wait any more.
    pub(crate) leaving: Stop,
}

#[derive(Debug)]
struct Shared {
    sites: Arc<Sites>,
    journal: Journal,
    tracker: TrackerHandle,
    clock: Clock,
    metrics: Metrics,
    searcher: Option<Searcher>,
    replays: Replays,
    budgets: Budgets,
    trail: Trail,
    /// Lists in the making.
    lists: Semaphore,
    /// Whoever reads the whole audit trail.
    verifying: Semaphore,
    /// Places for listeners.
    listeners: Arc<Semaphore>,
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
    pub(crate) fn new(parts: HandleParts) -> Self {
        let HandleParts { sites, journal, tracker, clock, metrics, searcher, .. } = parts;
        let (replays, budgets) = (parts.replays, parts.budgets);
        let (trail, leaving) = (parts.trail, parts.leaving);
        Self(Arc::new(Shared {
            sites,
            journal,
            tracker,
            clock,
            metrics,
            searcher,
            replays,
            budgets,
            trail,
            lists: Semaphore::new(list::LISTS_MAX),
            verifying: Semaphore::new(1),
            listeners: Arc::new(Semaphore::new(listener::LISTENERS_MAX)),
            leaving,
        }))
    }

    /// Publishes: when it returns, the invalidation has its number and is on disk.
    pub async fn accept(&self, request: &InvalidationRequest) -> Result<Accepted, AcceptError> {
        self.accept_of(&Caller::ANYONE, Origin::inside(""), request, None).await
    }

    /// The same, for a caller; a repetition by the same one under the same key gets what the first became.
    pub(crate) async fn accept_of(
        &self,
        caller: &Caller,
        origin: Origin<'_>,
        request: &InvalidationRequest,
        key: Option<&str>,
    ) -> Result<Accepted, AcceptError> {
        let wanted = self.check(caller, request)?;
        self.unless_paused(caller).map_err(AcceptError::Paused)?;
        let cost = budget::cost(&wanted.selectors);
        let spent = self.0.budgets.spend(caller.budget(), &wanted.site, cost);
        spent.map_err(AcceptError::Overdrawn)?;
        let repeatable = key.map(|key| Repeatable { caller: caller.name(), key });
        let idempotency = repeatable.map(|repeatable| idempotency(repeatable, request));
        let regions = self.regions_of(&wanted.site, &wanted.audience);
        let (site, priority) = (wanted.site.clone(), wanted.priority);
        let selectors = wanted.selectors.len();
        let (id, invalidation) = self.name(wanted);
        let named = named_regions(&self.0.sites, &invalidation.site, &invalidation.audience);
        let line = self.0.trail.publishing(origin, &invalidation, named);
        let accepted = self.0.journal.accept(invalidation, idempotency).await;
        if let Some(line) = line {
            line.tell(id, &accepted);
        }
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
        caller: &Caller,
        request: &InvalidationRequest,
        misread: Vec<Mistake>,
    ) -> Vec<Mistake> {
        intake::together(misread, self.read(caller, request).err().unwrap_or_default())
    }

    /// What publishing it would do.
    pub(crate) fn dry_run(
        &self,
        caller: &Caller,
        request: &InvalidationRequest,
    ) -> Result<DryRun, AcceptError> {
        let (_, invalidation) = self.name(self.check(caller, request)?);
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

    /// Where whatever is done is told.
    pub(crate) fn trail(&self) -> &Trail {
        &self.0.trail
    }

    /// What its clock shows.
    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// All sites of the installation.
    pub(crate) fn sites(&self) -> &Sites {
        &self.0.sites
    }

    /// Whether the caller's token may publish now.
    fn unless_paused(&self, caller: &Caller) -> Result<(), Box<TokenPaused>> {
        let Some(pause) = self.0.tracker.pause_of_token(caller.name()) else { return Ok(()) };
        let wait = pause.until.duration_since(self.now()).try_into().unwrap_or_default();
        let reason = pause.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        let detail = format!(
            "the token {:?} is paused until {:.0} by {} (pause {}){reason}",
            caller.name(),
            pause.until,
            pause.by,
            pause.id,
        );
        Err(Box::new(TokenPaused { detail, wait }))
    }

    /// What is wanted, if the caller may want it.
    fn check(&self, caller: &Caller, request: &InvalidationRequest) -> Result<Wanted, AcceptError> {
        let wanted = self.read(caller, request).map_err(AcceptError::Invalid)?;
        caller.check(&wanted).map_err(AcceptError::Forbidden)?;
        Ok(wanted)
    }

    fn read(&self, caller: &Caller, request: &InvalidationRequest) -> Result<Wanted, Vec<Mistake>> {
        let known_regions = match &request.regions {
            Some(_) => self.known_regions(),
            None => Arc::default(),
        };
        intake::check(request, caller.terms(), &self.0.sites, &known_regions)
    }

    /// The regions that it is for, as known now.
    fn regions_of(&self, site: &SiteName, audience: &Audience) -> Vec<Region> {
        regions_of(&self.0.sites, site, audience, || self.known_regions())
    }

    /// Regions with agents, and regions that some site names.
    pub(crate) fn known_regions(&self) -> Arc<BTreeSet<Region>> {
        self.0.tracker.known_regions()
    }
}

/// The regions that it names, or that its site does; `None` where it means all there are.
pub(crate) fn named_regions<'a>(
    sites: &'a Sites,
    site: &SiteName,
    audience: &'a Audience,
) -> Option<&'a BTreeSet<Region>> {
    let held_in = sites.get(site).map(|Site { regions, .. }| regions);
    match (audience, held_in) {
        (Audience::Regions(regions), _) | (Audience::All, Some(Audience::Regions(regions))) => {
            Some(regions)
        }
        (Audience::All, _) => None,
    }
}

/// The regions that an invalidation is for, of those that are known.
pub(crate) fn regions_of(
    sites: &Sites,
    site: &SiteName,
    audience: &Audience,
    known: impl FnOnce() -> Arc<BTreeSet<Region>>,
) -> Vec<Region> {
    match named_regions(sites, site, audience) {
        Some(regions) => regions.iter().cloned().collect(),
        None => known().iter().cloned().collect(),
    }
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
