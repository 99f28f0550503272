//! The tracker: folds what this publisher accepted and the latest report of every agent into progress.
//!
//! ```text
//! journal --accepted--> +---------+ --progress--> status, wait
//!                       | Tracker | --regions, caches, dry_run--> tables
//! board ----report----> +---------+ --latency--> histograms
//! ```
//!
//! [`Tracker`] is pure: time is an argument. [`Tracking`] feeds it from the board and keeps it on disk.

mod agents;
mod boards;
mod clocks;
mod events;
mod handle;
mod history;
mod lane;
mod latency;
mod line;
mod measuring;
mod metrics;
mod missed;
mod orders;
mod pass;
mod pending;
mod progress;
mod publishers;
mod range;
mod registry;
mod retire;
mod retired;
mod scope;
mod shell;
mod speakers;
mod stops;
mod store;
mod stored;
mod summaries;
mod telling;
#[cfg(test)]
mod tests;
mod trouble;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use schemas::api::Clock;
use schemas::{
    Invalidation, LineId, Number, Place, Priority, PublisherName, Region, Report, Sites,
};

use self::events::{Events, Happening, Step, Subject};
use self::latency::Latencies;
use self::measuring::Awaiting;
use self::metrics::TrackerMetrics;
use self::orders::StandingOrders;
use self::pending::{Pending, REGIONS_MAX, RegionBits};
use self::publishers::Publishers;
use self::range::Numbers;
use self::registry::Registry;
use self::retired::RetiredAgents;
use self::scope::Scope;

pub(crate) use self::events::EventBatch;
pub(crate) use self::handle::TrackerHandle;
pub use self::handle::Until;
pub(crate) use self::history::History;
pub(crate) use self::missed::{Miss, MissedBy};
pub(crate) use self::orders::OrderError;
pub(crate) use self::progress::count_by_kind;
pub(crate) use self::retire::RetireError;
pub(crate) use self::shell::{Tracking, TrackingSetup};
pub(crate) use self::stops::StandingPause;

/// Most lines of our own that are remembered as such.
const OWN_LINES_MAX: usize = 1_024;

/// Most scopes whose regions are remembered until the registry changes.
const SCOPES_MAX: usize = 4_096;

/// Who owes what, who has done it, and how long that took. Pure: no clock, no await, no I/O.
#[derive(Debug)]
pub(crate) struct Tracker {
    /// The publisher it belongs to.
    name: PublisherName,
    sites: Arc<Sites>,
    /// It knows of nobody's silence before.
    listening_since: Timestamp,
    registry: Registry,
    retired_agents: RetiredAgents,
    standing_orders: StandingOrders,
    publishers: Publishers,
    own_lines: BTreeMap<LineId, OwnLine>,
    /// Lines of other publishers, for events alone.
    heard_lines: BTreeMap<LineId, OwnLine>,
    events: Events,
    measured: Vec<(Region, Latencies)>,
    awaited: Awaited,
    known_regions: KnownRegions,
    metrics: TrackerMetrics,
}

/// A line of this publisher.
#[derive(Debug)]
struct OwnLine {
    priority: Priority,
    since: Timestamp,
    /// Its last number; 0 for a line of an earlier incarnation.
    head: Number,
    pending: Pending,
    awaiting: Awaiting,
    stored: bool,
}

/// The regions that may owe something, per scope, until the registry changes.
#[derive(Debug, Default)]
struct Awaited {
    revision: u64,
    by_scope: HashMap<Arc<Scope>, RegionBits>,
}

/// The regions with agents and those that some site names, until the registry changes: every request asks for them.
#[derive(Debug, Default)]
struct KnownRegions {
    /// Of the registry, once they were asked for.
    revision: Option<u64>,
    names: Arc<BTreeSet<Region>>,
}

impl Tracker {
    /// That of the publisher `name`. Knows nobody, and begins to listen `now`.
    pub(crate) fn new(name: PublisherName, sites: Arc<Sites>, now: Timestamp) -> Self {
        Self {
            name,
            sites,
            listening_since: now,
            registry: Registry::default(),
            retired_agents: RetiredAgents::default(),
            standing_orders: StandingOrders::default(),
            publishers: Publishers::default(),
            own_lines: BTreeMap::new(),
            heard_lines: BTreeMap::new(),
            events: Events::default(),
            measured: Vec::new(),
            awaited: Awaited::default(),
            known_regions: KnownRegions::default(),
            metrics: TrackerMetrics::new(),
        }
    }

    /// Its metrics, to be registered.
    pub(crate) fn metrics(&self) -> &TrackerMetrics {
        &self.metrics
    }

    /// How many agents are registered.
    pub(crate) fn agents(&self) -> u32 {
        u32::try_from(self.registry.agents().count()).unwrap_or(u32::MAX)
    }

    /// How many caches are registered.
    pub(crate) fn cache_count(&self) -> usize {
        self.registry.agents().map(|(_, agent)| agent.caches.len()).sum()
    }

