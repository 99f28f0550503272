//! Latencies: what a report has settled, once all lanes of its region that owe it have settled it too.
//!
//! A region of a thousand lanes sends a thousand reports before it has settled a number, and all but the last of them
//! change nothing. So one of the lanes that it waits for is remembered, and asked first: while that one owes the
//! number, no other needs to be asked.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use schemas::{AgentName, CacheName, Number, Place, Priority, Region};

use super::Tracker;
use super::line::{News, Standing};
use super::pending::{Entry, Stage};
use super::registry::{Registered, Registry};
use super::scope::Scope;

/// Of each region, by its place, and each stage: a lane that it was seen to wait for.
pub(super) type Awaiting = BTreeMap<(usize, Stage), (AgentName, CacheName)>;

/// The lanes of one priority in one region.
struct Lanes<'a> {
    registry: &'a Registry,
    region: &'a Region,
    priority: Priority,
    /// All of them, once they were needed.
    all: Option<Vec<Registered<'a>>>,
}

impl Tracker {
    /// Takes latencies of what a report has settled, for numbers of our own that it completes in its region.
    pub(super) fn measure(
        &mut self,
        region: &Region,
        priority: Priority,
        news: &News,
        now: Timestamp,
    ) {
        let Some(measured) = self.measured_at(region) else { return };
        if news.applied.is_empty() && news.finished.is_empty() {
            return;
        }
        let own = self.own_lines.get_mut(&news.line);
        let is_own = own.is_some();
        let Some(line) = own.or_else(|| self.heard_lines.get_mut(&news.line)) else { return };
        let mut lanes = Lanes { registry: &self.registry, region, priority, all: None };
        let (sites, metrics, awaiting) = (&self.sites, &self.metrics, &mut line.awaiting);
        let latencies = &mut self.measured[measured].1;
        let latency =
            |entry: &Entry| now.duration_since(entry.subject.accepted_at).max(SignedDuration::ZERO);
        let mut reached = |entry: &Entry, stage| {
            let place = Place { line: news.line, number: entry.number };
            let scope = &entry.subject.scope;
            scope.concerns(region, sites)
                && lanes.all_reached(awaiting, (measured, stage), place, scope)
        };
        // Only what we accepted is measured: on one clock, and for the first time.
        let counts = |entry: &Entry| is_own && entry.subject.origin.is_none();
        let mut milestones =
            line.pending.measure(Stage::Applied, measured, &news.applied, |entry| {
                let reached = reached(entry, Stage::Applied);
                if reached && counts(entry) {
                    latencies.record(latency(entry), entry.stands_for.into(), now);
                    metrics.applied(region, latency(entry), entry.stands_for.into());
                }
                reached
            });
        milestones.extend(line.pending.measure(Stage::Final, measured, &news.finished, |entry| {
            let reached = reached(entry, Stage::Final);
            if reached && counts(entry) {
                metrics.finished(region, latency(entry), entry.stands_for.into());
            }
            reached
        }));
        self.tell_reached(milestones, now);
    }
}

impl<'a> Lanes<'a> {
    /// Whether some of the lanes owe it, and all that do have reached the stage.
    fn all_reached(
        &mut self,
        awaiting: &mut Awaiting,
        (region, stage): (usize, Stage),
        place: Place,
        scope: &Scope,
    ) -> bool {
        let awaited = awaiting.get(&(region, stage));
        let awaited = awaited.and_then(|(agent, cache)| self.one(agent, cache));
        if awaited.is_some_and(|lane| reached(&lane, place, scope, stage) == Some(false)) {
            return false;
        }
        let (mut owed, mut behind) = (false, Vec::new());
        for lane in self.all() {
            let reached = reached(lane, place, scope, stage);
            owed |= reached.is_some();
            behind.extend(reached.is_some_and(|reached| !reached).then_some(lane));
        }
        let Some(next) = chosen(&behind, place.number) else { return owed };
        let next = (next.agent_name.clone(), next.cache_name.clone());
        awaiting.insert((region, stage), next);
        false
    }

    fn one(&self, agent: &AgentName, cache: &CacheName) -> Option<Registered<'a>> {
        let lane = self.registry.lane(agent, cache, self.priority)?;
        (lane.agent.region == *self.region).then_some(lane)
    }

    fn all(&mut self) -> &[Registered<'a>] {
        let Self { registry, region, priority, all } = self;
        all.get_or_insert_with(|| {
            let agents = registry.agents().filter(|(_, agent)| agent.region == **region);
            let lanes = agents.flat_map(|(name, agent)| agent.lanes(name));
            lanes.filter(|lane| lane.priority == *priority).collect()
        })
    }
}

/// One of those that are behind, as if by lot: of a thousand that report in whatever order, about ten then are the one
/// that is waited for, and have all of them asked again.
fn chosen<'l, 'a>(behind: &[&'l Registered<'a>], number: Number) -> Option<&'l Registered<'a>> {
    let mixed = (number ^ behind.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let place = mixed.checked_rem(behind.len() as u64)?;
    behind.get(usize::try_from(place).unwrap_or_default()).copied()
}

/// Whether a lane has reached the stage; `None` where it owes nothing.
fn reached(lane: &Registered<'_>, place: Place, scope: &Scope, stage: Stage) -> Option<bool> {
    match lane.standing(place, scope) {
        Standing::NotOwed => None,
        Standing::Settled { outcome, finished } => {
            Some(outcome.applied() && (finished || stage == Stage::Applied))
        }
        Standing::Owes => Some(false),
    }
}
