//! Tests of the tracker as a whole: a bus of agents that report, and what the tracker makes of it.

mod events;
mod fleets;
mod membership;
mod memory;
mod missed;
mod model;
mod reasons;
mod restart;
mod retiring;
mod states;
mod tables;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use schemas::api::{Progress, ProgressState, RegionProgress};
use schemas::{
    Abilities, Ability, Audience, CacheReport, CircuitState, Invalidation, LaneReport, LineId,
    LineReport, Number, NumberRange, OutcomeCounts, Place, Priority, Report, Selector, Site, Sites,
};
use uuid::Uuid;

use super::Tracker;
use crate::samples::{all_supported, lane_report, report};

/// The line that the publisher of these tests numbers.
fn own_line() -> LineId {
    LineId::from_bytes([7; 16])
}

fn place(number: Number) -> Place {
    Place { line: own_line(), number }
}

fn at(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000 + milliseconds).unwrap()
}

fn range(first: Number, last: Number) -> NumberRange {
    NumberRange { first, last }
}

fn regions(names: &[&str]) -> Audience {
    Audience::Regions(names.iter().map(|name| name.parse().unwrap()).collect())
}

/// `main` is held by every region, `local` by `eu` alone.
fn sites() -> Arc<Sites> {
    let site = |name: &str, held_by| Site {
        name: name.parse().unwrap(),
        hosts: BTreeSet::new(),
        regions: held_by,
    };
    Arc::new(Sites::new([site("main", Audience::All), site("local", regions(&["eu"]))]))
}

fn tag() -> Selector {
    Selector::Tag("article-7".parse().unwrap())
}

fn key() -> Selector {
    Selector::Key("user:42".parse().unwrap())
}

/// Of `main`, for all, by tag, accepted at 0.
fn invalidation() -> Invalidation {
    Invalidation::new(Uuid::from_u128(1), "main".parse().unwrap(), vec![tag()], at(0))
}

/// An agent with one cache, whose normal lane reports one line.
#[derive(Debug, Clone)]
struct Agent {
    report: Report,
}

impl Agent {
    /// Instance 1, life 1; knows no line yet.
    fn new(name: &str, region: &str) -> Self {
        let lane = lane_report(Vec::new());
        Self { report: Report { at: at(0), ..report(name, region, lane) } }
    }

    fn cache(&mut self) -> &mut CacheReport {
        &mut self.report.caches[0]
    }

    fn lane(&mut self) -> &mut LaneReport {
        &mut self.cache().lanes[0]
    }

    fn abilities(&mut self) -> &mut Abilities {
        self.cache().abilities.get_or_insert_with(all_supported)
    }

    /// The reported state of our line.
    fn line(&mut self) -> &mut LineReport {
        let lines = &mut self.lane().lines;
        if lines.is_empty() {
            lines.push(LineReport::new(own_line()));
        }
        &mut lines[0]
    }

    fn floors(&mut self, applied: Number, finished: Number) -> &mut Self {
        self.line().applied = applied;
        self.line().finished = finished;
        self
    }

    /// Its next report.
    fn next(&mut self) -> Report {
        self.report.sequence += 1;
        self.report.clone()
    }
}

/// A tracker with a present time.
#[derive(Debug)]
struct Bus {
    tracker: Tracker,
    now: i64,
}

impl Bus {
    fn new() -> Self {
        Self { tracker: Tracker::new("p1".parse().unwrap(), sites(), at(0)), now: 0 }
    }

    /// Accepts numbers 1 to `last`, all of [`invalidation`], at 0.
    fn with_accepted(last: Number) -> Self {
        let mut bus = Self::new();
        for number in 1..=last {
            bus.tracker.accepted(place(number), &invalidation());
        }
        bus
    }

    fn pass(&mut self, milliseconds: i64) {
        self.now += milliseconds;
    }

    fn hear(&mut self, agent: &mut Agent) {
        self.tracker.report(agent.next(), at(self.now));
    }

    fn progress_of(&self, number: Number, invalidation: &Invalidation) -> Progress {
        self.tracker.progress(place(number), invalidation, at(self.now))
    }

    fn progress(&self, number: Number) -> Progress {
        self.progress_of(number, &invalidation())
    }

    fn state(&self, number: Number) -> ProgressState {
        self.progress(number).state
    }

    /// The reason why the first one is missing.
    fn reason(&self, number: Number) -> String {
        self.progress(number)
            .missing
            .first()
            .map(|missing| missing.reason.clone())
            .unwrap_or_default()
    }
}

fn in_region<'a>(progress: &'a Progress, region: &str) -> &'a RegionProgress {
    progress.regions.iter().find(|shown| shown.region.as_str() == region).unwrap()
}