    /// This publisher accepted `invalidation` at `place`: to be called in the order of numbers, per line.
    pub(crate) fn accepted(&mut self, place: Place, invalidation: &Invalidation) {
        let (scope, awaited) = self.awaited(Scope::of(invalidation));
        let accepted_at = invalidation.accepted_at;
        let line = self.begin_line(place.line, invalidation.priority, accepted_at);
        if place.number > line.head {
            line.head = place.number;
            let Invalidation { id, origin, .. } = *invalidation;
            let subject = Subject { id, scope, accepted_at, clock: Clock::One, origin };
            line.pending.accepted(place.number, subject.clone(), awaited);
            self.events.push(Happening::Invalidation { subject, what: Step::Published });
        }
    }

    /// Takes back the lines of this publisher's journal: one that began right before a crash is not stored here.
    pub(crate) fn resume(&mut self, lines: Vec<(LineId, Priority)>, now: Timestamp) {
        for (line, priority) in lines {
            // At the limit, a line that is not known has been forgotten on purpose.
            if self.own_lines.len() < OWN_LINES_MAX {
                self.begin_line(line, priority, now);
            }
        }
    }

    /// An agent's word, received at `received_at`. What it said before it was retired registers nobody.
    pub(crate) fn report(&mut self, report: Report, received_at: Timestamp) {
        self.take_report(report, received_at, true);
    }

    /// An agent's word that has stood on the board for long: `at` is when it was put there.
    pub(crate) fn old_report(&mut self, report: Report, at: Timestamp) {
        self.take_report(report, at, false);
    }

    fn take_report(&mut self, report: Report, received_at: Timestamp, fresh: bool) {
        if self.retired_agents.covers(&report.agent, report.instance, report.sequence) {
            return;
        }
        self.retired_agents.returned(&report.agent, received_at);
        let region = report.region.clone();
        let news = self.registry.report(report, &self.name, received_at, fresh);
        for (priority, news) in &news {
            self.measure(&region, *priority, news, received_at);
        }
    }

    /// Shows what holds now: holes, agents, publishers, clocks; and tells what has changed unsaid.
    fn show(&mut self, now: Timestamp) {
        self.show_holes();
        self.show_agents(now);
        self.show_publishers();
        self.sweep(now);
    }

    /// Shows how many numbers lanes have missed for longer than the grace.
    fn show_holes(&self) {
        let lines = self.registry.lanes().flat_map(|registered| registered.lane.lines.values());
        let holes: u64 = lines.flat_map(|line| line.holes.iter()).map(count).sum();
        self.metrics.holes.set(i64::try_from(holes).unwrap_or(i64::MAX));
    }

    /// The regions with caches that may owe something of this scope, and the scope, shared.
    fn awaited(&mut self, scope: Scope) -> (Arc<Scope>, RegionBits) {
        let revision = self.registry.revision();
        if self.awaited.revision != revision || self.awaited.by_scope.len() > SCOPES_MAX {
            self.awaited = Awaited { revision, by_scope: HashMap::new() };
        }
        if let Some((scope, awaited)) = self.awaited.by_scope.get_key_value(&scope) {
            return (Arc::clone(scope), *awaited);
        }
        let owing =
            self.registry.concerned(&scope, &self.sites).filter(|lane| lane.may_owe(&scope));
        let mut regions: Vec<Region> = owing.map(|lane| lane.agent.region.clone()).collect();
        regions.dedup();
        let places = regions.iter().filter_map(|region| self.measured_at(region));
        let awaited = places.fold(0, |bits, place| bits | 1 << place);
        let scope = Arc::new(scope);
        self.awaited.by_scope.insert(Arc::clone(&scope), awaited);
        (scope, awaited)
    }

    /// The place of a region's latencies; `None` beyond the limit.
    fn measured_at(&mut self, region: &Region) -> Option<usize> {
        if let Some(known) = self.measured.iter().position(|(known, _)| known == region) {
            return Some(known);
        }
        if self.measured.len() == REGIONS_MAX {
            return None;
        }
        self.measured.push((region.clone(), Latencies::new()));
        Some(self.measured.len() - 1)
    }

    /// The line of that id; whoever is registered when it is new owes all of it.
    fn begin_line(&mut self, line: LineId, priority: Priority, at: Timestamp) -> &mut OwnLine {
        if !self.own_lines.contains_key(&line) {
            self.registry.begin_line(line, priority, at);
        }
        self.own_line(line, priority, at)
    }

    fn own_line(&mut self, line: LineId, priority: Priority, since: Timestamp) -> &mut OwnLine {
        if !self.own_lines.contains_key(&line) && self.own_lines.len() >= OWN_LINES_MAX {
            let oldest = self.own_lines.iter().min_by_key(|(_, own)| own.since);
            if let Some(oldest) = oldest.map(|(line, _)| *line) {
                self.own_lines.remove(&oldest);
            }
        }
        self.own_lines.entry(line).or_insert_with(|| OwnLine {
            priority,
            since,
            head: 0,
            pending: Pending::new(),
            awaiting: Awaiting::new(),
            stored: false,
        })
    }
}

fn count(numbers: &Numbers) -> u64 {
    numbers.end() - numbers.start() + 1
}
